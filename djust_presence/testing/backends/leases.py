"""Leases are renewed, and live for their ttl."""

from __future__ import annotations

from ...backends.base import Backend
from ...state.records import (
    Place,
    Renewal,
    Status,
)
from .base import GONE, LONG, BackendSuite, done, join

__all__ = ["LeasesContract"]


class LeasesContract(BackendSuite):
    def test_a_lease_that_nobody_claimed_renews_late(self, verbs: Backend) -> None:
        verbs.open("lease", GONE)
        verbs.write("lease", [join(1, epoch="epoch", tag="tag")])
        assert verbs.renew("lease", 1, ["room", "nowhere"])[:3] == (
            Status.OK,
            True,
            {"room": Place("epoch", 1, "tag"), "nowhere": None},
        )
        verbs.open("other", LONG)
        assert verbs.renew("other", 0, [])[:3] == (Status.OK, False, {})

    def test_renewing_takes_the_number_of_the_last_write(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        verbs.write("lease", [join(1)])
        assert verbs.renew("lease", 0, ["room"]) == Renewal(Status.DEAD)
        assert verbs.renew("lease", 2, ["room"]) == Renewal(Status.DEAD)
        for _ in range(2):
            assert verbs.renew("lease", 1, []).status is Status.OK

    def test_writes_may_be_under_way_while_a_lease_is_renewed(self, verbs: Backend) -> None:
        """They may have been carried out or not: their answers are missing."""
        verbs.open("lease", LONG)
        for seq in (1, 2, 3):
            verbs.write("lease", [join(seq, f"ref{seq}")])
            assert verbs.renew("lease", 1, [], 2).status is Status.OK
            assert verbs.renew("lease", seq, [], 0).status is Status.OK
        verbs.write("lease", [join(4, "ref4")])
        assert verbs.renew("lease", 1, [], 2) == Renewal(Status.DEAD)
        assert verbs.renew("lease", 5, [], 2) == Renewal(Status.DEAD)

    def test_renewing_asks_for_many_groups(self, verbs: Backend) -> None:
        keys = [f"room:{number}" for number in range(2500)]
        verbs.open("lease", LONG)
        replies = verbs.write("lease", [join(n, key=key) for n, key in enumerate(keys[:50], 1)])
        places = verbs.renew("lease", 50, keys).places
        assert list(places) == keys
        assert [places[key] for key in keys[:50]] == [done(reply).place for reply in replies]
        assert not any(places[key] for key in keys[50:])

    def test_a_renewed_lease_lives_for_its_ttl(self, verbs: Backend) -> None:
        def renew(lease: str, ref: str) -> bool:
            return verbs.renew(lease, 1, []).status is Status.OK

        self.lives_for_its_ttl(verbs, "lease", renew)
