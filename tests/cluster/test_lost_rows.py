"""Rows that a store has lost, or that another program has spoiled: they heal, and nobody is reported gone."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack

import pytest
from django.test import override_settings

from djust_presence import presence
from djust_presence.tracker import close_all
from tests.cluster.conftest import LEASE_TTL, StartPair
from tests.cluster.crowd import PREFIX, Crowd, StoreReader
from tests.cluster.rooms import LastingRoomPage, RoomPage
from tests.servers import RedisServer, SiteServer

RENEWAL = LEASE_TTL / 6
HOLD = LEASE_TTL / 2
GRACE = 0.2
HEALED = 2 * RENEWAL + HOLD + 8  # two renewals and a hold; the rest is patience

Spoil = Callable[[StoreReader, str], object]


@pytest.fixture
def store(redis: RedisServer) -> StoreReader:
    return StoreReader(redis)


@pytest.fixture
def sites(start_pair: StartPair) -> tuple[SiteServer, SiteServer]:
    return start_pair(settings="tests.cluster.rooms_settings", GRACE=GRACE, DRAIN_GRACE=1)


def loses(*names: str) -> Spoil:
    return lambda store, room: store.delete(*(name.format(key=f"room:{room}") for name in names))


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


def is_not_listed(store: StoreReader, room: str) -> None:
    store.client.zpopmin(f"{PREFIX}t:room:{room}")


def is_listed_early(store: StoreReader, room: str) -> None:
    store.client.zadd(f"{PREFIX}t:room:{room}", {f"{room}2": 5})


SPOILS_OF_ROOMS: list[dict[str, Spoil]] = [
    {"DEL r": loses("r:{key}"), "DEL u": loses("u:{key}"), "DEL o": loses("o:{key}")},
    {"SET r": has_text("r:{key}"), "SET u": has_text("u:{key}"), "SET o": has_text("o:{key}")},
    {"u garbage": has_member("garbage"), "u 1:x:y": has_member("1:x:y"), "r garbage": has_row("garbage")},
    {"u meta": has_unreadable_meta, "r 5 words": has_row("a b c d e"), "V garbage": has_place("garbage")},
    {"DEL t": loses("t:{key}"), "t pop": is_not_listed, "SET t": has_text("t:{key}"), "t 5": is_listed_early},
    {"o pop": has_no_order_of_one, "u 9:": has_member("9:1.0:x:{}"), "V empty": has_place("")},
]
SPOILS_OF_ALL: dict[str, Spoil] = {
    "DEL B and H": loses("B", "H"),
    "DEL L": loses("L"),
    "DEL S": loses("S"),
    "DEL V": loses("V"),
    "DEL I": loses_each("I:*"),
    "H garbage": has_text("H"),
    "S garbage": has_field("S", "garbage"),
    "V garbage": has_field("V", "garbage"),
}


async def test_rows_that_a_store_has_lost_are_restored_while_people_come_and_go(
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
            await asyncio.gather(*map(crowd.enter, fresh), crowd.change_tabs(GRACE))
            await asyncio.sleep(max(0, began + 2 * RENEWAL - time.monotonic()))
            try:
                await crowd.until_right(HEALED)
            except AssertionError as error:
                raise AssertionError(f"{names}: {error}") from None
            await asyncio.gather(*map(crowd.leave, fresh))
            assert (names, crowd.wrongs()) == (names, [])
            assert (names, [site.unexpected for site in sites]) == (names, [[], []])
        await asyncio.sleep(LEASE_TTL)  # a leave that was held back would have come by now
        assert crowd.wrongs() == []
        said_again = {"a", "b"}  # where somebody's row was another one that can be read
        assert not [page for page in crowd.staying if page.room not in said_again and page.told("update")]
    await until_clean(store, leases=2)
    sites[0].stop()
    await until_clean(store, leases=1)


async def until_clean(store: StoreReader, leases: int) -> None:
    """Wait until the store holds only rows about itself and the leases of so many processes."""
    try:
        async with asyncio.timeout(LEASE_TTL + RENEWAL + 8):
            while store.keys() - {"B", "H"} != {"L", "S"} or len(store.leases()) != leases:
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"There are {store.keys()} and {store.leases()}.") from None


async def test_keys_of_the_wrong_type_do_no_lasting_harm(
    sites: tuple[SiteServer, SiteServer], store: StoreReader
) -> None:
    async with Crowd(sites, ("a", "b"), store) as crowd:
        for name in ("L", "S", "V", "H", "I:*"):
            spoiled = store.keys(name) or {name}
            for one in spoiled:
                store.client.delete(PREFIX + one)
                store.client.xadd(PREFIX + one, {"no": "such type"})
            await asyncio.sleep(HOLD + 2 * RENEWAL)
            if name != "I:*":  # that heals by itself
                store.delete(*spoiled)
            await crowd.until_right(HEALED)
            assert (name, crowd.wrongs()) == (name, [])
        await asyncio.sleep(HOLD)
        assert crowd.wrongs() == []
    for site in sites:
        assert len(site.unexpected) <= 2 * 2 * 5  # of reads and of writes, for each key
        site.allow(r"Presence store: (reads|writes) (fail \(.*(WRONGTYPE|is not a hash)|work again)")


def loses_lease(name: str) -> Spoil:
    """Return a `Spoil` that takes the lease of the room's job out of the key *name*."""

    def lose(store: StoreReader, room: str) -> None:
        texts: list[str] = store.client.hvals(f"{PREFIX}r:room:{room}")
        lease = next(text.split(" ")[0] for text in texts if text.startswith("job:"))
        match name:
            case "I":
                store.delete(f"I:{lease}")
            case "J":
                assert store.client.zrem(PREFIX + "J", lease)
            case "S":
                assert store.client.hdel(PREFIX + "S", lease)

    return lose


