"""Metas as text, records as dicts, Changes in messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from djust_presence.state.metas import MAX_META_BYTES, decode_meta, encode_meta
from djust_presence.state.records import Change, Member, Place, record, records

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.builds(Member, st.integers(1, 9), st.floats(0, 2e9), st.just('{"name":"Zoë"}'))


@given(st.dictionaries(TEXT, JSON, max_size=4))
def test_a_meta_comes_back_from_its_text_as_it_was(meta: dict[str, Any]) -> None:
    assert decode_meta(encode_meta(meta)).copy() == meta


@pytest.mark.parametrize("value", [object(), {1}, float("nan"), float("inf"), "\ud800", b"bytes"])
def test_a_value_that_json_cannot_carry_is_refused_by_its_key(value: object) -> None:
    with pytest.raises(ValueError, match="colour"):
        encode_meta({"name": "Ada", "colour": value})


def test_a_meta_that_contains_itself_is_refused() -> None:
    meta: dict[str, Any] = {}
    meta["self"] = meta
    with pytest.raises(ValueError, match="self"):
        encode_meta(meta)


def test_a_key_that_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="7"):
        encode_meta({7: "seven"})  # type: ignore[dict-item]


def test_a_value_that_is_not_a_dictionary_is_refused() -> None:
    with pytest.raises(ValueError, match="list"):
        encode_meta([1])  # type: ignore[arg-type]


def test_the_size_of_a_meta_counts_bytes() -> None:
    room = MAX_META_BYTES - len(json.dumps({"name": ""}, separators=(",", ":")))
    assert len(encode_meta({"name": "x" * room}).encode()) == MAX_META_BYTES
    with pytest.raises(ValueError, match=str(MAX_META_BYTES)):
        encode_meta({"name": "é" * (room // 2 + 1)})


def test_a_record_has_the_meta_flat_and_whole() -> None:
    member = Member(2, 17.5, encode_meta({"name": "Ada", "colour": "#abc"}))
    assert record("7", member, "Guest") == {
        "id": "7",
        "name": "Ada",
        "colour": "#abc",
        "joined_at": 17.5,
        "connections": 2,
        "meta": {"name": "Ada", "colour": "#abc"},
    }


@pytest.mark.parametrize("meta", [{}, {"name": ""}, {"name": None}])
def test_a_user_whose_meta_has_no_name_is_a_guest(meta: dict[str, Any]) -> None:
    assert record("7", Member(1, 0.0, encode_meta(meta)), "Guest")["name"] == "Guest"


def test_a_meta_does_not_hide_what_a_record_says_by_itself() -> None:
    meta = {"id": "8", "joined_at": "never", "connections": 99, "meta": "mine"}
    found = record("7", Member(1, 5.0, encode_meta(meta)), "Guest")
    assert (found["id"], found["joined_at"], found["connections"], found["meta"]) == ("7", 5.0, 1, meta)


@given(st.dictionaries(TEXT, JSON, max_size=4))
def test_changing_a_record_changes_no_other(meta: dict[str, Any]) -> None:
    member = Member(1, 0.0, encode_meta(meta))
    first = record("7", member, "Guest")
    for holder in (first, first["meta"]):
        for value in holder.values():
            if isinstance(value, list | dict):
                value.clear()
    first.clear()
    assert record("7", member, "Guest")["meta"] == meta


def test_records_are_in_the_order_of_coming() -> None:
    members = {"b": Member(1, 2.0, "{}"), "c": Member(1, 1.0, "{}"), "a": Member(1, 2.0, "{}")}
    assert [one["id"] for one in records(members, "Guest")] == ["c", "a", "b"]


@given(
    st.builds(
        Change,
        st.just("room"),
        st.builds(Place, TEXT, st.integers(1), TEXT),
        TEXT,
        st.dictionaries(TEXT, st.none() | MEMBERS, max_size=4),
        st.integers(0),
    )
)
def test_a_change_survives_a_message(change: Change) -> None:
    assert Change.unpack("room", json.loads(json.dumps(change.pack()))) == change._replace(before={})
