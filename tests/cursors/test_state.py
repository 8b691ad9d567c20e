from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from djust_presence.cursors import Position
from djust_presence.cursors.state import CursorStates
from djust_presence.keys import opaque_id
from djust_presence.state.records import Member
from tests.cursors.drawing import Drawing


def member(name: str, color: str = "red") -> Member:
    return Member(1, 0.0, json.dumps({"name": name, "color": color}))


class Room:
    """The cursors of a group with its members, and a page that is sent the news."""

    def __init__(self) -> None:
        self.present: dict[str, Member] = {}
        self.cursors = CursorStates("board", self.present.get)
        self.follower = Drawing()
        self.now = 0.0

    def move(self, ref: str, user: str, *position: Any) -> None:
        self.now += 1
        self.cursors.move(ref, user, Position(*position), self.now)

    def told(self) -> dict[str, Any]:
        news = self.cursors.news()._asdict()
        self.follower.take(news)
        return news


def test_pages_are_sent_name_and_colour_once_and_again_when_they_change() -> None:
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
    room.cursors.touch(["7"])
    assert room.told()["who"] == {"1": {"id": opaque_id("board", "7"), "name": "Ann", "color": "blue"}}
    assert room.told() == {"who": {}, "moves": [], "gone": [], "users": frozenset()}


def test_pages_draw_no_cursor_of_a_user_who_is_not_present() -> None:
    room = Room()
    room.move("a", "7", 1, 2)
    assert room.told()["moves"] == []
    room.present["7"] = member("Ann")
    room.cursors.touch(["7"])
    assert room.told()["moves"] == [[1, 1, 2]]
    del room.present["7"]
    room.cursors.touch(["7"])
    assert room.told()["gone"] == [1]
    assert room.told()["gone"] == []
    assert room.cursors.latest() == {}
    room.present["7"] = member("Ann")  # though no change has announced it
    assert room.told()["moves"] == [[1, 1, 2]]


def test_pages_learn_no_user_id_and_no_more_of_a_meta_than_they_draw() -> None:
    room = Room()
    room.present["7"] = Member(
        1, 0.0, json.dumps({"name": "A" * 1000, "color": 7, "email": "ann@example.com"})
    )
    room.move("a", "7", 1, 2)
    [who] = room.told()["who"].values()
    assert who == {"id": opaque_id("board", "7"), "name": "A" * 128}


def test_an_older_or_repeated_message_of_another_process_moves_nothing() -> None:
    room = Room()
    room.present["7"] = member("Ann")
    room.cursors.hear({"a": ["7", 2, 0, 1, 1]}, [], 10)
    assert room.told()["moves"] == [[1, 1, 1]]
    room.cursors.hear({"a": ["7", 1, 0, 0, 0]}, [], 11)
    room.cursors.hear({"a": ["7", 2, 2.5, 1, 1]}, [], 12)
    assert room.told()["moves"] == []
    assert room.cursors.expire(9) == []
    assert room.cursors.expire(10) == ["a"]
    assert room.told()["gone"] == [1]


def test_a_later_move_counts_though_its_message_took_less_time() -> None:
    room = Room()
    room.present["7"] = member("Ann")
    room.cursors.hear({"a": ["7", 1, 0, 1, 1]}, [], 10)
    room.cursors.hear({"a": ["7", 2, 0.03, 2, 2]}, [], 10)
    assert room.told()["moves"] == [[1, 2, 2]]


def test_other_processes_are_told_only_of_the_cursors_of_this_one() -> None:
    room = Room()
    room.move("a", "7", 1, 2)
    room.cursors.hear({"b": ["8", 1, 0, 3, 4]}, [], 1)
    assert room.cursors.unsent_moves(1.25) == ({"a": ["7", 1, 0.25, 1, 2]}, [])
    assert room.cursors.unsent_moves(2) == ({}, [])
    assert room.cursors.own_moves(2) == {"a": ["7", 1, 1, 1, 2]}
    room.cursors.remove("a")
    room.cursors.remove("b")
    assert room.cursors.unsent_moves(2) == ({}, ["a"])


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
def test_a_page_that_was_sent_the_news_draws_the_same_as_one_that_was_sent_everything(
    steps: list[tuple[Any, ...]],
) -> None:
    room = Room()
    for kind, *arguments in steps:
        match kind, arguments:
            case "move", [ref, user, x]:
                room.move(ref, user, x, 0)
            case "remove", [ref]:
                room.cursors.remove(ref)
            case "come", [user, color]:
                room.present[user] = member(f"name of {user}", color)
                room.cursors.touch([user])
            case "leave", [user]:
                room.present.pop(user, None)
                room.cursors.touch([user])
            case "expire", [age]:
                room.cursors.expire(room.now - age)
            case _:
                room.told()
    room.told()
    newcomer = Drawing().take(room.cursors.everything()._asdict() | {"all": True})
    assert room.follower.shown == newcomer.shown
    assert room.follower._who == newcomer._who
    assert len(newcomer._at) == sum(cursor.user in room.present for cursor in room.cursors._states.values())


@given(st.lists(STEPS, max_size=60), st.floats(-100, 100))
def test_a_process_that_received_the_messages_has_the_same_cursors(
    steps: list[tuple[Any, ...]], late: float
) -> None:
    room = Room()
    elsewhere = CursorStates("board", room.present.get)
    for kind, *arguments in [*steps, ("tell",)]:
        match kind, arguments:
            case "move", [ref, user, x]:
                room.move(ref, user, x, 0)
            case "remove", [ref]:
                room.cursors.remove(ref)
            case "expire", [age]:
                room.cursors.expire(room.now - age)
            case "tell", []:
                elsewhere.hear(*room.cursors.unsent_moves(room.now), late)
                elsewhere.hear(room.cursors.own_moves(room.now), [], late + 1)
    assert {ref: (one.user, one.position) for ref, one in elsewhere._states.items()} == {
        ref: (one.user, one.position) for ref, one in room.cursors._states.items()
    }
