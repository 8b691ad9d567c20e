"""A page's wants of a group, the state that it has been sent, and the text of its frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..hosts.outgoing import dumps
from ..state.records import Member
from .lists import List

__all__ = ["SentState", "Wants", "frame"]

NOBODY: Mapping[str, Sequence[str]] = {}


@dataclass(frozen=True, slots=True)
class Wants:
    """The news that a page wants of a group, not exclusive: all people, their number, the people with these ids.

    *fields* are those of their metas that it may see.
    """

    people: bool = False
    number: bool = False
    some: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()

    @property
    def any(self) -> bool:
        return bool(self.people or self.number or self.some)


class SentState:
    """The state that one page has been sent. *ahead* is the page's own presence, if the group does not hold it yet."""

    __slots__ = ("ahead", "due", "list", "own", "rest", "shown", "wants")

    def __init__(self, wants: Wants, own: str | None, ahead: Member | None) -> None:
        self.wants = wants
        self.list: List | None = None
        self.own = own
        self.ahead = ahead
        self.shown = ""  # the text of the count in it
        self.due = 0.0  # when it may get the whole state, if it needs that
        self.rest = 0.0


def frame(
    kind: str,
    room: str,
    count: int | None = None,
    partial: bool | None = None,
    people: Mapping[str, Sequence[str]] = NOBODY,
) -> str:
    """Return the text of a frame; *people* are lists of JSON texts, and *partial* says if a list is cut."""
    parts = [f'"type":"{kind}"', f'"room":"{room}"']
    if count is not None:
        parts.append(f'"count":{count}')
    parts += [f'"{name}":[{",".join(texts)}]' for name, texts in people.items()]
    if partial is not None:
        parts.append(f'"partial":{dumps(partial)}')
    return "{" + ",".join(parts) + "}"
