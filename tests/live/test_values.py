"""Fingerprints of variables: equal only where no page could show a difference."""

from __future__ import annotations

import copy
from collections import OrderedDict, UserDict
from collections.abc import Callable, Hashable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.urls import reverse_lazy
from django.utils.functional import SimpleLazyObject, lazy
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy, ngettext_lazy, pgettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from djust_presence.live.values import Unshareable, fingerprint
from djust_presence.state.listing import Members, presences
from djust_presence.state.records import Member


class Text(str):
    """A subclass of str."""


class Words(list[str]):
    """A subclass of list."""


class Untouchable:
    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"{name} was looked at")

    def __eq__(self, other: object) -> bool:
        raise AssertionError("it was compared")

    __hash__ = None  # type: ignore[assignment]


class Kind(Enum):
    ONE = "one"


def of(value: object) -> Hashable:
    return fingerprint([value])


ALIKE: list[Callable[[], object]] = [
    lambda: "ä" * 300,
    lambda: mark_safe("<b>" * 100),
    lambda: 10**20,
    lambda: True,
    lambda: None,
    lambda: 1.5,
    lambda: float("inf"),
    lambda: Decimal("1.50"),
    lambda: UUID(int=7),
    lambda: date(2026, 1, 2),
    lambda: datetime(2026, 1, 2, 3, tzinfo=UTC),
    lambda: time(3, 4),
    lambda: timedelta(1),
    lambda: [1, ["a", {"b": (2.0, None)}]],
    lambda: {"a": {}, 1: []},
    lambda: gettext_lazy("Guest"),
    lambda: pgettext_lazy("month", "May"),
]


@pytest.mark.parametrize("make", ALIKE)
def test_values_that_look_the_same_have_the_same_fingerprint(make: Callable[[], object]) -> None:
    assert of(make()) == of(make())
    assert hash(of(make())) == hash(of(make()))
    assert of([make()]) == of([make()]) != of((make(),))
    assert of({"a": make()}) == of({"a": make()}) != of({"b": make()})


DIFFERENT: list[tuple[object, object]] = [
    (True, 1),
    (1, 1.0),
    (1.0, Decimal(1)),
    (0.0, -0.0),
    (0, False),
    (None, False),
    (Decimal("1.0"), Decimal("1.00")),
    (Decimal("0"), Decimal("-0")),
    ("<b>", mark_safe("<b>")),
    ("", None),
    ("1", 1),
    (b"a".decode(), ["a"]),
    ([], ()),
    ([], {}),
    ([1], [True]),
    ({1: "a"}, {True: "a"}),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ([[1], 2], [[1, 2]]),
    (date(2026, 1, 2), datetime(2026, 1, 2)),
    (datetime(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC)),
    (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=ZoneInfo("UTC"))),
    (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=timezone(timedelta(0), "GMT"))),
    (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, 1, tzinfo=timezone(timedelta(hours=1)))),
    (datetime(2026, 10, 25, 2, 30), datetime(2026, 10, 25, 2, 30, fold=1)),
    (time(2, 30), time(2, 30, fold=1)),
    (gettext_lazy("May"), "May"),
    (gettext_lazy("May"), pgettext_lazy("month", "May")),
    (pgettext_lazy("verb", "May"), pgettext_lazy("month", "May")),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_values_that_may_look_different_differ(one: object, other: object) -> None:
    for wrap in (
        of,
        lambda value: of([value]),
        lambda value: of({"a": [value]}),
        lambda value: of(("b", value)),
    ):
        assert wrap(one) != wrap(other)


def recursive() -> list[Any]:
    values: list[Any] = []
    values += [values, values]
    return values


def deep(levels: int) -> list[Any]:
    return [deep(levels - 1)] if levels else []


def wide(levels: int) -> list[Any]:
    within = wide(levels - 1) if levels else []
    return [within] * 10


UNKNOWN: list[object] = [
    object(),
    object,
    Text("a"),
    Words("a"),
    OrderedDict(a=1),
    UserDict(a=1),
    {1, 2},
    frozenset(),
    bytearray(),
    range(3),
    (n for n in "ab"),
    iter([1]),
    {"a": 1}.items(),
    print,
    lambda: 1,
    Kind.ONE,
    User(username="somebody"),
    AnonymousUser(),
    User.objects.none(),
    SimpleLazyObject(lambda: "a"),
    lazy(lambda: "a", str)(),
    ngettext_lazy("one", "many", "count"),
    reverse_lazy("somewhere"),
    float("nan"),
    Decimal("nan"),
    Decimal("snan"),
    recursive(),
    deep(100),
    wide(20),
]


@pytest.mark.parametrize("value", UNKNOWN, ids=lambda value: type(value).__name__)
def test_unknown_fields_are_refused_wherever_they_are(value: object) -> None:
    for values in ([value], [[value]], [{"a": value}], [("a", [value])], [gettext_lazy("a"), value]):
        with pytest.raises(Unshareable):
            fingerprint(values)


def test_an_unknown_value_is_not_looked_at() -> None:
    with pytest.raises(Unshareable):
        fingerprint([Untouchable()])


def test_a_fingerprint_does_not_change_with_its_value() -> None:
    value: dict[str, Any] = {"a": [1, {"b": 2}]}
    before = of(value)
    value["a"][1]["b"] = 3
    assert of(value) != before == of({"a": [1, {"b": 2}]})


def test_a_list_of_who_is_present_is_compared_by_what_it_was_made_of() -> None:
    members = Members({f"user {n}": Member(1, float(n), '{"color":"teal"}') for n in range(3)})
    one, other = presences(members, "Guest"), presences(members, "Guest")
    assert of(one) == of(other) != of(presences(members, "Gast"))
    other[1]["color"] = "red"
    assert of(one) != of(other)
    one[1]["color"] = "red"
    assert of(one) == of(other)
    other[2]["meta"]["color"] = "red"
    assert of(one) != of(other)
    other.append({"id": object()})
    with pytest.raises(Unshareable):
        of(other)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([0.0, -0.0, 1.0, 2.0]),
    st.sampled_from(["", "1", "True", "None", "<b>"]),
    st.sampled_from(["", "<b>"]).map(mark_safe),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(scalars, inner, max_size=3)
        | st.lists(inner, max_size=2).map(tuple)
    ),
    max_leaves=8,
)


def written(value: Any) -> Any:
    """Return an exact representation of *value*."""
    if isinstance(value, dict):
        return "dict", [(written(key), written(one)) for key, one in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [written(one) for one in value]
    return type(value), repr(value)


@given(values, values)
def test_two_values_are_the_same_exactly_if_they_are_written_the_same(one: Any, other: Any) -> None:
    assert (of(one) == of(other)) == (written(one) == written(other))
    assert of(one) == of(copy.deepcopy(one))
