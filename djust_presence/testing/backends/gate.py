"""Writes run once, in the order of their numbers, under a known lease."""

from __future__ import annotations

from ...backends.base import Backend
from ...state.records import (
    Renewal,
    Reply,
    Snapshot,
    Status,
)
from .base import LONG, BackendSuite, join, leave

__all__ = ["GateContract"]


class GateContract(BackendSuite):
    def test_writes_with_one_number_after_the_other_run(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        replies = verbs.write("lease", [join(1), join(2, "ref2", "user2"), leave(3)])
        assert [reply.status for reply in replies] == [Status.OK] * 3
        assert verbs.snapshots(["room"])[0].members.keys() == {"user2"}

    def test_no_writes_have_no_replies(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        assert verbs.write("lease", []) == []
        assert verbs.snapshots([]) == []
        assert verbs.counts([]) == []
        assert verbs.members("room", []) == []

    def test_a_repeated_write_is_seen_and_has_no_effect(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        ops = [join(1), leave(2), join(3, "ref2")]
        verbs.write("lease", ops)
        before = verbs.snapshots(["room"])
        assert verbs.write("lease", ops) == [Reply(Status.SEEN)] * 3
        assert verbs.write("lease", [join(1, "late", "ghost")]) == [Reply(Status.SEEN)]
        assert verbs.snapshots(["room"]) == before
        assert verbs.renew("lease", 3, []).status is Status.OK

    def test_a_repeated_batch_goes_on_where_it_was_cut_off(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        ops = [join(1), join(2, "ref2", "user2"), leave(3)]
        verbs.write("lease", ops[:1])
        assert [reply.status for reply in verbs.write("lease", ops)] == [Status.SEEN, Status.OK, Status.OK]

    def test_a_gap_in_the_numbers_is_dead_and_has_no_effect(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        verbs.write("lease", [join(1)])
        before = verbs.snapshots(["room"])
        gap = [join(3, "ref2", "ghost"), leave(4)]
        assert verbs.write("lease", gap) == [Reply(Status.DEAD)] * 2
        assert verbs.snapshots(["room"]) == before
        assert verbs.write("lease", [leave(2)])[0].status is Status.OK

    def test_an_unknown_lease_is_dead_and_has_no_effect(self, verbs: Backend) -> None:
        assert verbs.write("lease", [join(1), leave(1), leave(0)]) == [Reply(Status.DEAD)] * 3
        assert verbs.renew("lease", 0, ["room"]) == Renewal(Status.DEAD)
        assert verbs.snapshots(["room"]) == [Snapshot(None, {})]

    def test_opening_a_lease_again_keeps_its_number(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        verbs.write("lease", [join(1)])
        verbs.open("lease", LONG)
        assert verbs.write("lease", [leave(1), leave(2)])[0].status is Status.SEEN
        assert verbs.renew("lease", 2, []).status is Status.OK

    def test_leases_count_their_writes_apart(self, verbs: Backend) -> None:
        verbs.open("one", LONG)
        verbs.open("two", LONG)
        verbs.write("one", [join(1), join(2, "ref2")])
        assert verbs.write("two", [join(1, "ref3")])[0].status is Status.OK
        assert verbs.write("two", [join(3, "ref4")])[0].status is Status.DEAD
