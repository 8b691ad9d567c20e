from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from djust_presence.cursors.pointers import Pointers, Position
from djust_presence.keys import opaque_id
from djust_presence.state.records import Member
from tests.cursors.drawing import Drawing

NOWHERE: dict[str, Any] = {"x": 1, "y": 2}


def member(name: str, color: str = "red") -> Member:
    return Member(1, 0.0, json.dumps({"name": name, "color": color}))


# Positions


def test_a_position_travels_without_its_empty_fields() -> None:
    assert Position.read({"x": 1, "y": 2}).pack() == [1, 2]
    assert Position.read({"x": 1, "y": 2, "w": 30, "h": 40}).pack() == [1, 2, 30, 40]
    frame = {
        "x": 1,
        "y": 2,
        "w": 30,
        "h": 40,
        "anchor": "word",
        "ax": 5,
        "ay": 6,
        "aw": 7,
        "ah": 8,
        "touch": True,
    }
    assert Position.read(frame).pack() == [1, 2, 30, 40, "word", 5, 6, 7, 8, None, True]
    assert Position(*Position.read(frame).pack()) == Position.read(frame)


@pytest.mark.parametrize(
    "wrong",
    [
        {"x": float("nan")},
        {"y": float("inf")},
        {"x": "1"},
        {"x": True},
        {"x": {}},
        {"y": None},
        {"x": 10**400},
        {"x": -1e9},
        {"w": "wide", "h": 1},
        {"w": 5},
        {"anchor": "a"},
        {"anchor": "a", "ax": 1, "ay": float("nan")},
        {"anchor": 5},
        {"anchor": ""},
        {"anchor": "a" * 50_000, "ax": 1, "ay": 1},
        {"surface": ["a"]},
        {"surface": "s" * 200},
    ],
)
def test_what_is_no_position_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="coordinate|field"):
        Position.read(NOWHERE | wrong)


def test_another_place_has_no_anchor_and_the_same_place_keeps_it() -> None:
    position = Position(1, 2, 30, 40, "word", 5, 6, 7, 8, "canvas", True)
    assert position.at(1, 2) == position
    assert position.at(10, 20) == Position(10, 20, 30, 40, surface="canvas", touch=True)


# Pictures


class Room:
    """Pointers, with who is present and what pages and another process have been told."""

    def __init__(self) -> None:
        self.present: dict[str, Member] = {}
        self.pointers = Pointers("board", self.present.get)
        self.follower = Drawing()
        self.now = 0.0

    def move(self, ref: str, user: str, *position: Any) -> None:
        self.now += 1
        self.pointers.move(ref, user, Position(*position), self.now)

    def told(self) -> dict[str, Any]:
        news = self.pointers.news()._asdict()
        self.follower.take(news)
        return news


def test_pages_are_told_once_who_it_is_and_again_when_that_has_changed() -> None:
    room = Room()
    room.present["7"] = member("Ann")
    room.move("a", "7", 1, 2)
    assert room.told() == {
        "who": {"1": {"id": opaque_id("board", "7"), "name": "Ann", "color": "red"}},
        "moves": [[1, 1, 2]],
        "gone": [],
        "users": {"7"},
    }
    room.move("a", "7", 3, 4)
    assert room.told() == {"who": {}, "moves": [[1, 3, 4]], "gone": [], "users": {"7"}}
    room.present["7"] = member("Ann", "blue")
    room.pointers.touch(["7"])
    assert room.told()["who"] == {"1": {"id": opaque_id("board", "7"), "name": "Ann", "color": "blue"}}
    assert room.told() == {"who": {}, "moves": [], "gone": [], "users": frozenset()}


def test_nobody_sees_the_pointer_of_somebody_who_is_not_present() -> None:
    room = Room()
    room.move("a", "7", 1, 2)
    assert room.told()["moves"] == []
    room.present["7"] = member("Ann")
    room.pointers.touch(["7"])
    assert room.told()["moves"] == [[1, 1, 2]]
    del room.present["7"]
    room.pointers.touch(["7"])
    assert room.told()["gone"] == [1]
    assert room.told()["gone"] == []
    assert room.pointers.latest() == {}
    room.present["7"] = member("Ann")  # though nobody has told of it
    assert room.told()["moves"] == [[1, 1, 2]]


