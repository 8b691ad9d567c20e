"""The files that start first, so that workers seldom need the processors at once, and none ends with a long file."""

from __future__ import annotations

from pathlib import Path

__all__ = ["LONG_FILES", "rank"]

TESTS = Path(__file__).resolve().parent

# Those that take longest, by turns one that mostly waits and one that keeps the processors busy.
LONG_FILES = [
    "browser/test_client_adversaries.py",
    "browser/test_demo_accessible.py",
    "cluster/test_chat_consumers.py",
    "browser/test_demo.py",
    "tracker/test_faults.py",
    "test_redis_docs.py",
    "cluster/test_lost_rows.py",
    "browser/test_pages_stay.py",
    "cluster/test_cluster.py",
    "browser/test_djust_demo.py",
    "browser/test_client_proxies.py",
    "test_packaging.py",
    "outages/test_wrong_leaves.py",
    "browser/test_difference.py",
    "browser/test_client_transport.py",
    "backends/test_contract.py",
    "test_bus.py",
    "browser/test_patching_speed.py",
    "cluster/test_rolling_restart.py",
    "browser/test_cursors.py",
    "live/test_open_users.py",
    "browser/test_top_layer.py",
    "test_channels_contract.py",
    "browser/test_demo_looks.py",
    "cluster/test_polling.py",
    "browser/test_whiteboard.py",
    "browser/test_addresses.py",
    "browser/test_page.py",
    "live/test_busy_pages.py",
    "state/test_timed.py",
    "cluster/test_djust_cluster.py",
    "test_tutorial.py",
    "live/test_postgres.py",
    "test_presence.py",
    "cluster/test_feed.py",
    "browser/test_scripts_stay.py",
    "tracker/test_cursors.py",
    "backends/test_redis.py",
    "tracker/test_lost_keys.py",
    "browser/test_cursor_places.py",
    "browser/test_without_websockets.py",
    "browser/test_client_site.py",
    "live/test_tenants.py",
    "state/test_rules.py",
    "cursors/test_tracker.py",
    "browser/test_cursor_windows.py",
    "cluster/test_cursors.py",
    "browser/test_recipes.py",
    "cluster/test_signals.py",
    "browser/test_libraries.py",
    "cluster/test_metas.py",
    "browser/test_forms.py",
    "cluster/test_two_sites.py",
    "feed/test_rooms.py",
    "tracker/test_stops.py",
    "browser/test_patching.py",
    "browser/test_typing.py",
]

_RANKS = {TESTS / name: rank for rank, name in enumerate(LONG_FILES)}


def rank(path: Path) -> int:
    """Return the place of a file of tests: that in `LONG_FILES`, or the one after all of them."""
    return _RANKS.get(path, len(LONG_FILES))
