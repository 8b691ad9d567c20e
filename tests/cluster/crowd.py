"""Rooms on several servers in which people stay while others come and go, and what must hold of them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from redis import Redis

from tests.cluster.rooms import RoomPage, Row, rows_of
from tests.servers import RedisServer, SiteServer

__all__ = ["PREFIX", "Crowd", "StoreReader"]

PREFIX = "{djp}:2:"


class StoreReader:
    """The rows in a store, read as prelude.lua describes them."""

    def __init__(self, redis: RedisServer) -> None:
        self.client: Any = Redis(port=redis.port, decode_responses=True)

    def keys(self, pattern: str = "*") -> set[str]:
        """The keys of this package, without the prefix."""
        names: list[str] = self.client.keys(PREFIX + pattern)
        return {name.removeprefix(PREFIX) for name in names}

    def delete(self, *names: str) -> None:
        self.client.delete(*(PREFIX + name for name in names))

    def faults(self, rooms: dict[str, Counter[str]]) -> list[str]:
        """Return each row missing from, or extra in, the store; *rooms* has the number of connections of each user."""
        found = []
        places: dict[str, str] = self.client.hgetall(PREFIX + "V")
        expected = {f"room:{room}" for room, users in rooms.items() if users}
        if places.keys() != expected:
            found.append(f"V has {sorted(places)}, not {sorted(expected)}")
        wanted = {f"{kind}:{key}" for kind in "rtu" for key in expected}
        if (keys := self.keys("[rtu]:*")) != wanted:
            found.append(f"there are {sorted(keys)}, not {sorted(wanted)}")
        for room, users in rooms.items():
            found += [f"{room}: {fault}" for fault in self._faults_of(f"room:{room}", users)]
        return found

    def _faults_of(self, key: str, users: Counter[str]) -> list[str]:
        found = []
        members: dict[str, str] = self.client.hgetall(PREFIX + "u:" + key)
        if {user: text.split(":")[0] for user, text in members.items()} != {
            user: str(count) for user, count in users.items()
        }:
            found.append(f"the users are {members}")
        listed = self.client.zrange(PREFIX + "t:" + key, 0, -1, withscores=True)
        if dict(listed) != {user: float(text.split(":")[1]) for user, text in members.items()}:
            found.append(f"t has {listed}, the users are {members}")
        rows: dict[str, str] = self.client.hgetall(PREFIX + "r:" + key)
        if Counter(text.split(" ")[3] for text in rows.values()) != users:
            found.append(f"the rows are {rows}")
        for ref, text in rows.items():
            lease = text.split(" ")[0]
            expiries = "J" if lease.startswith("job:") else "L"
            if not self.client.sismember(f"{PREFIX}I:{lease}", f"{ref}:{key}"):
                found.append(f"{ref} is not in I:{lease}")
            if self.client.zscore(PREFIX + expiries, lease) is None:
                found.append(f"{lease} of {ref} is not in {expiries}")
            if self.client.hget(PREFIX + "S", lease) is None:
                found.append(f"{lease} of {ref} is not in S")
        order = self.client.zcard(PREFIX + "o:" + key)
        if order != sum(count for count in users.values() if count > 1):
            found.append(f"o has {order} members")
        return found

    def leases(self) -> set[str]:
        """The leases of processes that any key mentions."""
        of_rows = {name.removeprefix("I:") for name in self.keys("I:*")}
        return of_rows | {*self.client.hkeys(PREFIX + "S")} | {*self.client.zrange(PREFIX + "L", 0, -1)}


class Crowd:
    """In each room five people stay, the first with a tab on each server; a guest and a second tab come and go."""

    def __init__(self, sites: Sequence[SiteServer], rooms: Sequence[str], store: StoreReader) -> None:
        self.sites, self.rooms, self.store = sites, rooms, store
        self.staying = [
            RoomPage(sites[n % len(sites)], room, f"{room}{n}") for room in rooms for n in range(5)
        ]
        self.second = [RoomPage(sites[1], room, f"{room}0") for room in rooms]
        self.open: list[RoomPage] = []
        self.closed: Counter[str] = Counter()
        self.broken: list[str] = []
        self._moving = 0
        self._going = asyncio.Event()
        self._churners: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        for page in (*self.staying, *self.second):
            await self.enter(page)
        await self.until_right()
        self._going.set()
        self._churners = [
            asyncio.create_task(self._churn(room, user))
            for room in self.rooms
            for user in (f"{room}-guest", f"{room}1")
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._going.clear()
        while self._moving:  # a page whose opening is cancelled would never be closed
            await asyncio.sleep(0.01)
        for task in self._churners:
            task.cancel()
        ends = await asyncio.gather(*self._churners, return_exceptions=True)
        for page in tuple(self.open):
            await self.leave(page)
        if error is None:
            assert [end for end in ends if not isinstance(end, asyncio.CancelledError)] == []

    async def enter(self, page: RoomPage) -> None:
        """Open a page: it does not fail, and shows its own reader from the first frame on."""
        self._moving += 1
        try:
            await page.open()
            if "online:" not in page.html:
                self.broken.append(f"{page.path} came as {page.html[:300]}")
            await page.until(lambda: page.regions or page.close_code)
            self.open.append(page)
            if page.user not in page.rows:
                self.broken.append(f"{page.path} does not show itself: {page.frames}")
        finally:
            self._moving -= 1

    async def leave(self, page: RoomPage) -> None:
        self._moving += 1
        try:
            self.open.remove(page)
            self.closed[page.user] += 1
            await page.close()
        finally:
            self._moving -= 1

    async def change_tabs(self, grace: float) -> None:
        """In each room, one of those with two tabs closes one and, when *grace* seconds are over, opens another.

        If it came sooner, it would take over the connection of the first, and the store would hear of neither.
        """
        await asyncio.gather(*map(self.leave, self.second))
        await asyncio.sleep(2 * grace)
        self.second = [RoomPage(page.site, page.room, page.user) for page in self.second]
        await asyncio.gather(*map(self.enter, self.second))

    async def _churn(self, room: str, user: str) -> None:
        while True:
            await self._going.wait()
            page = RoomPage(random.choice(self.sites), room, user)
            await self.enter(page)
            await asyncio.sleep(random.uniform(0.1, 0.8))
            await self._going.wait()
            await self.leave(page)
            await asyncio.sleep(random.uniform(0, 0.5))

    @property
    def present(self) -> dict[str, Counter[str]]:
        """The number of connections of each user in each room."""
        rooms: dict[str, Counter[str]] = {room: Counter() for room in self.rooms}
        for page in self.open:
            rooms[page.room][page.user] += 1
        return rooms

    def faults(self) -> list[str]:
        """Return what is wrong in the store and on open pages."""
        present = self.present
        rows = {
            room: {user: Row(user.title(), "here", count) for user, count in users.items()}
            for room, users in present.items()
        }
        found = self.store.faults(present)
        for page in self.open:
            if page.rows != rows[page.room]:
                found.append(f"{page.path} shows {page.rows}")
            if page.close_code is not None:
                found.append(f"{page.path} was closed: {page.close_code}")
        return found

    async def until_right(self, patience: float = 20) -> None:
        """Hold those who come and go, and wait until everything is as it should be."""
        was_going = self._going.is_set()
        self._going.clear()
        faults: list[str] = []
        try:
            async with asyncio.timeout(patience):
                while self._moving or (faults := self.faults()):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError("After {} s:\n{}".format(patience, "\n".join(faults))) from None
        if was_going:
            self._going.set()

    def wrongs(self) -> list[str]:
        """Return what should never have happened to any page."""
        found = list(self.broken)
        stay = {room: {page.user for page in self.staying if page.room == room} for room in self.rooms}
        for page in self.staying:
            last: dict[str, str] = {}
            leaves: Counter[str] = Counter()
            for kind, user, _ in page.told("join", "leave"):
                if last.get(user) == kind:
                    found.append(f"{page.path} was told twice of a {kind} of {user}")
                last[user] = kind
                leaves[user] += kind == "leave"
            for user, count in leaves.items():
                if count > (0 if user in stay[page.room] else self.closed[user]):
                    found.append(f"{page.path} was told {count} times that {user} left: {self.closed[user]}")
            lists = [rows_of(frame["regions"]["*"]) for frame in page.frames if frame["type"] == "render"]
            complete = next((n for n, rows in enumerate(lists) if rows.keys() >= stay[page.room]), len(lists))
            missing = {user for rows in lists[complete:] for user in stay[page.room] - rows.keys()}
            if missing:
                found.append(f"{page.path} has not always shown {missing}")
        return found
