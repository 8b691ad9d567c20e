"""Groups that are read in parts, in the order of their members."""

from __future__ import annotations

from uuid import uuid4

import pytest

from ...backends.base import Backend
from ...state.records import Member
from .base import GONE, LONG, BackendSuite, join, leave

__all__ = ["PartsContract"]

# In the order of their code points, which differs from that of UTF-16 and of languages.
USERS = ["", "\x00", "1", "10", "2", "B", "a", "a b", "ab", "z", "ä", "\ud7ff", "\uffee", "\U0001f600"]


class PartsContract(BackendSuite):
    def test_a_part_has_the_first_members_with_what_they_are(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        ops = [join(n, f"ref{n}", f"user{n}", meta=f'{{"n":{n}}}', joined_at=10.25 - n) for n in (1, 2, 3)]
        verbs.write("lease", [*ops, join(4, "tab", "user2", meta="{}")])
        everybody = [
            ("user3", Member(1, 7.25, '{"n":3}')),
            ("user2", Member(2, 8.25, "{}")),
            ("user1", Member(1, 9.25, '{"n":1}')),
        ]
        assert [*verbs.page("room").items()] == everybody
        for limit in (0, 1, 2, 3, 4, 5000):
            assert [*verbs.page("room", limit).items()] == everybody[:limit]
        assert verbs.page("room") == verbs.snapshots(["room"])[0].members

    def test_a_part_of_nothing_is_empty(self, verbs: Backend) -> None:
        assert verbs.page("room") == verbs.page("room", 5) == verbs.page("room", 5, (1.5, "user")) == {}

    def test_parts_one_after_the_other_are_the_whole(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        count = 2500
        verbs.write("lease", [join(n, f"ref{n}", f"u{n}", joined_at=n / 8) for n in range(1, count + 1)])
        everybody = [f"u{n}" for n in range(1, count + 1)]
        for limit in (999, 1000, 1001, count):
            seen: list[str] = []
            spot: tuple[float, str] | None = None
            while part := verbs.page("room", limit, spot):
                seen += part
                spot = part[seen[-1]].joined_at, seen[-1]
            assert seen == everybody
        assert [*verbs.page("room")] == everybody
        assert [*verbs.page("room", None, (250 / 8, "u250"))] == everybody[250:]

    def test_equal_times_are_in_the_order_of_code_points(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        names = sorted(f"u{name}" for name in USERS)
        ops = [join(n, f"ref{n}", name, joined_at=1.7e9 + 0.000001) for n, name in enumerate(names[::-1], 1)]
        verbs.write("lease", ops)
        assert [*verbs.page("room")] == names
        for n, name in enumerate(names):
            assert [*verbs.page("room", 2, (1.7e9 + 0.000001, name))] == names[n + 1 : n + 3]
        assert [*verbs.page("room", None, (1.7e9, "z"))] == names
        assert [*verbs.page("room", None, (1.7e9 + 0.000002, ""))] == []

    @pytest.mark.parametrize("far", [0.0, -1.0, 2.0**60, float("inf"), float("-inf")])
    def test_a_part_may_begin_before_or_behind_all(self, verbs: Backend, far: float) -> None:
        verbs.open("lease", LONG)
        verbs.write("lease", [join(1), join(2, "ref2", "user2")])
        assert len(verbs.page("room", 5, (far, "m"))) == (2 if far < 1 else 0)

    @pytest.mark.parametrize("end", ["leave", "reap", "release"])
    def test_a_part_may_begin_after_somebody_who_has_left(self, verbs: Backend, end: str) -> None:
        verbs.open("reaper", LONG)
        verbs.open("lease", LONG)
        verbs.open("other", LONG)
        here = [2, 3, 5, 6]
        verbs.write(
            "lease", [join(n, f"ref{of}", f"user{of}", joined_at=of // 2) for n, of in enumerate(here, 1)]
        )
        verbs.write("other", [join(1, "ref4", "user4", joined_at=2.0)])
        assert [*verbs.page("room", 2, (2.0, "user4"))] == ["user5", "user6"]
        if end == "leave":
            verbs.write("other", [leave(2, "ref4")])
        elif end == "release":
            verbs.release("room", "ref4", uuid4().hex)
        else:
            verbs.drain("other", GONE)
            assert verbs.claim("reaper", 500, 0)
            verbs.reap("other", "room", ["ref4"], uuid4().hex)
        assert [*verbs.page("room")] == ["user2", "user3", "user5", "user6"]
        assert [*verbs.page("room", 2, (2.0, "user4"))] == ["user5", "user6"]

    def test_an_earlier_joined_at_moves_a_member(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        verbs.write("lease", [join(n, f"ref{n}", f"user{n}", joined_at=10.0 * n) for n in (1, 2, 3)])
        verbs.write(
            "lease", [join(4, "ref3", "user3", joined_at=5.5), join(5, "tab", "user2", joined_at=7.0)]
        )
        assert [*verbs.page("room")] == ["user3", "user2", "user1"]
        assert [*verbs.page("room", 1, (5.5, "user3"))] == ["user2"]
        verbs.write("lease", [leave(6, "ref2"), join(7, "ref1", "user1", meta='{"a":1}')])
        assert [*verbs.page("room")] == ["user3", "user2", "user1"]
        verbs.write(
            "lease", [join(8, "ref3", "user4", joined_at=20.0)]
        )  # a user who takes over another's connection
        assert [*verbs.page("room")] == ["user2", "user1", "user4"]
