from __future__ import annotations

from typing import Any

import pytest

from djust_presence.cursors import Position

FRAME: dict[str, Any] = {"x": 1, "y": 2}


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
def test_a_malformed_position_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="coordinate|field"):
        Position.read(FRAME | wrong)


def test_only_the_same_position_keeps_its_anchor() -> None:
    position = Position(1, 2, 30, 40, "word", 5, 6, 7, 8, "canvas", True)
    assert position.at(1, 2) == position
    assert position.at(10, 20) == Position(10, 20, 30, 40, surface="canvas", touch=True)
