"""Fingerprints of a part's variables: where two are equal, both pages render the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils import translation
from django.utils.functional import Promise, lazy
from django.utils.safestring import SafeString

from ..state.listing import Presences

__all__ = ["Same", "Unshareable", "fingerprint"]

MAX_DEPTH = 32
MAX_CONTAINERS = 30_000  # lists and dictionaries; one that contains itself has no end

TRANSLATIONS = (translation.gettext, translation.pgettext)
# Types whose values look the same if they are equal.
PLAIN = frozenset({str, SafeString, int, bool, type(None), UUID, date, timedelta})


class Unshareable(Exception):
    """The value may look different on two pages."""


class Same:
    """An object that equals only itself."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def fingerprint(values: Iterable[object]) -> Hashable:
    """Return an immutable copy of *values*, with their exact types. Raises :class:`Unshareable`.

    Types count because equal values may look different (``True`` and ``1``, ``"<"`` and ``mark_safe("<")``), and so do
    the signs of zeros and the order of dictionaries. Objects of other types may change between two pages, or when
    read, as iterators do, and so equal nothing. Lazy translations are compared untranslated.
    """
    return _Copy().of_all(tuple(values), 0)


class _Copy:
    def __init__(self) -> None:
        self._left = MAX_CONTAINERS

    def of_all(self, values: tuple[object, ...], depth: int) -> Hashable:
        types = tuple(map(type, values))
        if PLAIN.issuperset(types):
            return types, values
        if depth > MAX_DEPTH or self._left <= 0:
            raise Unshareable
        self._left -= 1
        return types, tuple(
            value if kind in PLAIN else self._of(value, kind, depth + 1)
            for kind, value in zip(types, values, strict=True)
        )

    def _of(self, value: Any, kind: type, depth: int) -> Hashable:
        if kind is Presences and value.untouched:
            return Same(value.untouched)  # one object for all pages, so that records need not be compared
        if kind in (list, tuple, Presences):
            return self.of_all(tuple(value), depth)
        if kind is dict:
            items = tuple(value.items())
            return self.of_all(tuple(key for key, _ in items), depth), self.of_all(
                tuple(one for _, one in items), depth
            )
        if copy := COPIES.get(kind):
            return copy(value)
        if issubclass(kind, Promise) and kind.__module__ == lazy.__module__:
            function, arguments, named, *_ = value.__reduce__()[1]
            if function in TRANSLATIONS:
                return function, self.of_all((arguments, named), depth)
        raise Unshareable


def _number(value: float | Decimal) -> Hashable:
    text = repr(value)  # 0.0 equals -0.0, and 1.0 equals 1.00
    if "nan" in text.lower():
        raise Unshareable  # NaN equals nothing, but a list that holds the same object compares equal
    return text


def _moment(value: datetime | time) -> Hashable:
    return value.replace(tzinfo=None), value.fold, Same(value.tzinfo)


COPIES: dict[type, Callable[[Any], Hashable]] = {
    float: _number,
    Decimal: _number,
    datetime: _moment,
    time: _moment,
}
