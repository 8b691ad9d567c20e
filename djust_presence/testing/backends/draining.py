"""A lease that is drained expires after its grace."""

from __future__ import annotations

import time

from ...backends.base import Backend
from ...state.records import (
    Member,
    Renewal,
    Reply,
    Status,
    Work,
)
from .base import GONE, LONG, BackendSuite, done, join, leave

__all__ = ["DrainingContract"]


class DrainingContract(BackendSuite):
    def test_a_drained_lease_expires_after_its_grace_and_not_before(self, verbs: Backend) -> None:
        verbs.open("reaper", LONG)
        verbs.open("lease", LONG)
        verbs.write("lease", [join(1)])
        verbs.drain("lease", LONG)
        assert verbs.claim("reaper", 500, 0) == []
        verbs.drain("lease", GONE)
        assert verbs.claim("reaper", 500, 0) == [Work("lease", "room", ["ref"])]

    def test_a_drained_lease_has_its_grace_whatever_was_left(self, verbs: Backend) -> None:
        verbs.open("reaper", LONG)
        for lease in ("expired", "short"):
            verbs.open(lease, GONE if lease == "expired" else 0.2)
            verbs.write(lease, [join(1, lease)])
            verbs.drain(lease, LONG)
        time.sleep(0.3)
        assert verbs.claim("reaper", 500, 0) == []

    def test_a_draining_lease_cannot_be_extended(self, verbs: Backend) -> None:
        verbs.open("reaper", LONG)
        for lease in ("lease", "job:1"):
            verbs.open(lease, LONG)
            verbs.write(lease, [join(1, f"{lease[:3]}-ref", lease)])
            verbs.drain(lease, GONE)
        assert verbs.renew("lease", 1, [])[:3] == (Status.OK, True, {})
        assert verbs.renew("lease", 1, [])[:3] == (Status.OK, True, {})
        assert verbs.beat("room", "job-ref") is True
        verbs.open("lease", LONG)
        assert {work.lease for work in verbs.claim("reaper", 500, 0) or ()} == {"lease", "job:1"}

    def test_who_comes_back_within_the_grace_is_never_gone(self, verbs: Backend) -> None:
        verbs.open("old", LONG)
        verbs.write("old", [join(1, "before", joined_at=1.0)])
        verbs.drain("old", LONG)
        verbs.open("new", LONG)
        back = done(verbs.write("new", [join(1, "after")])[0])
        assert back.records == {"user": Member(2, 1.0, "{}")}
        verbs.drain("old", GONE)
        assert verbs.claim("new", 500, 0) == [Work("old", "room", ["before"])]
        change = verbs.reap("old", "room", ["before"], "tag")
        assert change is not None
        assert change.records == {"user": Member(1, 1.0, "{}")}

    def test_a_drained_lease_on_which_nothing_hangs_is_forgotten(
        self, verbs: Backend, backend: Backend
    ) -> None:
        verbs.open("lease", LONG)
        verbs.write("lease", [join(1), leave(2)])
        verbs.drain("lease", LONG)
        assert verbs.renew("lease", 2, []) == Renewal(Status.DEAD)
        assert verbs.write("lease", [join(3)]) == [Reply(Status.DEAD)]
        assert list(self.stored(backend)) == []

    def test_draining_what_is_unknown_is_nothing(self, verbs: Backend) -> None:
        verbs.drain("unknown", GONE)
        assert verbs.renew("unknown", 0, []).status is Status.DEAD
