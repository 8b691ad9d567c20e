"""The files that start first, so that workers seldom need the processors at once, and none ends with a long file."""

from __future__ import annotations

from pathlib import Path

__all__ = ["LONG_FILES", "rank"]

TESTS = Path(__file__).resolve().parent

# Those that take longest, by turns one that mostly waits and one that keeps the processors busy.
LONG_FILES = [
    "cluster/test_chat_consumers.py",
    "browser/test_client_adversaries.py",
    "cluster/test_lost_rows.py",
    "test_tutorial.py",
    "cluster/test_polling.py",
    "browser/test_djust_demo.py",
    "outages/test_wrong_leaves.py",
    "test_redis_docs.py",
    "cluster/test_cursors.py",
    "backends/test_contract.py",
    "tracker/test_faults.py",
    "browser/test_cursors.py",
    "cluster/test_cluster.py",
    "browser/test_demo.py",
    "browser/test_whiteboard.py",
    "test_bus.py",
    "browser/test_pages_stay.py",
    "cluster/test_djust_cluster.py",
    "browser/test_forms.py",
    "browser/test_client_proxies.py",
    "cluster/test_rolling_restart.py",
    "browser/test_page.py",
    "browser/test_client_transport.py",
    "cluster/test_signals.py",
    "browser/test_typing.py",
    "feed/test_rooms.py",
    "cluster/test_two_sites.py",
    "cluster/test_metas.py",
    "browser/test_patching.py",
    "tracker/test_cursors.py",
    "live/test_postgres.py",
    "tracker/test_lost_keys.py",
    "browser/test_shared_board.py",
    "test_react_to_presence.py",
    "state/test_exploration.py",
    "tracker/test_stops.py",
    "browser/test_cursor_windows.py",
    "cursors/test_tracker.py",
    "test_presence.py",
    "browser/test_how_to.py",
    "live/test_testcases.py",
    "browser/test_desk.py",
    "cluster/test_blackhole.py",
    "backends/test_redis.py",
]

_RANKS = {TESTS / name: rank for rank, name in enumerate(LONG_FILES)}


def rank(path: Path) -> int:
    """Return the place of a file of tests: that in `LONG_FILES`, or the one after all of them."""
    return _RANKS.get(path, len(LONG_FILES))
