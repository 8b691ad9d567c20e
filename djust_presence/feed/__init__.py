"""Presence on any page: rooms that a page's tags or scripts join, over a WebSocket or by polling."""
