"""A feed page for the tests: its socket, and the people that it shows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from django.test import AsyncClient, RequestFactory

from djust_presence.feed.tickets import Ticket, bound_to, room_of
from djust_presence.live import LiveViewConsumer
from tests.client import Frame, InProcess

__all__ = ["FeedPage", "Frame", "issue", "opened"]

HOST = "testserver"


def issue(key: str, user: Any = None, *, tracks: bool = True, host: str = HOST, **fields: Any) -> str:
    """Return the text of a ticket, bound to *user* if there is one."""
    bound = bound_to(str(user.pk)) if user else ""
    return Ticket(key, tracks, bound, **fields).sign(RequestFactory().get("/", headers={"host": host}))


class FeedPage(InProcess):
    """The socket of a page. What comes is applied to `rooms` as the page's script does."""

    def __init__(self, path: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
        super().__init__(LiveViewConsumer.as_asgi(), path, list(headers))
        self.people: dict[str, dict[str, Frame]] = {}  # by key and id
        self.counts: dict[str, int] = {}
        self.me: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self._keys: dict[str, str] = {}  # by room

    async def join(
        self, key: str, ticket: str | None = None, *, until: str | None = "state", **want: Any
    ) -> None:
        """Join the room of *key*, and wait for the answer, up to a frame of the type *until*."""
        meta = want.pop("meta", None)
        self._keys[room_of(key)] = key
        given = {} if meta is None else {"meta": meta}
        wants = want or {"list": True}
        await self.say("join", key, ticket=ticket or issue(key), want=wants, **given)
        if until:
            await self.until_frame(until, key)

    async def say(self, kind: str, key: str | None = None, **fields: Any) -> None:
        room = {} if key is None else {"room": room_of(key)}
        await self.send_json_to({"type": kind, **room, **fields})

    def take_in(self, frame: Frame) -> None:
        super().take_in(frame)
        if frame.get("room") in self._keys:
            self._apply(self._keys[frame["room"]], frame)

    async def until_frame(self, kind: str, key: str | None = None) -> Frame:
        """Take frames in until one of this type comes; return it."""
        while True:
            frame = await self.frame()
            if frame["type"] == kind and (key is None or frame.get("room") == room_of(key)):
                return frame

    async def until_names(self, key: str, *names: str) -> None:
        await self.until(lambda: sorted(self.names(key)) == sorted(names))

    def names(self, key: str) -> list[str]:
        """Return the names of the people in the list, in its order."""
        return [one.get("name", "") for one in self.people.get(key, {}).values()]

    def _apply(self, key: str, frame: Frame) -> None:
        people = self.people.setdefault(key, {})
        match frame["type"]:
            case "joined":
                self.me[key] = frame.get("me", "")
                self.refused.pop(key, None)
            case "refused":
                self.refused[key] = frame["code"]
            case "state":
                self.people[key] = {one["id"]: one for one in frame.get("members", [])}
            case "diff":
                people |= {one["id"]: one for one in [*frame.get("joins", []), *frame.get("updates", [])]}
                for gone in frame.get("leaves", []):
                    del people[gone]
        if "count" in frame:
            self.counts[key] = frame["count"]


@asynccontextmanager
async def opened(
    client: AsyncClient | None = None,
    path: str = "/presence/",
    *,
    visitor: str | None = None,
    origin: str = f"http://{HOST}",
) -> AsyncIterator[FeedPage]:
    """A page that is ready, of the browser *client*."""
    cookies = "; ".join(f"{name}={one.value}" for name, one in client.cookies.items()) if client else ""
    headers = {b"host": HOST.encode(), b"origin": origin.encode(), b"cookie": cookies.encode()}
    page = FeedPage(path, list(headers.items()))
    accepted, _ = await page.connect(timeout=5)
    assert accepted
    try:
        assert (await page.frame())["type"] == "ready"
        if visitor:
            await page.say("hello", visitor=visitor)
        yield page
    finally:
        if not page.future.done():
            await page.disconnect(timeout=5)
