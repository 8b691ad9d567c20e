"""The grace of a user, by how their connection ended."""

from __future__ import annotations

import pytest

from djust_presence.conf import Settings
from djust_presence.tracker.endings import Ending, grace_after

GRACES = Settings(grace=2.0, lost_grace=10.0, drain_grace=15.0)


@pytest.mark.parametrize(
    ("code", "reason", "grace"),
    [
        (1000, "", 2.0),  # what our scripts say
        (1001, "", 2.0),  # what a browser says of a page that is left
        (1002, "", 10.0),
        (1005, "", 10.0),  # no code: some servers say so of a broken path
        (1006, "", 10.0),
        (1011, "", 10.0),
        (1012, "", 15.0),  # this server stops
        (1013, "", 10.0),
        (1014, "", 10.0),
        (3000, "", 10.0),
        (4000, "timeout", 2.0),  # silent for TIMEOUT: the user has been gone for a while
        (4000, "slow", 10.0),
        (4400, "", 2.0),
        (4401, "reload", 0.0),
        (4403, "forbidden", 0.0),
        (4404, "", 0.0),
        (4408, "too many frames", 2.0),
        (4500, "failed", 10.0),
    ],
)
def test_the_grace_follows_from_the_end(code: int, reason: str, grace: float) -> None:
    assert grace_after(Ending.of(code, reason), GRACES) == grace
