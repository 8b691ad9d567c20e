"""An ordinary page of a real server whose elements are joined, as its script would, without a browser."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from tests.feed.site import attributes
from tests.live_pages import LivePage

__all__ = ["TagPage"]

WANTS: dict[str, Any] = {"count": {"count": True}, "avatars": {"list": True}}


class TagPage(LivePage):
    """It is open once all of its counts and avatars are joined."""

    async def _connect(self) -> None:
        self.page, self.path = self.path, "/presence/"
        await super()._connect()

    async def open(self) -> None:
        await super().open()
        await self.until(lambda: self.got("ready"))
        for kind, want in WANTS.items():
            for element in attributes(self.html, f"presence-{kind}"):
                await self.send(type="join", room=element["room"], ticket=element["ticket"], want=want)
                await self.until(partial(self._is_joined, element["room"] or ""))

    def _is_joined(self, room: str) -> bool:
        return bool(self.got("joined", room) and self.got("state", room))

    def got(self, kind: str, room: str | None = None) -> list[dict[str, Any]]:
        """Return the frames of this type, those of one room if that is given."""
        return [one for one in self.of(kind) if room in (None, one.get("room"))]

    @property
    def text(self) -> str:
        """The page as it was over HTTP, without its markup."""
        return " ".join(re.sub("<[^>]*>", " ", self.html).split())
