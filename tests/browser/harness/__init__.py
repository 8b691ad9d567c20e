"""A site of one page, whose socket the test plays, and the small helpers to watch a page with."""

from __future__ import annotations

from tests.browser.harness.cursors import ADA, DRAWN, STYLE, SURFACE, board, draw, drawn, told, welcome
from tests.browser.harness.feed import FEED_STATE, FeedSite, let_in, open_feed
from tests.browser.harness.live import SOCKETS, STATE, paused, region, render, visit
from tests.browser.harness.pages import add_rule, events, eventually, listen
from tests.browser.harness.pixels import seen
from tests.browser.harness.polling import turns
from tests.browser.harness.site import Site, Wire

__all__ = [
    "ADA",
    "DRAWN",
    "FEED_STATE",
    "SOCKETS",
    "STATE",
    "STYLE",
    "SURFACE",
    "FeedSite",
    "Site",
    "Wire",
    "add_rule",
    "board",
    "draw",
    "drawn",
    "events",
    "eventually",
    "let_in",
    "listen",
    "open_feed",
    "paused",
    "region",
    "render",
    "seen",
    "told",
    "turns",
    "visit",
    "welcome",
]
