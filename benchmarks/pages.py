"""Pages as plain data for a load client: how they connect, and what they send."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Page"]


@dataclass(frozen=True)
class Page:
    """A page without a browser: its socket, or its polls.

    *url* begins with ``ws:`` for a socket, with ``http:`` for a page that polls. *says* are its first frames; of a page
    that polls the first is the body of its polls. *ready* and the keys of *answers* are regular expressions that are
    searched in what comes: the page is open with the first frame that has *ready*, or when it is connected if that is
    empty; *then* it says these. *beat* is sent every *every* seconds. *source* is the loopback address that the page comes from.
    """

    url: str
    origin: str
    says: tuple[str, ...] = ()
    ready: str = ""
    then: tuple[str, ...] = ()
    answers: dict[str, str] = field(default_factory=dict)
    beat: str = ""
    every: float = 0.0
    cookie: str = ""
    source: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
