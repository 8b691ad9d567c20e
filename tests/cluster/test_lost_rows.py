"""Rows that a store has lost, or that somebody has spoiled: they heal, and nobody is reported gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from tests.cluster.conftest import LEASE_TTL, StartSite
from tests.cluster.crowd import PREFIX, Crowd, StoreReader
from tests.cluster.rooms import RoomPage
from tests.servers import RedisServer, SiteServer

RENEWAL = LEASE_TTL / 6
HOLD = LEASE_TTL / 2
HEALED = 2 * RENEWAL + HOLD + 8  # two renewals and a hold; the rest is patience

Spoil = Callable[[StoreReader, str], object]


@pytest.fixture
def store(redis: RedisServer) -> StoreReader:
    return StoreReader(redis)


@pytest.fixture
def sites(start_site: StartSite) -> tuple[SiteServer, SiteServer]:
    return tuple(start_site(settings="tests.cluster.rooms_settings", GRACE=0.2) for _ in range(2))  # type: ignore[return-value]


def loses(name: str) -> Spoil:
    return lambda store, room: store.delete(name.format(key=f"room:{room}"))


def loses_each(pattern: str) -> Spoil:
    return lambda store, room: store.delete(*store.keys(pattern))


def has_text(name: str) -> Spoil:
    """A key of the right name and the wrong type."""
    return lambda store, room: store.client.set(PREFIX + name.format(key=f"room:{room}"), "spoiled")


def has_member(text: str) -> Spoil:
    """The row of the third user, who has one connection, is something else."""
    return lambda store, room: store.client.hset(f"{PREFIX}u:room:{room}", f"{room}2", text)


def has_unreadable_meta(store: StoreReader, room: str) -> None:
    name = f"{PREFIX}u:room:{room}"
    connections, joined_at, ref, _ = store.client.hget(name, f"{room}2").split(":", 3)
    store.client.hset(name, f"{room}2", f"{connections}:{joined_at}:{ref}:{{not json")


def has_row(text: str) -> Spoil:
    """One of the rows is something else."""

    def spoil(store: StoreReader, room: str) -> None:
        name = f"{PREFIX}r:room:{room}"
        store.client.hset(name, store.client.hkeys(name)[0], text)

    return spoil


def has_field(name: str, text: str) -> Spoil:
    """Every field of a hash that belongs to all is something else."""

    def spoil(store: StoreReader, room: str) -> None:
        for field in store.client.hkeys(PREFIX + name):
            store.client.hset(PREFIX + name, field, text)

    return spoil


def has_place(text: str) -> Spoil:
    return lambda store, room: store.client.hset(PREFIX + "V", f"room:{room}", text)


def has_no_order_of_one(store: StoreReader, room: str) -> None:
    store.client.zpopmax(f"{PREFIX}o:room:{room}")


SPOILS_OF_ROOMS: list[dict[str, Spoil]] = [
    {"DEL r": loses("r:{key}"), "DEL u": loses("u:{key}"), "DEL o": loses("o:{key}")},
    {"SET r": has_text("r:{key}"), "SET u": has_text("u:{key}"), "SET o": has_text("o:{key}")},
    {"u garbage": has_member("garbage"), "u 1:x:y": has_member("1:x:y"), "r garbage": has_row("garbage")},
    {"u meta": has_unreadable_meta, "r 5 words": has_row("a b c d e"), "V garbage": has_place("garbage")},
    {"o pop": has_no_order_of_one, "u 0:": has_member("0:1.0:x:{}"), "V empty": has_place("")},
]
SPOILS_OF_ALL: dict[str, Spoil] = {
    "DEL B": loses("B"),
    "DEL L": loses("L"),
    "DEL S": loses("S"),
    "DEL V": loses("V"),
    "DEL I": loses_each("I:*"),
    "S garbage": has_field("S", "garbage"),
    "V garbage": has_field("V", "garbage"),
}


async def test_what_a_store_has_lost_is_made_good_while_people_come_and_go(
    sites: tuple[SiteServer, SiteServer], store: StoreReader
) -> None:
    rooms = ("a", "b", "c", "d")
    async with Crowd(sites, rooms, store) as crowd:
        for spoils in [*SPOILS_OF_ROOMS, *({name: spoil} for name, spoil in SPOILS_OF_ALL.items())]:
            names = ", ".join(spoils)
            for room, spoil in zip(rooms, spoils.values(), strict=False):
                spoil(store, room)
            began = time.monotonic()
            fresh = [RoomPage(sites[n % 2], room, f"{room}-late") for n, room in enumerate(rooms)]
            await asyncio.gather(*map(crowd.enter, fresh), crowd.change_tabs())
            await asyncio.sleep(max(0, began + 2 * RENEWAL - time.monotonic()))
            try:
                await crowd.until_right(HEALED)
            except AssertionError as error:
                raise AssertionError(f"{names}: {error}") from None
            print(names, round(time.monotonic() - began, 2))  # noqa: T201
            await asyncio.gather(*map(crowd.leave, fresh))
            assert (names, crowd.wrongs()) == (names, [])
            assert (names, [site.unexpected for site in sites]) == (names, [[], []])
        await asyncio.sleep(LEASE_TTL)  # a leave that was held back would have come by now
        assert crowd.wrongs() == []
    await until_clean(store, leases=2)
    sites[0].stop()
    await until_clean(store, leases=1)


async def until_clean(store: StoreReader, leases: int) -> None:
    """Wait until nothing is left in the store but its birth, and the leases of so many processes."""
    async with asyncio.timeout(LEASE_TTL + RENEWAL + 8):
        while store.keys() - {"B"} != {"L", "S"} or len(store.leases()) != leases:
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("name", ["L", "S", "V", "I"])
async def test_a_key_of_the_wrong_type_that_belongs_to_all_does_no_lasting_harm(
    sites: tuple[SiteServer, SiteServer], store: StoreReader, name: str
) -> None:
    async with Crowd(sites, ("a", "b"), store) as crowd:
        spoiled = sorted(store.keys("I:*")) if name == "I" else [name]
        for one in spoiled:
            store.client.set(PREFIX + one, "spoiled")
        await asyncio.sleep(LEASE_TTL)
        print([s.log.read_text() for s in sites])
        store.delete(*spoiled)
        await crowd.until_right(HEALED)
        await asyncio.sleep(LEASE_TTL)
        await crowd.until_right(HEALED)
        print(name, *[site.unexpected for site in sites])
        assert crowd.wrongs() == []
        for site in sites:
            site.allow(".")
