"""Users with several connections: one record, and the meta that was said last."""

from __future__ import annotations

import itertools
import time

import pytest

from ...backends.base import Backend
from ...state.records import (
    Change,
    Member,
    Snapshot,
)
from .base import GONE, LONG, BackendSuite, done, join, leave, metas

__all__ = ["ConnectionsContract"]


class ConnectionsContract(BackendSuite):
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
            join(4, "tab3", meta='{"a":3}', said=10.0),  # said later, by the given time
            leave(5, "tab3"),
            join(6, "tab2", meta='{"a":2}', said=50.0),
            join(7, "tab2", meta='{"a":4}', said=25.0),
        ]
        replies = verbs.write("lease", ops)
        assert [reply.said for reply in replies] == [30.0, 20.0, 40.0, 40.0, 0.0, 50.0, 25.0]
        shown = [metas(reply.change)["user"][1] for reply in replies if reply.change]
        assert shown == ['{"a":1}', '{"a":1}', '{"a":3}', '{"a":1}', '{"a":2}', '{"a":1}']

    def test_what_is_said_now_is_later_than_what_was_given_back(self, verbs: Backend) -> None:
        """A new store's clock may be behind that of the store before it."""
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
