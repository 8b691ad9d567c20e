"""Records that are made once for many, and yet everybody's own."""

from __future__ import annotations

import copy
import json
import operator
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from djust_presence.state.listing import Members, Presences, presences
from djust_presence.state.metas import encode_meta
from djust_presence.state.records import Member, records

MEMBERS = {
    "7": Member(1, 2.0, encode_meta({"name": "Ann", "color": "teal"})),
    "8": Member(2, 1.0, encode_meta({"deep": {"list": [1]}})),
}
PLAIN = records(MEMBERS, "Guest")


def test_the_same_members_are_listed_once_for_each_name_of_guests() -> None:
    members = Members(MEMBERS)
    one, other, german = presences(members, "Guest"), presences(members, "Guest"), presences(members, "Gast")
    assert isinstance(one, Presences)
    assert isinstance(other, Presences)
    assert isinstance(german, Presences)
    assert one.untouched is other.untouched is not german.untouched
    assert len(one) == len(PLAIN)
    assert one.untouched
    assert one == other == PLAIN
    assert german[0]["name"] == "Gast"
    assert presences(MEMBERS, "Guest") == PLAIN


def deeply(found: Any) -> None:
    """Change whatever of the records can be found in *found*."""
    if isinstance(found, dict):
        for one in list(found.values()):
            deeply(one)
        found["changed"] = True
    elif isinstance(found, list | tuple):
        for one in found:
            deeply(one)
        if isinstance(found, list):
            found.append("changed")


def changed_by_key(found: list[dict[str, Any]]) -> None:
    def change(record: dict[str, Any]) -> int:
        deeply(record)
        return 0

    found.sort(key=change)


def changed_by_comparison(found: list[dict[str, Any]]) -> None:
    class Other:
        def __eq__(self, other: object) -> bool:
            deeply(other)
            return False

        __hash__ = None  # type: ignore[assignment]

    Other() in found  # noqa: B015
    found == [Other(), Other()]  # noqa: B015


CHANGES: list[Callable[[Any], object]] = [
    deeply,
    lambda found: deeply(found[0]),
    lambda found: deeply(found[-1]),
    lambda found: deeply(found[:]),
    lambda found: deeply(found[1:]),
    lambda found: deeply(found[::-2]),
    lambda found: deeply([*found]),
    lambda found: deeply(list(found)),
    lambda found: deeply(tuple(found)),
    lambda found: deeply(sorted(found, key=lambda one: one["id"])),
    lambda found: deeply(list(reversed(found))),
    lambda found: deeply(operator.add([], found)),
    lambda found: deeply(operator.add(found, [])),
    lambda found: deeply(found * 2),
    lambda found: deeply(2 * found),
    lambda found: deeply(found.pop()),
    lambda found: deeply(found.copy()),
    lambda found: deeply(copy.copy(found)),
    lambda found: deeply(max(found, key=lambda one: one["id"])),
    lambda found: deeply(next(iter(found))),
    lambda found: deeply([one for one in found if one["id"] == "8"]),
    lambda found: list(map(deeply, found)),
    lambda found: found.clear(),
    lambda found: found.reverse(),
    lambda found: found.extend(found),
    lambda found: found.insert(0, {}),
    lambda found: found.remove(PLAIN[0]),
    lambda found: found.__setitem__(0, {}),
    lambda found: found.__delitem__(slice(1)),
    lambda found: found.__iadd__([1]),
    lambda found: found.__imul__(2),
    changed_by_key,
    changed_by_comparison,
]


@pytest.mark.parametrize("change", CHANGES)
def test_changes_to_a_list_are_seen_by_nobody_else(change: Callable[[Any], object]) -> None:
    members = Members(MEMBERS)
    mine, kept = presences(members, "Guest"), copy.deepcopy(PLAIN)
    change(mine)
    assert isinstance(mine, Presences)
    assert mine.untouched is None
    assert presences(members, "Guest") == kept == PLAIN
    assert presences(members, "Guest")[1] == kept[1]


def test_a_list_does_what_lists_do() -> None:
    found = presences(Members(MEMBERS), "Guest")
    assert isinstance(found, list)
    assert bool(found)
    assert json.loads(json.dumps(found)) == PLAIN
    assert type(pickle.loads(pickle.dumps(found))) is type(copy.deepcopy(found)) is list
    assert pickle.loads(pickle.dumps(found)) == copy.deepcopy(found) == PLAIN
    assert repr(found) == repr(PLAIN)
    assert operator.add([{}], found) == [{}, *PLAIN]
    assert [one["id"] for one in found] == ["8", "7"]
    first, *rest = found
    assert (first, rest) == (PLAIN[0], PLAIN[1:])
    one: dict[str, Any] = found[0]
    assert one["deep"] is not one["meta"]["deep"]
    found += [{"id": "9"}]
    assert len(found) == 3


def test_the_first_of_many_cost_no_copies_of_the_others() -> None:
    many = Members({str(n): Member(1, float(n), "{}") for n in range(1000)})
    found = presences(many, "Guest")
    assert isinstance(found, Presences)
    listing = found.untouched
    assert listing
    first = found[:20]
    assert first == records(many, "Guest")[:20]
    assert [list.__getitem__(found, place) is listing.records[place] for place in (19, 20)] == [False, True]
    first[0]["name"] = "changed"
    assert found[0] is first[0]
    assert [one["name"] for one in found] == ["changed", *["Guest"] * 999]
    with pytest.raises(IndexError, match="list index out of range"):
        found[1000]
    with pytest.raises(TypeError, match="list indices must be integers or slices, not str"):
        found["0"]
