"""The contract of a backend as tests: what every backend must do, shipped for those who write one.

::

    class TestMyBackend(BackendContract):
        @pytest.fixture
        def backend(self):
            return MyBackend("", {})
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, cast
from uuid import uuid4

import pytest

from .backends.base import Backend
from .state.records import (
    Change,
    Join,
    Leave,
    Member,
    Op,
    Place,
    Renewal,
    Reply,
    Snapshot,
    Status,
    Step,
    Work,
)

__all__ = ["BackendContract"]

LONG = 1000.0  # seconds: nothing expires during a test
GONE = 0.0  # seconds: expired at once
BOUND = 20.0  # seconds that something may take which takes none

METAS: list[dict[str, Any]] = [
    {},
    {"name": "Zoë 🎉", "empty": "", "quote": '"\\/\b\f\n\r\t\x00\x7f\u2028'},
    {"int": 0, "negative": -7, "big": 2**63, "float": 0.1, "tiny": 1e-300, "huge": 1.7976931348623157e308},
    {"true": True, "false": False, "null": None},
    {"list": [], "nested": [[[]], {}, [1, [2, {"three": [3]}]]], "object": {"": {"a.b": {":": 0}}}},
    {"like a member": "1:2.0:{}", "like a row": "lease 4 user {}", "%s": "%d"},
]

NAMES = [
    "a",
    "1",
    "-1",
    " ",
    "a b",
    "a:b",
    ":",
    "::",
    "{a}",
    "}{",
    "{djp}:u:x",
    "line\nbreak",
    "tab\tand\rmore",
    "*",
    "a?[b]^",
    "ünïcødé",
    "名前",
    "👩‍👩‍👧",
    "e\u0301",
    "\u00e9",
    "\x00",
    "%2F/..",
    "x" * 255,
    "ж" * 255,
]


def join(
    seq: int,
    ref: str = "ref",
    user: str = "user",
    key: str = "room",
    *,
    meta: str = "{}",
    epoch: str | None = None,
    tag: str | None = None,
    joined_at: float | None = None,
    said: float | None = None,
) -> Op:
    return Join(seq, key, ref, user, meta, epoch or uuid4().hex, tag or uuid4().hex, joined_at, said)


def leave(seq: int, ref: str = "ref", key: str = "room", *, tag: str | None = None) -> Op:
    return Leave(seq, key, ref, tag or uuid4().hex)


def done(reply: Reply) -> Change:
    """The Change of a write that made one."""
    assert reply.status is Status.OK
    assert reply.change is not None
    return reply.change


def metas(change: Change | None) -> dict[str, tuple[str | None, str | None]]:
    """The meta of each user of a Change before and after it."""
    assert change is not None
    return {user: (was and was.meta, now and now.meta) for user, was, now in change.steps}


class Awaited:
    """A backend whose blocking verbs run their ``a``-twins in a loop."""

    def __init__(self, backend: Backend, runner: asyncio.Runner) -> None:
        self._backend = backend
        self._runner = runner

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        averb = getattr(self._backend, f"a{verb}")
        return lambda *args, **kwargs: self._runner.run(averb(*args, **kwargs))


class BackendContract:
    """Subclass it and override the fixture ``backend``. Every test begins with an empty backend."""

    @pytest.fixture
    def backend(self) -> Backend:
        """A backend with nothing in it."""
        raise NotImplementedError("Override the fixture 'backend'.")

    def stored(self, backend: Backend) -> Collection[str]:
        """The names of all that *backend* keeps, but for its birth and when it was heard from, so that a test can see that nothing is left.
        Override it if you can."""
        return ()

    @pytest.fixture(params=["blocking", "awaited"])
    def verbs(self, request: pytest.FixtureRequest, backend: Backend) -> Iterator[Backend]:
        """The backend, and once more its ``a``-twins in place of its blocking verbs."""
        if request.param == "blocking":
            yield backend
            backend.close()
            return
        with asyncio.Runner() as runner:
            yield cast(Backend, Awaited(backend, runner))
            runner.run(backend.aclose())

    # The gate

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

    # Changes

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

    # Users and their connections

    def test_two_connections_are_one_user(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        one, two = verbs.write("lease", [join(1, "tab1", joined_at=5.0), join(2, "tab2", joined_at=9.0)])
        assert done(one).records == {"user": Member(1, 5.0, "{}")}
        assert done(two).records == {"user": Member(2, 5.0, "{}")}
        assert done(two).count == verbs.count("room") == 1
        closed = done(verbs.write("lease", [leave(3, "tab1")])[0])
        assert closed.records == {"user": Member(1, 5.0, "{}")}
        gone = done(verbs.write("lease", [leave(4, "tab2")])[0])
        assert gone.records == {"user": None}

    def test_joining_again_updates(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        verbs.write("lease", [join(1, meta='{"a":1}', joined_at=5.0)])
        update = done(verbs.write("lease", [join(2, meta='{"a":2}')])[0])
        assert update.records == {"user": Member(1, 5.0, '{"a":2}')}
        assert update.count == 1

    def test_the_meta_is_the_one_that_was_said_last(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        ops = [
            join(1, "tab1", meta='{"a":1}'),
            join(2, "tab2", meta='{"a":2}'),
            join(3, "tab1", meta='{"a":1}'),  # once more
            join(4, "tab2", meta='{"a":3}'),
            join(5, "tab3", meta='{"a":4}'),
        ]
        replies = verbs.write("lease", ops)
        shown = [metas(reply.change)["user"][1] for reply in replies]
        assert shown == ['{"a":1}', '{"a":2}', '{"a":1}', '{"a":3}', '{"a":4}']
        assert [reply.said for reply in replies] == sorted({reply.said for reply in replies})

    @pytest.mark.parametrize("end", ["leave", "reap", "release", "relogin"])
    def test_a_meta_goes_with_its_connection(self, verbs: Backend, end: str) -> None:
        """The record goes back to what another open connection said last, and that is an update."""
        verbs.open("reaper", LONG)
        verbs.open("one", LONG)
        verbs.open("two", LONG)
        verbs.write("one", [join(1, "tab1", meta='{"a":1}'), join(2, "tab2", meta='{"a":2}')])
        verbs.write("two", [join(1, "tab3", meta='{"a":3}', joined_at=5.0)])
        verbs.write("one", [join(3, "tab1", meta='{"a":4}')])
        verbs.write("two", [join(2, "tab3", meta='{"typing":true}')])
        change: Change | None
        if end == "leave":
            change = done(verbs.write("two", [leave(3, "tab3")])[0])
        elif end == "release":
            change = verbs.release("room", "tab3", "tag")
        elif end == "relogin":
            change = done(verbs.write("two", [join(3, "tab3", "another")])[0])
        else:
            verbs.drain("two", GONE)
            assert verbs.claim("reaper", 500, 0)
            change = verbs.reap("two", "room", ["tab3"], "tag")
        assert metas(change)["user"] == ('{"typing":true}', '{"a":4}')
        assert verbs.member("room", "user") == Member(2, 5.0, '{"a":4}')
        closed = done(verbs.write("one", [leave(4, "tab1")])[0])
        assert closed.records == {"user": Member(1, 5.0, '{"a":2}')}
        again = verbs.write("one", [join(5, "tab4", meta='{"a":5}'), leave(6, "tab4"), leave(7, "tab2")])
        assert [metas(reply.change)["user"] for reply in again] == [
            ('{"a":2}', '{"a":5}'),
            ('{"a":5}', '{"a":2}'),
            ('{"a":2}', None),
        ]

    def test_a_meta_that_is_given_back_keeps_its_time(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        ops = [
            join(1, "tab1", meta='{"a":1}', said=30.0),
            join(2, "tab2", meta='{"a":2}', said=20.0),
            join(3, "tab3", meta='{"a":3}', said=40.0),
            join(4, "tab3", meta='{"a":3}', said=10.0),  # known to be said later
            leave(5, "tab3"),
            join(6, "tab2", meta='{"a":2}', said=50.0),
            join(7, "tab2", meta='{"a":4}', said=25.0),
        ]
        replies = verbs.write("lease", ops)
        assert [reply.said for reply in replies] == [30.0, 20.0, 40.0, 40.0, 0.0, 50.0, 25.0]
        shown = [metas(reply.change)["user"][1] for reply in replies if reply.change]
        assert shown == ['{"a":1}', '{"a":1}', '{"a":3}', '{"a":1}', '{"a":2}', '{"a":1}']

    def test_what_is_said_now_is_later_than_what_was_given_back(self, verbs: Backend) -> None:
        """A store may have a clock that is behind that of the store before it."""
        verbs.open("lease", LONG)
        ahead = time.time() + LONG
        ops = [
            join(1, "tab1", meta='{"a":1}', said=ahead),
            join(2, "tab2", meta='{"a":2}'),
            join(3, "tab1", meta='{"a":3}'),
            join(4, "tab2", meta='{"a":4}'),
        ]
        replies = verbs.write("lease", ops)
        assert [metas(reply.change)["user"][1] for reply in replies] == [
            '{"a":1}',
            '{"a":2}',
            '{"a":3}',
            '{"a":4}',
        ]

    def test_many_connections_of_many_users_keep_their_metas_apart(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        names = ["a", "a:1", "1:a", "aa", "", "ü", "\x00"]
        seq = itertools.count(1)
        for number in range(3):
            verbs.write(
                "lease",
                [
                    join(next(seq), f"r{i}-{number}", f"u{name}", meta=f'{{"n":{number},"of":{i}}}')
                    for i, name in enumerate(names)
                ],
            )
        for number in (2, 1):
            for i, name in enumerate(names):
                change = done(verbs.write("lease", [leave(next(seq), f"r{i}-{number}")])[0])
                assert metas(change) == {
                    f"u{name}": (f'{{"n":{number},"of":{i}}}', f'{{"n":{number - 1},"of":{i}}}')
                }

    def test_a_ref_that_passes_to_another_user_leaves_none_behind(self, verbs: Backend) -> None:
        verbs.open("one", LONG)
        verbs.open("two", LONG)
        verbs.write("one", [join(1, user="before", joined_at=1.0)])
        change = done(verbs.write("two", [join(1, user="after", joined_at=2.0)])[0])
        assert change.records == {"before": None, "after": Member(1, 2.0, "{}")}
        assert change.count == 1
        verbs.write("two", [leave(2)])
        assert verbs.snapshots(["room"]) == [Snapshot(None, {})]

    def test_joined_at_is_the_backends_clock_unless_given(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        verbs.write("lease", [join(1), join(2, "ref2", "user2", joined_at=1234567890.123456)])
        members = verbs.snapshots(["room"])[0].members
        assert abs(members["user"].joined_at - time.time()) < 3600
        assert members["user2"].joined_at == 1234567890.123456

    def test_an_earlier_joined_at_counts_and_a_later_one_does_not(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        verbs.write("lease", [join(1, joined_at=100.0)])
        assert verbs.write("lease", [join(2, joined_at=200.0)])[0].change is None
        earlier = done(verbs.write("lease", [join(3, joined_at=50.5)])[0])
        assert earlier.records == {"user": Member(1, 50.5, "{}")}
        second = done(verbs.write("lease", [join(4, "ref2", joined_at=25.25)])[0])
        assert second.records == {"user": Member(2, 25.25, "{}")}

    def test_a_user_who_has_left_joins_at_a_new_time(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        verbs.write("lease", [join(1, joined_at=1.0), join(2, "ref2", "user2"), leave(3), join(4)])
        member = verbs.member("room", "user")
        assert member is not None
        assert member.joined_at > 1.0

    # Leases

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

    def lives_for_its_ttl(self, verbs: Backend, name: str, extend: Callable[[str, str], bool]) -> None:
        """See that *extend* (lease, ref) lets a lease live for its ttl from then on, and no longer."""
        verbs.open("reaper", LONG)
        for attempt, ttl in enumerate((0.2, 1.0, 5.0)):
            lease, ref = f"{name}{attempt}", f"ref{attempt}"
            verbs.open(lease, ttl)
            verbs.write(lease, [join(1, ref)])
            opened = time.monotonic()
            late = False
            while not late and time.monotonic() < opened + 1.5 * ttl:
                extended = time.monotonic()
                alive = extend(lease, ref)
                time.sleep(ttl / 4)
                work = verbs.claim("reaper", 500, 0)
                late = (
                    time.monotonic() >= extended + ttl
                )  # a busy machine cannot tell: once more, with more time
                assert late or (alive and not work)
            deadline = time.monotonic() + BOUND
            while not (work := verbs.claim("reaper", 500, 0)):
                assert time.monotonic() < deadline
                time.sleep(ttl / 10)
            assert work == [Work(lease, "room", [ref])]
            verbs.reap(lease, "room", [ref], uuid4().hex)
            if not late:
                return
        pytest.skip("This machine is too busy to tell.")

    # Claiming and reaping

    def test_what_expired_is_claimed_with_its_work(self, verbs: Backend) -> None:
        verbs.open("reaper", LONG)
        verbs.open("dead", GONE)
        verbs.open("alive", LONG)
        verbs.write("dead", [join(1, "a"), join(2, "b"), join(3, "c", key="hall")])
        verbs.write("alive", [join(1, "d")])
        work = verbs.claim("reaper", 500, LONG)
        assert work is not None
        assert self.sorted(work) == [("dead", "hall", ["c"]), ("dead", "room", ["a", "b"])]
        assert self.sorted(verbs.claim("reaper", 500, LONG) or []) == self.sorted(work)

    def reaped(self, verbs: Backend, own: str, limit: int) -> Iterator[Change]:
        """The Changes that come of reaping whatever there is."""
        deadline = time.monotonic() + BOUND
        while work := verbs.claim(own, limit, 0):
            assert time.monotonic() < deadline, f"there is still work: {work}"
            for lease, key, refs in work:
                if change := verbs.reap(lease, key, refs, uuid4().hex):
                    yield change

    def sorted(self, work: Iterable[Work]) -> list[tuple[str, str, list[str]]]:
        return sorted((lease, key, sorted(refs)) for lease, key, refs in work)

    def test_a_claimed_lease_never_writes_again(self, verbs: Backend) -> None:
        verbs.open("reaper", LONG)
        verbs.open("lease", GONE)
        verbs.write("lease", [join(1)])
        assert verbs.claim("reaper", 500, 0)
        before = verbs.snapshots(["room"])
        for _ in range(2):
            assert verbs.renew("lease", 1, ["room"]) == Renewal(Status.DEAD)
            late = [leave(1), leave(2), join(2, "ref2", "ghost")]
            assert verbs.write("lease", late) == [Reply(Status.DEAD)] * 3
            verbs.drain("lease", LONG)
            verbs.open("lease", LONG)
        assert verbs.snapshots(["room"]) == before

    def test_reaping_removes_what_hangs_on_the_lease_and_only_once(self, verbs: Backend) -> None:
        verbs.open("reaper", LONG)
        verbs.open("dead", GONE)
        verbs.write("dead", [join(1, "a", "alice"), join(2, "b", "bob")])
        verbs.write("reaper", [join(1, "c", "carol")])
        assert verbs.claim("reaper", 500, 0)
        change = verbs.reap("dead", "room", ["a", "b", "c", "unknown"], "reaped")
        assert change is not None
        assert change.records == {"alice": None, "bob": None}
        assert (change.place.version, change.place.tag, change.count) == (4, "reaped", 1)
        assert verbs.reap("dead", "room", ["a", "b"], "again") is None
        assert verbs.claim("reaper", 500, 0) == []
        assert verbs.snapshots(["room"])[0].members.keys() == {"carol"}

    def test_reaping_the_last_of_a_group_ends_it(self, verbs: Backend) -> None:
        verbs.open("reaper", LONG)
        verbs.open("dead", GONE)
        verbs.write("dead", [join(1)])
        verbs.claim("reaper", 500, 0)
        change = verbs.reap("dead", "room", ["ref"], "reaped")
        assert change is not None
        assert (change.records, change.count) == ({"user": None}, 0)
        assert verbs.snapshots(["room"]) == [Snapshot(None, {})]

    def test_only_a_claimed_lease_is_reaped(self, verbs: Backend) -> None:
        verbs.open("lease", GONE)
        verbs.write("lease", [join(1)])
        assert verbs.reap("lease", "room", ["ref"], "tag") is None
        assert verbs.reap("unknown", "room", ["ref"], "tag") is None
        assert verbs.count("room") == 1

    def test_what_has_moved_to_another_lease_survives_the_reap(self, verbs: Backend) -> None:
        verbs.open("reaper", LONG)
        verbs.open("dead", GONE)
        verbs.write("dead", [join(1, "moved", joined_at=1.0), join(2, "lost")])
        assert verbs.claim("reaper", 500, 0)
        assert verbs.write("reaper", [join(1, "moved")])[0].change is None
        change = verbs.reap("dead", "room", ["moved", "lost"], "tag")
        assert change is not None
        assert change.records == {"user": Member(1, 1.0, "{}")}
        assert verbs.claim("reaper", 500, 0) == []

    def test_work_is_given_out_in_bounded_pieces(self, verbs: Backend) -> None:
        verbs.open("reaper", LONG)
        for lease in ("one", "two"):
            verbs.open(lease, GONE)
            verbs.write(lease, [join(n, f"{lease}{n}", f"{lease}{n}") for n in range(1, 8)])
        for _ in range(14):
            work = verbs.claim("reaper", 3, 0)
            assert work is not None
            if not verbs.count("room"):
                break
            assert 1 <= sum(len(refs) for _, _, refs in work) <= 3
            for lease, key, refs in work:
                assert verbs.reap(lease, key, refs, uuid4().hex)
        assert verbs.count("room") == 0

    def test_who_has_expired_or_is_unknown_claims_nothing(self, verbs: Backend) -> None:
        verbs.open("dead", GONE)
        verbs.write("dead", [join(1)])
        verbs.open("expired", GONE)
        assert verbs.claim("expired", 500, 0) is None
        assert verbs.claim("unknown", 500, 0) is None
        assert verbs.renew("dead", 1, []).status is Status.OK

    def test_without_a_lease_jobs_are_claimed_at_once_and_processes_after_a_lag(self, verbs: Backend) -> None:
        verbs.open("process", GONE)
        verbs.open("job:1", GONE)
        verbs.open("job:2", LONG)
        verbs.write("process", [join(1, "a")])
        verbs.write("job:1", [join(1, "b")])
        verbs.write("job:2", [join(1, "c")])
        assert verbs.claim(None, 500, LONG) == [Work("job:1", "room", ["b"])]
        assert verbs.renew("process", 1, []).status is Status.OK
        assert self.sorted(verbs.claim(None, 500, 0) or []) == [
            ("job:1", "room", ["b"]),
            ("process", "room", ["a"]),
        ]

    def claims_nothing(self, verbs: Backend, own: str, within: float) -> Callable[[], None]:
        """See that *own* claims nothing for so many seconds from here on: once, as a busy machine may be late."""
        until = time.monotonic() + within

        def check() -> None:
            work = verbs.claim(own, 500, 0)
            assert work == [] or time.monotonic() > until

        return check

    def test_a_lease_is_claimed_if_the_store_was_heard_from_long_enough(self, verbs: Backend) -> None:
        unheard = 0.5
        check = self.claims_nothing(verbs, "reaper", unheard)
        verbs.open("reaper", LONG, unheard, LONG)
        verbs.open("dead", GONE, unheard, LONG)
        verbs.write("dead", [join(1)])
        check()
        time.sleep(unheard + 0.1)
        assert verbs.claim("reaper", 500, 0) == [Work("dead", "room", ["ref"])]

    def test_after_a_silence_everybody_has_their_turn(self, verbs: Backend) -> None:
        """A pause of all, in which nobody who is alive could renew, is no reason to claim."""
        unheard = pause = 0.5
        verbs.open("reaper", LONG, unheard, pause)
        verbs.open("late", GONE, unheard, pause)
        verbs.write("late", [join(1)])
        time.sleep(pause + 0.2)
        assert verbs.claim("reaper", 500, 0) == []  # nobody was heard from up to this moment
        check = self.claims_nothing(verbs, "reaper", unheard)
        assert verbs.renew("reaper", 0, []).status is Status.OK
        check()
        verbs.renew("late", 1, [])  # its ttl is 0, so it has expired again at once
        deadline = time.monotonic() + BOUND
        while not (work := verbs.claim("reaper", 500, 0)) and time.monotonic() < deadline:
            time.sleep(pause / 5)
            verbs.renew("reaper", 0, [])
        assert work == [Work("late", "room", ["ref"])]

    def test_a_silence_protects_no_job_and_nobody_from_those_without_a_lease(self, verbs: Backend) -> None:
        verbs.open("reaper", LONG, LONG, LONG)
        verbs.open("job:1", GONE)
        verbs.open("process", GONE, LONG, LONG)
        verbs.write("job:1", [join(1, "a")])
        verbs.write("process", [join(1, "b")])
        assert verbs.claim("reaper", 500, 0) == [Work("job:1", "room", ["a"])]
        assert verbs.claim(None, 500, LONG) == [Work("job:1", "room", ["a"])]
        assert self.sorted(verbs.claim(None, 500, 0) or []) == [
            ("job:1", "room", ["a"]),
            ("process", "room", ["b"]),
        ]

    def test_two_reapers_make_one_change_of_each_connection(self, backend: Backend) -> None:
        users = [f"user{number}" for number in range(40)]
        backend.open("dead", GONE)
        backend.write("dead", [join(n, f"ref{n}", user) for n, user in enumerate(users, 1)])
        changes: list[Change] = []
        start = threading.Barrier(2)

        def reap(own: str) -> None:
            backend.open(own, LONG)
            start.wait(BOUND)
            changes.extend(self.reaped(backend, own, 5))

        reapers = [threading.Thread(target=reap, args=(own,)) for own in ("one", "two")]
        for reaper in reapers:
            reaper.start()
        for reaper in reapers:
            reaper.join(BOUND)
        backend.close()
        assert backend.count("room") == 0
        assert sorted(user for change in changes for user in change.records) == sorted(users)
        assert all(member is None for change in changes for member in change.records.values())
        changes.sort(key=lambda change: change.place.version)
        assert [change.place.version for change in changes] == list(range(41, 41 + len(changes)))
        assert [change.prev for change in changes[1:]] == [change.place.tag for change in changes[:-1]]

    # Draining

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

    # Jobs

    def test_a_beat_extends_a_job(self, verbs: Backend) -> None:
        self.lives_for_its_ttl(verbs, "job:", lambda lease, ref: verbs.beat("room", ref))

    def test_a_beat_finds_no_job_that_is_gone_or_claimed_or_a_process(self, verbs: Backend) -> None:
        verbs.open("process", LONG)
        verbs.write("process", [join(1, "connection")])
        verbs.open("job:1", GONE)
        verbs.write("job:1", [join(1)])
        assert verbs.beat("room", "connection") is False
        assert verbs.beat("room", "unknown") is False
        assert verbs.beat("nowhere", "ref") is False
        assert verbs.claim("process", 500, 0)
        assert verbs.beat("room", "ref") is False

    def test_a_job_that_joins_again_hangs_on_its_new_lease(self, verbs: Backend, backend: Backend) -> None:
        verbs.open("job:1", LONG)
        verbs.write("job:1", [join(1, joined_at=1.0)])
        verbs.open("job:2", LONG)
        assert verbs.write("job:2", [join(1)])[0].change is None
        assert verbs.renew("job:1", 1, []).status is Status.DEAD
        assert verbs.renew("job:2", 1, []).status is Status.OK
        assert not [name for name in self.stored(backend) if "job:1" in name]

    def test_a_job_ends_with_its_last_ref_and_not_before(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        verbs.open("job:1", LONG)
        verbs.write("job:1", [join(1, "a"), join(2, "b"), leave(3, "a")])
        assert verbs.renew("job:1", 3, []).status is Status.OK
        verbs.write("lease", [join(1, "b", "somebody else")])
        assert verbs.renew("job:1", 3, []).status is Status.DEAD
        assert verbs.snapshots(["room"])[0].members.keys() == {"somebody else"}

    def test_releasing_takes_a_ref_from_any_lease(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        verbs.open("job:1", LONG)
        verbs.write("lease", [join(1, "a", tag="t1")])
        verbs.write("job:1", [join(1, "b", "bot", tag="t2")])
        change = verbs.release("room", "b", "t3")
        assert change is not None
        assert (change.records, change.prev, change.place.tag) == ({"bot": None}, "t2", "t3")
        assert verbs.beat("room", "b") is False
        assert verbs.renew("job:1", 1, []).status is Status.DEAD
        assert verbs.release("room", "b", "t4") is None
        last = verbs.release("room", "a", "t5")
        assert last is not None
        assert last.count == 0
        assert verbs.renew("lease", 1, []).status is Status.OK

    # What is kept

    @pytest.mark.parametrize("end", ["leave", "reap", "release"])
    def test_nothing_is_left_in_the_end(self, verbs: Backend, backend: Backend, end: str) -> None:
        verbs.open("reaper", LONG)
        verbs.open("one", LONG)
        verbs.open("two", LONG)
        verbs.open("job:1", LONG)
        verbs.open("job:2", LONG)
        verbs.write("one", [join(1, "a"), join(2, "b", "bob"), join(3, "a", key="hall")])
        verbs.write("two", [join(1, "b", "bob"), join(2, "c", "carol", meta='{"a":1}')])
        verbs.write("job:1", [join(1, "d", "bot")])
        verbs.write("job:2", [join(1, "d", "bot")])
        if end == "leave":
            verbs.write("one", [leave(4, "a"), leave(5, "a", key="hall")])
            verbs.write("two", [leave(3, "b"), leave(4, "c")])
        if end == "release":
            for key, ref in [("room", "a"), ("room", "b"), ("room", "c"), ("hall", "a")]:
                assert verbs.release(key, ref, uuid4().hex)
        for lease in ("one", "two", "job:2"):
            verbs.drain(lease, GONE)
        list(self.reaped(verbs, "reaper", 2))
        verbs.drain("reaper", GONE)
        assert verbs.claim(None, 500, 0) == []
        assert verbs.count("room") == verbs.count("hall") == 0
        assert list(self.stored(backend)) == []

    @pytest.mark.parametrize("meta", METAS, ids=lambda meta: next(iter(meta), "empty"))
    def test_metas_come_back_as_they_were(self, verbs: Backend, meta: dict[str, Any]) -> None:
        text = json.dumps(meta, ensure_ascii=False, separators=(",", ":"))
        verbs.open("lease", LONG)
        replies = verbs.write("lease", [join(1, meta=text), join(2, meta='{"other":0}'), join(3, meta=text)])
        for reply in (replies[0], replies[2]):
            member = done(reply).records["user"]
            assert member is not None
            assert member.meta == text
        member = verbs.member("room", "user")
        assert member is not None
        assert member == verbs.snapshots(["room"])[0].members["user"]
        assert member.meta == text

    def test_any_text_names_a_group_or_a_user(self, verbs: Backend) -> None:
        verbs.open("one", LONG)
        verbs.open("two", LONG)
        seq = 0
        for key in NAMES:
            for user in NAMES:
                seq += 1
                assert done(verbs.write("one", [join(seq, "r1", user, key, joined_at=1.0)])[0]).key == key
                if seq % 5 == 0:  # the users of a group take turns; some of them stay
                    verbs.write("two", [join(seq // 5, f"s{seq}", user, key, joined_at=1.0)])
        for key, snapshot in zip(NAMES, verbs.snapshots(NAMES), strict=True):
            assert NAMES[-1] in snapshot.members
            assert verbs.count(key) == len(snapshot.members)
            assert verbs.members(key, NAMES) == [snapshot.members.get(user) for user in NAMES]
        assert verbs.renew("one", seq, NAMES).places.keys() == set(NAMES)
        verbs.open("reaper", LONG)
        verbs.drain("one", GONE)
        verbs.drain("two", GONE)
        assert list(self.reaped(verbs, "reaper", 500))
        assert verbs.snapshots(NAMES) == [Snapshot(None, {})] * len(NAMES)

    def test_no_process_sees_half_a_step(self, backend: Backend) -> None:
        """While users come and go, each snapshot is of one place in the group's history."""
        seen: dict[tuple[str, int], set[str]] = {}
        stop = threading.Event()

        def watch() -> None:
            while not stop.is_set():
                place, members = backend.snapshots(["room"])[0]
                if place:
                    seen[place.epoch, place.version] = set(members)

        watcher = threading.Thread(target=watch)
        watcher.start()
        backend.open("lease", LONG)
        expected: dict[tuple[str, int], set[str]] = {}
        present: set[str] = set()
        deadline = time.monotonic() + BOUND
        for seq in itertools.count(1):
            user = f"user{seq * 7 % 11}"
            op = leave(seq, user) if user in present else join(seq, user, user)
            present ^= {user}
            place = done(backend.write("lease", [op])[0]).place
            expected[place.epoch, place.version] = set(present)
            if len(seen) >= 20 or time.monotonic() > deadline:
                break
        stop.set()
        watcher.join(BOUND)
        backend.close()
        assert seen
        assert all(expected[at] == users for at, users in seen.items())
