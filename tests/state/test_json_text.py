"""JSON from outside, at and around what it may be."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from djust_presence.state.json_text import MAX_LEVELS, decode, encode, is_too_deep


def nested(levels: int, inner: Any = 0) -> Any:
    """A value of so many levels: lists and objects in turn."""
    for level in range(levels):
        inner = {"a": inner} if level % 2 else [inner]
    return inner


def depth(value: Any) -> int:
    match value:
        case dict():
            return 1 + max(map(depth, value.values()), default=0)
        case list():
            return 1 + max(map(depth, value), default=0)
    return 0


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('[]{}"\\,:aä\n'),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('[{"\\x', max_size=3), inner, max_size=3)
    ),
    max_leaves=60,
)


@given(values, st.integers(0, 8), st.booleans())
def test_the_levels_of_a_text_are_those_of_its_value(value: Any, levels: int, ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii)
    assert is_too_deep(text, levels) is (depth(value) > levels)


@given(st.text('[]{}"\\a', max_size=200), st.integers(0, 8))
def test_every_text_has_an_answer(text: str, levels: int) -> None:
    assert is_too_deep(text, levels) in (False, True)


@pytest.mark.parametrize("levels", [MAX_LEVELS - 1, MAX_LEVELS])
def test_a_value_may_have_32_levels(levels: int) -> None:
    assert decode(encode(nested(levels))) == nested(levels)


@pytest.mark.parametrize("levels", [MAX_LEVELS + 1, 600, *range(900, 1010, 10), 5_000])
def test_more_levels_are_an_error_that_says_so_wherever_the_recursion_limit_is(levels: int) -> None:
    value = nested(levels)
    with pytest.raises(ValueError, match="nested deeper than 32 levels"):
        encode(value)
    for text in ("[" * levels + "]" * levels, '{"a":' * levels + "0" + "}" * levels, "[" * levels):
        with pytest.raises(ValueError, match="at most 32 levels"):
            decode(text)


def test_a_value_is_an_error_also_where_the_stack_is_nearly_full() -> None:
    def at(depth: int) -> None:
        if depth:
            at(depth - 1)
        else:
            with pytest.raises(ValueError, match="nested deeper"):
                encode(nested(40))

    frames = 0
    frame: Any = sys._getframe()
    while frame:
        frames, frame = frames + 1, frame.f_back
    at(sys.getrecursionlimit() - frames - 100)


@pytest.mark.parametrize("value", [dict.fromkeys(map(str, range(100_000)), 1), [[]] * 100_000])
def test_a_wide_value_is_none_of_that(value: Any) -> None:
    assert decode(encode(value)) == value


def test_a_value_that_json_does_not_have_is_an_error() -> None:
    for value in (10**5000, float("nan"), float("inf"), object(), {1, 2}, {(): 1}, b"x"):
        with pytest.raises((TypeError, ValueError)):
            encode(value)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "Expecting value"),
        ("[", "Expecting value"),
        ("{'a': 1}", "Expecting property name"),
        ("NaN", "NaN is not JSON"),
        ("-Infinity", "-Infinity is not JSON"),
        ("1e999", "number is too large"),
        ("[1e400]", "number is too large"),
        ("9" * 5000, "4300 digits"),
        ('"\\ud800"', "surrogates not allowed"),
        ('"\ud800"', "surrogates not allowed"),
    ],
)
def test_a_text_that_is_no_json_is_an_error(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        decode(text)


def test_half_a_pair_may_be_let_in_and_of_a_key_that_comes_twice_the_last_counts() -> None:
    assert decode('"\\ud800"', half_pairs=True) == "\ud800"
    assert decode('{"a": 1, "a": 2}') == {"a": 2}
