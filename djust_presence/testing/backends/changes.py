"""The Changes of a write, and their order in a group."""

from __future__ import annotations

import time

from ...backends.base import Backend
from ...state.records import (
    Change,
    Leave,
    Member,
    Place,
    Reply,
    Snapshot,
    Status,
    Step,
)
from .base import GONE, LONG, BackendSuite, done, join, leave

__all__ = ["ChangesContract"]


class ChangesContract(BackendSuite):
    def test_a_join_into_nothing_begins_a_group(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        op = join(1, epoch="epoch", tag="tag", meta='{"a":1}', joined_at=5.25, said=7.5)
        member = Member(1, 5.25, '{"a":1}')
        change = Change("room", Place("epoch", 1, "tag"), "", {"user": member}, 1, {"user": None})
        assert verbs.write("lease", [op]) == [Reply(Status.OK, "epoch", change, 7.5)]
        assert verbs.snapshots(["room", "other"]) == [
            Snapshot(Place("epoch", 1, "tag"), {"user": member}),
            Snapshot(None, {}),
        ]
        assert verbs.count("room") == 1
        assert verbs.member("room", "user") == member

    def test_changes_follow_one_another(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        ops = [
            join(1, epoch="first", tag="t1"),
            join(2, "ref2", "user2", epoch="second", tag="t2"),
            leave(3, tag="t3"),
            join(4, "ref2", "user2", meta='{"a":1}', tag="t4"),
        ]
        replies = verbs.write("lease", ops)
        assert [done(reply).place for reply in replies] == [Place("first", n, f"t{n}") for n in range(1, 5)]
        assert [done(reply).prev for reply in replies] == ["", "t1", "t2", "t3"]
        assert [done(reply).count for reply in replies] == [1, 2, 1, 1]
        assert [reply.epoch for reply in replies] == ["first", "first", "", "first"]
        assert verbs.renew("lease", 4, ["room"]).places == {"room": Place("first", 4, "t4")}

    def test_an_emptied_group_begins_anew(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        last = verbs.write("lease", [join(1, epoch="first", tag="t1"), leave(2, tag="t2")])[1]
        assert done(last)._replace(before={}) == Change(
            "room", Place("first", 2, "t2"), "t1", {"user": None}, 0
        )
        assert verbs.snapshots(["room"]) == [Snapshot(None, {})]
        assert verbs.count("room") == 0
        assert verbs.member("room", "user") is None
        again = verbs.write("lease", [join(3, epoch="second", tag="t3")])[0]
        assert again.epoch == "second"
        assert done(again).place == Place("second", 1, "t3")
        assert done(again).prev == ""

    def test_what_changes_nothing_makes_no_change(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        first = verbs.write("lease", [join(1, epoch="epoch")])[0]
        nothing = [
            join(2),
            join(3, joined_at=time.time() + LONG),
            leave(4, "unknown"),
            leave(5, key="nowhere"),
        ]
        replies = verbs.write("lease", nothing)
        assert [reply.status for reply in replies] == [Status.OK] * 4
        assert [reply.epoch for reply in replies] == ["epoch", "epoch", "", ""]
        assert not any(reply.change for reply in replies)
        assert verbs.snapshots(["room"])[0].place == done(first).place

    def test_many_counts_come_in_the_order_asked(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        verbs.write("lease", [join(1), join(2, "ref2", "user2"), join(3, "ref", key="hall")])
        assert verbs.counts(["hall", "nowhere", "room", "hall"]) == [1, 0, 2, 1]
        keys = [f"room{number}" for number in range(2500)]
        assert verbs.counts([*keys, "room", *keys]) == [0] * 2500 + [2] + [0] * 2500

    def test_many_members_come_in_the_order_asked(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        verbs.write(
            "lease", [join(1, joined_at=1.5), join(2, "ref2", "user2", joined_at=2.5, meta='{"a":1}')]
        )
        one, two = Member(1, 1.5, "{}"), Member(1, 2.5, '{"a":1}')
        assert verbs.members("room", ["user2", "nobody", "user", "user2"]) == [two, None, one, two]
        assert verbs.members("nowhere", ["user", "user"]) == [None, None]
        strangers = [f"stranger{number}" for number in range(2500)]
        many = verbs.members("room", ["user", *strangers, "user2", *strangers, "user"])
        assert (many[0], many[2501], many[-1]) == (one, two, one)
        assert many.count(None) == 5000

    def test_a_count_comes_with_one_of_those_counted(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        verbs.write("lease", [join(1, joined_at=1.5), join(2, "ref2", "user2")])
        assert verbs.count_and_member("room", "user") == (2, Member(1, 1.5, "{}"))
        assert verbs.count_and_member("room", "nobody") == (2, None)
        assert verbs.count_and_member("nowhere", "user") == (0, None)

    def test_groups_do_not_touch_each_other(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        verbs.write("lease", [join(1, key="a"), join(2, key="b"), join(3, "ref2", "user2", key="b")])
        before = verbs.snapshots(["b"])
        verbs.write("lease", [leave(4, key="a")])
        assert verbs.snapshots(["b"]) == before
        assert verbs.count("b") == 2

    def test_a_change_says_what_its_users_were_before(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        ops = [
            join(1, meta='{"a":1}', joined_at=5.0),
            join(2, "ref2", "user2", joined_at=6.0),
            join(3, meta='{"a":2}'),
            join(4, "ref3", meta='{"a":2}'),
            leave(5),
            leave(6, "ref3"),
        ]
        one, two = Member(1, 5.0, '{"a":1}'), Member(1, 5.0, '{"a":2}')
        assert [done(reply).steps for reply in verbs.write("lease", ops)] == [
            [Step("user", None, one)],
            [Step("user2", None, Member(1, 6.0, "{}"))],
            [Step("user", one, two)],
            [Step("user", two, two._replace(connections=2))],
            [Step("user", two._replace(connections=2), two)],
            [Step("user", two, None)],
        ]
        assert verbs.release("room", "ref2", "tag").steps == [Step("user2", Member(1, 6.0, "{}"), None)]  # type: ignore[union-attr]

    def test_the_first_lease_is_the_birth_of_the_store(self, verbs: Backend) -> None:
        assert verbs.open("job:first", GONE) == "job:first"
        assert verbs.open("second", LONG) == "job:first"
        verbs.claim("second", 500, 0)
        assert verbs.open("third", LONG) == verbs.open("third", LONG) == "job:first"

    def test_a_leave_that_comes_too_late_is_void(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        verbs.write("lease", [join(1)])
        now = verbs.renew("lease", 1, []).at
        assert abs(now - time.time()) < 3600
        late = Leave(2, "room", "ref", "t", now - 0.001)
        assert verbs.write("lease", [late]) == [Reply(Status.LATE)]
        assert verbs.write("lease", [late]) == [Reply(Status.SEEN)]
        assert verbs.count("room") == 1
        in_time = verbs.write("lease", [Leave(3, "room", "ref", "t", now + LONG)])[0]
        assert done(in_time).count == 0