def test_pages_learn_no_user_id_and_no_more_of_a_meta_than_they_draw() -> None:
    room = Room()
    room.present["7"] = Member(
        1, 0.0, json.dumps({"name": "A" * 1000, "color": 7, "email": "ann@example.com"})
    )
    room.move("a", "7", 1, 2)
    [who] = room.told()["who"].values()
    assert who == {"id": opaque_id("board", "7"), "name": "A" * 128}


def test_an_older_or_repeated_word_of_another_process_moves_nothing() -> None:
    room = Room()
    room.present["7"] = member("Ann")
    room.pointers.hear({"a": ["7", 2, 0, 1, 1]}, [], 10)
    assert room.told()["moves"] == [[1, 1, 1]]
    room.pointers.hear({"a": ["7", 1, 0, 0, 0]}, [], 11)
    room.pointers.hear({"a": ["7", 2, 2.5, 1, 1]}, [], 12)
    assert room.told()["moves"] == []
    assert room.pointers.expire(9) == []
    assert room.pointers.expire(10) == ["a"]
    assert room.told()["gone"] == [1]


def test_a_later_move_counts_though_its_message_was_quicker() -> None:
    room = Room()
    room.present["7"] = member("Ann")
    room.pointers.hear({"a": ["7", 1, 0, 1, 1]}, [], 10)
    room.pointers.hear({"a": ["7", 2, 0.03, 2, 2]}, [], 10)
    assert room.told()["moves"] == [[1, 2, 2]]


def test_other_processes_are_told_of_ours_only() -> None:
    room = Room()
    room.move("a", "7", 1, 2)
    room.pointers.hear({"b": ["8", 1, 0, 3, 4]}, [], 1)
    assert room.pointers.unsent_moves(1.25) == ({"a": ["7", 1, 0.25, 1, 2]}, [])
    assert room.pointers.unsent_moves(2) == ({}, [])
    assert room.pointers.our_moves(2) == {"a": ["7", 1, 1, 1, 2]}
    room.pointers.remove("a")
    room.pointers.remove("b")
    assert room.pointers.unsent_moves(2) == ({}, ["a"])


USERS = st.sampled_from(["7", "8", "9"])
REFS = st.sampled_from(["a", "b", "c", "d"])
STEPS = st.one_of(
    st.tuples(st.just("move"), REFS, USERS, st.integers(0, 3)),
    st.tuples(st.just("remove"), REFS),
    st.tuples(st.just("come"), USERS, st.sampled_from(["red", "blue"])),
    st.tuples(st.just("leave"), USERS),
    st.tuples(st.just("expire"), st.integers(0, 5)),
    st.tuples(st.just("tell")),
)


@given(st.lists(STEPS, max_size=60))
def test_who_follows_the_news_draws_the_same_as_who_is_told_everything(steps: list[tuple[Any, ...]]) -> None:
    room = Room()
    for kind, *arguments in steps:
        match kind, arguments:
            case "move", [ref, user, x]:
                room.move(ref, user, x, 0)
            case "remove", [ref]:
                room.pointers.remove(ref)
            case "come", [user, color]:
                room.present[user] = member(f"name of {user}", color)
                room.pointers.touch([user])
            case "leave", [user]:
                room.present.pop(user, None)
                room.pointers.touch([user])
            case "expire", [age]:
                room.pointers.expire(room.now - age)
            case _:
                room.told()
    room.told()
    newcomer = Drawing().take(room.pointers.everything()._asdict() | {"all": True})
    assert room.follower.shown == newcomer.shown
    assert room.follower._who == newcomer._who
    assert len(newcomer._at) == sum(
        pointer.user in room.present for pointer in room.pointers._pointers.values()
    )


@given(st.lists(STEPS, max_size=60), st.floats(-100, 100))
def test_who_follows_the_messages_knows_the_same_pointers(steps: list[tuple[Any, ...]], late: float) -> None:
    room = Room()
    elsewhere = Pointers("board", room.present.get)
    for kind, *arguments in [*steps, ("tell",)]:
        match kind, arguments:
            case "move", [ref, user, x]:
                room.move(ref, user, x, 0)
            case "remove", [ref]:
                room.pointers.remove(ref)
            case "expire", [age]:
                room.pointers.expire(room.now - age)
            case "tell", []:
                elsewhere.hear(*room.pointers.unsent_moves(room.now), late)
                elsewhere.hear(room.pointers.our_moves(room.now), [], late + 1)
    assert {ref: (one.user, one.position) for ref, one in elsewhere._pointers.items()} == {
        ref: (one.user, one.position) for ref, one in room.pointers._pointers.items()
    }