def loses_all_jobs(store: StoreReader) -> None:
    store.delete("J")


JOB_ROOMS: dict[str, Spoil] = {
    "lost-r": loses("r:{key}"),
    "lost-u": loses("u:{key}"),
    "lost-t": loses("t:{key}"),
    "no-place": lambda store, room: store.client.hdel(PREFIX + "V", f"room:{room}"),
    "no-index": loses_lease("I"),
    "no-expiry": loses_lease("J"),
    "no-seq": loses_lease("S"),
    "spoiled-r": has_row("garbage"),
    "spoiled-u": has_text("u:{key}"),
    "spoiled-t": has_text("t:{key}"),
    "untouched": lambda store, room: None,
}
JOB_TTL = 2.0


def spoil_rooms_of_jobs(store: StoreReader) -> None:
    for room, spoil in JOB_ROOMS.items():
        spoil(store, room)


async def test_a_job_whose_rows_are_lost_is_told_so_or_stays_and_is_no_ghost(
    sites: tuple[SiteServer, SiteServer], store: StoreReader, redis: RedisServer
) -> None:
    layer = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [redis.url()]}}
    settings = {"BACKEND": "redis", "LOCATION": redis.url(), "LEASE_TTL": LEASE_TTL}
    with override_settings(DJUST_PRESENCE=settings, CHANNEL_LAYERS={"default": layer}):
        async with AsyncExitStack() as stack:
            pages = [
                await stack.enter_async_context(RoomPage(sites[n % 2], room, "watcher"))
                for n, room in enumerate(JOB_ROOMS)
            ]

            async def until_jobs(here: Mapping[str, bool]) -> None:
                for page in pages:
                    await page.until_users({"watcher": 1} | ({"job": 1} if here[page.room] else {}))

            async def beat() -> dict[str, bool]:
                return {room: await presence.aheartbeat(f"room:{room}", "job") for room in JOB_ROOMS}

            async def beat_on(seconds: float) -> dict[str, bool]:
                ended = time.monotonic() + seconds
                beats = await beat()
                while time.monotonic() < ended:
                    await asyncio.sleep(JOB_TTL / 4)
                    again = await beat()
                    assert not [room for room in again if again[room] and not beats[room]]
                    beats = again
                return beats

            for lose in (spoil_rooms_of_jobs, loses_all_jobs):
                for room in JOB_ROOMS:
                    await presence.ajoin(
                        f"room:{room}", "job", {"name": "Job", "status": "here"}, ttl=JOB_TTL
                    )
                await until_jobs(dict.fromkeys(JOB_ROOMS, True))
                lose(store)
                alive = await beat_on(JOB_TTL + 2 * RENEWAL)
                await until_jobs(alive)
                if lose is spoil_rooms_of_jobs:
                    assert alive["untouched"]
                    assert alive["no-index"]
                for page in pages:
                    assert not [one for one in page.told("leave") if one[1] == "watcher"]
            await until_jobs(dict.fromkeys(JOB_ROOMS, False))  # no heartbeats
            assert not store.keys("J")
        await until_clean(store, leases=2)
    await close_all()


