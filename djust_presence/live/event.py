"""The frame of an event of a live page."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["EventFrame", "read_event"]


class EventFrame(NamedTuple):
    """A call of a handler that the page asks for."""

    ref: int | None
    name: str
    params: dict[str, Any]
    size: int  # bytes


def read_event(frame: dict[str, Any], size: int) -> EventFrame:
    """Return the event in *frame*. Raises ``ValueError`` if it is malformed."""
    match frame:
        case {"name": str(name), **rest}:
            ref, params = rest.get("ref"), rest.get("params", {})
        case _:
            raise ValueError("The frame is of no known type.")
    if not (ref is None or type(ref) is int) or not isinstance(params, dict):
        raise ValueError("An event has a whole number as ref and an object as params.")
    return EventFrame(ref, name, params, size)
