"""Broadcasts to a group."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from .json_text import decode, encode

__all__ = ["Event"]


class Event(NamedTuple):
    """A broadcast to a group, for its browsers and for the views that handle it. *text* is the payload as JSON."""

    name: str
    text: str

    @classmethod
    def of(cls, name: object, payload: Any) -> Self:
        """Return a checked broadcast. Raises ``TypeError`` or ``ValueError`` for a name that is not a text, or not JSON."""
        if not isinstance(name, str):
            raise TypeError(f"The name of a broadcast is a text, not {type(name).__name__}.")
        return cls(name, encode(payload))

    @property
    def payload(self) -> Any:
        """A copy of the payload, which the receiver may change."""
        return decode(self.text, half_pairs=True)

    @property
    def item(self) -> list[Any]:
        """The item with it in messages to other processes."""
        return ["event", self.name, self.payload]