def lease_of(store: StoreReader, user: str) -> str:
    """The lease on which the connection of *user* hangs."""
    rows: list[str] = store.client.hvals(PREFIX + "r:room:a")
    return next(text.split(" ")[0] for text in rows if text.split(" ")[3] == user)


async def restart(site: SiteServer, pages: Sequence[LastingRoomPage]) -> None:
    """Stop *site* and start it again; returns when each of its pages is back somewhere."""
    returns = [(page, page.returns) for page in pages if page.site is site]
    await asyncio.to_thread(site.stop)
    await asyncio.to_thread(site.start)
    for page, before in returns:
        await until_back(page, before)


async def until_back(page: LastingRoomPage, returns: int) -> None:
    await page.until(lambda: page.returns > returns)


def end_graces(store: StoreReader) -> None:
    """Let the graces of all clean stops be over."""
    for lease, text in store.client.hgetall(PREFIX + "S").items():
        if text.endswith(":draining"):
            store.client.zadd(PREFIX + "L", {lease: 1})


async def until_without_ghosts(store: StoreReader, users: Collection[str], patience: float) -> None:
    """Wait until each of *users* is in the store once, and nobody else."""
    faults: list[str] = []
    try:
        async with asyncio.timeout(patience):
            while faults := store.faults({"a": Counter(users)}):
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError("\n".join(faults)) from None


async def test_restarts_right_after_a_loss_leave_no_ghosts(start_pair: StartPair, store: StoreReader) -> None:
    # What another process takes over has a lease's time, and a page tries again after up to four seconds.
    times = {"GRACE": 0.5, "DRAIN_GRACE": 60, "LEASE_TTL": 10}
    a, b = sites = start_pair(settings="tests.cluster.rooms_settings", **times)
    async with AsyncExitStack() as stack:
        pages = [LastingRoomPage(sites[n % 2 :] + sites[: n % 2], "a", f"user{n}") for n in range(8)]
        for page in pages:
            await stack.enter_async_context(page)
        users = {page.user: 1 for page in pages}
        for page in pages:
            await page.until_users(users)
        store.delete(f"I:{lease_of(store, 'user0')}")
        await restart(a, pages)
        store.delete("L")
        await restart(b, pages)
        end_graces(store)
        await until_without_ghosts(store, users, 8 * LEASE_TTL)
        for page in pages:
            await page.until_users(users)
            assert page.told("leave") == []
        # A crash, after which one of those who were there does not come back.
        gone = next(page for page in pages if page.site is a)
        store.delete(f"I:{lease_of(store, gone.user)}", "L")
        await asyncio.to_thread(a.kill)
        await gone.close()
        del users[gone.user]
        await until_without_ghosts(store, users, 8 * LEASE_TTL)
        for page in pages:
            if page is not gone:
                await page.until_users(users)
