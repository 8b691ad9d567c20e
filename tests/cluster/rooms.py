"""Pages of rooms_site: the rows that they show, and the callbacks that have run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.live_pages import LastingPage, LivePage, Person
from tests.servers import SiteServer

__all__ = ["SITE", "LastingRoomPage", "RoomPage", "Row", "rows_of"]

SITE = {"DJANGO_SETTINGS_MODULE": "tests.cluster.rooms_settings"}


class Row(NamedTuple):
    """A record as a page shows it."""

    name: str
    status: str
    connections: int


def rows_of(html: str) -> dict[str, Row]:
    """The records in the list of a page, by user id."""
    found = re.findall(r"<li>(\S+) (\S+) (\S*) (\d+)</li>", html)
    return {user: Row(name, status, int(connections)) for user, name, status, connections in found}


class RoomPage(LivePage):
    """A page of *user* in a room."""

    def __init__(
        self, site: SiteServer, room: str, user: str, status: str = "here", *, kind: str = "room"
    ) -> None:
        super().__init__(site, f"/{kind}/{room}/?user={user}&status={status}", Person(site))
        self.room, self.user, self.status = room, user, status

    @property
    def shown(self) -> str:
        return "".join(self.regions.values()) or self.html

    @property
    def rows(self) -> dict[str, Row]:
        return rows_of(self.shown)

    @property
    def users(self) -> dict[str, int]:
        """The users in the list, and how many connections each has."""
        return {user: row.connections for user, row in self.rows.items()}

    def told(self, *kinds: str) -> list[tuple[str, str, str]]:
        """The callbacks of these kinds that have run: kind, user and status of each."""
        return [
            (frame["event"], frame["payload"]["id"], frame["payload"]["status"])
            for frame in self.frames
            if frame.get("event") in kinds
        ]

    @property
    def calls(self) -> list[str]:
        """The texts that have been called out in the room."""
        return [frame["payload"]["text"] for frame in self.frames if frame.get("event") == "call"]

    async def until_ready(self) -> None:
        await self.until(lambda: self.frames)

    async def until_users(self, users: Mapping[str, int]) -> None:
        """Wait until these users, and no others, are in the list, with so many connections each."""
        await self.until(lambda: self.users == users)

    async def until_status(self, user: str, status: str) -> None:
        await self.until(lambda: user in self.rows and self.rows[user].status == status)

    async def until_calls(self, count: int) -> None:
        await self.until(lambda: len(self.calls) == count)

    async def say(self, status: str) -> None:
        self.status = status
        await self.send(type="event", name="say", params={"status": status})

    async def call_out(self, text: str) -> None:
        await self.send(type="event", name="call", params={"text": text})


class LastingRoomPage(LastingPage, RoomPage):
    """A page that comes back when its server has gone."""

    def __init__(self, sites: Sequence[SiteServer], room: str, user: str) -> None:
        RoomPage.__init__(self, sites[0], room, user)
        self.sites = sites
        self.returns = 0
        self._over = False
