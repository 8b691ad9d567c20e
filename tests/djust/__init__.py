"""Real djust's views and its real consumer."""
