"""A position on a shared surface, and the checks of what a page sends as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["FARTHEST", "LONGEST_NAME", "Position", "checked_coordinate"]

FARTHEST = 10_000_000  # CSS pixels; no page is so large
LONGEST_NAME = 128  # characters of a surface's or an anchor's name


def checked_coordinate(name: str, value: object) -> float:
    """Return *value*, the coordinate *name*. Raises ``ValueError`` unless it is a finite number that fits on a page."""
    if isinstance(value, int | float) and not isinstance(value, bool) and -FARTHEST <= value <= FARTHEST:
        return value
    raise ValueError(f"The coordinate {name} is not a finite number of at most {FARTHEST:,} pixels.")


class Position(NamedTuple):
    """A position in CSS pixels of the surface, with its size; the same of an element in it, the anchor.

    Without a size the pixels are not scaled. *touch*: a finger, which hides what it points at.
    """

    x: float
    y: float
    w: float | None = None
    h: float | None = None
    anchor: str | None = None
    ax: float | None = None
    ay: float | None = None
    aw: float | None = None
    ah: float | None = None
    surface: str | None = None
    touch: bool | None = None

    @classmethod
    def read(cls, frame: Mapping[str, Any]) -> Position:
        """Return the position in a page's *frame*. Raises ``ValueError``."""
        anchor = _name(frame, "anchor")
        return cls(
            checked_coordinate("x", frame.get("x")),
            checked_coordinate("y", frame.get("y")),
            *_size(frame, "w", "h"),
            anchor,
            *(_in_anchor(frame) if anchor else (None, None, None, None)),
            _name(frame, "surface"),
            frame.get("touch") is True or None,
        )

    def at(self, x: float, y: float) -> Position:
        """Return the position *x*, *y* on the same surface: without the anchor, unless this is the same position."""
        return (
            self
            if (x, y) == self[:2]
            else Position(x, y, self.w, self.h, surface=self.surface, touch=self.touch)
        )

    def pack(self) -> list[Any]:
        """Return the fields in their order, without the empty ones at the end."""
        fields = list(self)
        while fields[-1] is None:
            fields.pop()
        return fields


def _size(frame: Mapping[str, Any], width: str, height: str) -> tuple[float | None, float | None]:
    if frame.get(width) is None and frame.get(height) is None:
        return None, None
    return checked_coordinate(width, frame.get(width)), checked_coordinate(height, frame.get(height))


def _in_anchor(frame: Mapping[str, Any]) -> tuple[float | None, float | None, float | None, float | None]:
    x, y = checked_coordinate("ax", frame.get("ax")), checked_coordinate("ay", frame.get("ay"))
    return x, y, *_size(frame, "aw", "ah")


def _name(frame: Mapping[str, Any], field: str) -> str | None:
    name = frame.get(field)
    if name is None or (isinstance(name, str) and 0 < len(name) <= LONGEST_NAME):
        return name
    raise ValueError(f"The field {field} is not a name.")
