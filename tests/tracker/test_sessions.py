"""Sessions see each other, in one process and in two."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence

import pytest
from channels.layers import InMemoryChannelLayer, get_channel_layer
from pytest_django import Settings as DjangoSettings

from djust_presence.backends.memory import MemoryBackend
from djust_presence.conf import Settings
from djust_presence.errors import PresenceError, PresenceUnavailable
from djust_presence.state.records import Snapshot
from djust_presence.testing.backends.base import join
from djust_presence.tracker import Tracker
from tests.tracker.conftest import QUICK, Process, StartProcess
from tests.until import until


async def test_a_join_and_a_leave_are_told_once_in_every_process(start: StartProcess) -> None:
    a, b = start(), start()
    ada, watcher = a.open("ada"), b.open(None)
    await b.shows(watcher, 1)
    grace = a.open("grace")
    await b.shows(watcher, 2)
    await a.shows(ada, 2)
    grace.untrack()
    await b.shows(watcher, 1)
    await until(lambda: "leave grace" in b.pages.comings(watcher))
    await until(lambda: "leave grace" in a.pages.comings(grace))
    assert a.pages.comings(ada) == ["join ada", "join grace", "leave grace"]
    assert a.pages.comings(grace) == ["join grace", "leave grace"]
    assert b.pages.comings(watcher)[-2:] == ["join grace", "leave grace"]


async def test_two_tabs_are_one_user_wherever_they_are(start: StartProcess) -> None:
    a, b = start(), start()
    first, second = a.open("ada"), b.open("ada")
    for process, session in ((a, first), (b, second)):
        await process.shows(session, 1)
        await process.has_connections(session, "ada", 2)
    second.connection.end()
    await until(lambda: first.members()["ada"].connections == 1)
    assert a.pages.comings(first) == ["join ada"]


async def test_a_wish_is_at_once_in_what_the_session_reads(start: StartProcess) -> None:
    a = start()
    session = a.session()
    session.track("room", "ada", '{"n":1}')
    assert (session.count(), session.members()["ada"].meta) == (1, '{"n":1}')
    session.live()
    await a.shows(session, 1)
    session.track("room", "ada", '{"n":2}')
    assert (session.count(), session.members()["ada"].meta) == (1, '{"n":2}')
    session.untrack()
    assert (session.count(), dict(session.members())) == (0, {})
    session.track("room", "ada", "{}")
    assert session.count() == 1


async def test_an_update_is_no_leave_and_no_join(start: StartProcess) -> None:
    a, b = start(), start()
    ada, watcher = a.open("ada"), b.open(None)
    await b.shows(watcher, 1)
    ada.track("room", "ada", '{"name":"Countess"}')
    await until(lambda: watcher.members()["ada"].meta == '{"name":"Countess"}')
    await until(lambda: "update ada" in b.pages.told.get(watcher, []))
    assert "leave ada" not in b.pages.told[watcher]


async def test_a_session_that_was_never_live_has_never_been(start: StartProcess) -> None:
    a = start()
    watcher = a.open(None)
    await a.shows(watcher, 0)
    session = a.session()
    session.track("room", "ada", "{}")
    session.broadcast("room", "hello", None)
    session.connection.end()
    session.live()
    await asyncio.sleep(0.2)
    assert watcher.count() == 0
    assert not a.pages.events


async def test_a_reload_within_the_grace_is_told_to_nobody(start: StartProcess) -> None:
    a, b = start(grace=1.0), start()
    watcher, ada = b.open(None), a.open("ada")
    await b.shows(watcher, 1)
    ada.connection.end()
    back = b.open("ada")
    await b.shows(back, 1)
    await until(lambda: watcher.members()["ada"].connections == 1)
    assert b.pages.comings(watcher).count("join ada") <= 1
    assert "leave ada" not in b.pages.comings(watcher)


async def test_a_presence_that_cannot_come_back_leaves_at_once(start: StartProcess) -> None:
    a = start(grace=60.0)
    watcher, guest = a.open(None), a.open("anon_conn_1", lasting=False)
    await a.shows(watcher, 1)
    guest.connection.end()
    await a.shows(watcher, 0, 5)


async def test_a_new_user_id_is_a_leave_and_a_join(start: StartProcess) -> None:
    a = start()
    watcher, session = a.open(None), a.open("guest")
    await a.shows(watcher, 1)
    session.track("room", "ada", "{}")
    await until(lambda: set(watcher.members()) == {"ada"})
    await until(lambda: "leave guest" in a.pages.comings(watcher))
    assert set(session.members()) == {"ada"}


async def test_tracking_in_another_group_moves_the_session(start: StartProcess) -> None:
    a = start()
    old, new = a.open(None, "old"), a.open(None, "new")
    session = a.open("ada", "old")
    await a.shows(old, 1)
    session.track("new", "ada", "{}")
    assert session.count() == 1
    await a.shows(new, 1)
    await a.shows(old, 0)
    await a.shows(session, 1)


async def test_a_broadcast_reaches_every_session_once(start: StartProcess) -> None:
    a, b = start(), start()
    here, too, there, elsewhere = a.open("ada"), a.open(None), b.open("grace"), b.open("x", "other")
    here.listens = True
    for process, session in ((a, here), (a, too), (b, there)):
        await process.shows(session, 2)
    await b.shows(elsewhere, 1)
    there.broadcast("room", "wave", {"n": [1]})
    await until(lambda: len(a.pages.events) == 2 and "event wave" in a.pages.told.get(here, []))
    await asyncio.sleep(0.2)
    assert a.pages.events == [(here, "wave", {"n": [1]}), (too, "wave", {"n": [1]})]
    assert b.pages.events == [(there, "wave", {"n": [1]})]
    assert a.pages.told[here].count("event wave") == 1
    assert "event wave" not in a.pages.told.get(too, [])


async def test_wishes_may_come_from_threads(start: StartProcess) -> None:
    a = start()
    watcher = a.open(None)
    sessions = [a.session() for _ in range(20)]
    for session in sessions:
        session.live()
    await asyncio.gather(
        *(asyncio.to_thread(session.track, "room", f"u{n}", "{}") for n, session in enumerate(sessions))
    )
    await a.shows(watcher, 20)

    def read() -> None:
        for _ in range(200):
            assert len(watcher.members()) <= 40
            assert watcher.count() <= 40

    readers = [asyncio.create_task(asyncio.to_thread(read)) for _ in range(4)]
    more = [a.open(f"more{n}") for n in range(20)]
    await asyncio.gather(*readers)
    await a.shows(watcher, 40)
    assert len(more) == 20


async def test_silence_ends_a_connection_and_pings_keep_it(start: StartProcess) -> None:
    a = start(heartbeat_interval=0.2, timeout=0.6)
    alive, silent = a.open("ada"), a.open("grace")
    for _ in range(20):
        alive.connection.heard()
        await asyncio.sleep(0.05)
    await until(lambda: a.pages.closed)
    alive.connection.heard()
    assert a.pages.closed == [(silent, 4000, "timeout")]
    assert alive in a.pages.pinged


async def test_200_sessions_are_refreshed_once_for_one_more_in_hops_of_20(start: StartProcess) -> None:
    a = start()
    sessions = [a.open(f"u{n}") for n in range(200)]
    await until(lambda: all(len(a.pages.comings(session)) == 200 for session in sessions))
    assert {session.count() for session in sessions} == {200}
    for session in sessions:
        assert sum(session in hop for hop in a.pages.hops) <= 20
    a.pages.hops.clear()
    newcomer = a.open("one more")
    await a.shows(newcomer, 201)
    await asyncio.sleep(0.5)
    refreshed = [session for hop in a.pages.hops for session in hop]
    assert sorted(refreshed.count(session) for session in sessions) == [1] * 200
    assert max(map(len, a.pages.hops)) <= 20
    assert len(a.pages.hops) <= 12


async def test_a_change_wakes_no_session_of_another_group(start: StartProcess) -> None:
    a = start()
    one, other = a.open("ada", "document:1"), a.open("ada", "document:2")
    for session in (one, other):
        await a.shows(session, 1)
    await asyncio.sleep(0.2)
    a.pages.hops.clear()
    grace = a.open("grace", "document:1")
    await a.shows(grace, 2)
    await asyncio.sleep(0.2)
    assert not any(other in hop for hop in a.pages.hops)


async def test_a_slow_page_gets_what_it_missed_in_one_go(start: StartProcess) -> None:
    a = start()
    hold = asyncio.Event()
    quick = a.pages.refresh

    async def slow(sessions: object) -> None:
        await hold.wait()
        await quick(sessions)  # type: ignore[arg-type]

    watcher = a.open(None)
    await a.shows(watcher, 0)
    await asyncio.sleep(0.1)
    a.pages.refresh = slow  # type: ignore[method-assign]
    first = a.open("u0", lasting=False)
    await until(lambda: watcher.refreshing)
    for n in range(1, 10):
        a.open(f"u{n}")
        await asyncio.sleep(0.06)
    first.connection.end()
    await asyncio.sleep(0.1)
    hops = len(a.pages.hops)
    hold.set()
    await until(lambda: "leave u0" in a.pages.comings(watcher))
    assert a.pages.comings(watcher) == [f"join u{n}" for n in range(10)] + ["leave u0"]
    assert sum(watcher in hop for hop in a.pages.hops[hops:]) == 1


async def test_a_join_between_a_first_look_and_being_served_is_told(start: StartProcess) -> None:
    a, b = start(), start()
    ada, bob = a.open("ada"), a.open("bob")
    await a.shows(ada, 2)
    session = b.session()
    await asyncio.to_thread(session.look, "room")
    assert set(session.members()) == {"ada", "bob"}
    session.track("room", "grace", "{}")
    alan = a.open("alan")
    bob.untrack()
    await until(lambda: set(b.tracker.groups["room"].replica.shown()) == {"ada", "alan"})
    assert set(session.members()) == {"ada", "bob", "grace"}
    session.live()
    await until(lambda: "join grace" in b.pages.comings(session))
    assert sorted(b.pages.comings(session)[:2]) == ["join alan", "leave bob"]
    assert b.pages.comings(session)[2:] == ["join grace"]
    await a.shows(alan, 3)


async def test_reads_of_a_mount_do_not_change_until_it_is_live(start: StartProcess) -> None:
    a, b = start(), start()
    await a.shows(a.open("ada"), 1)
    session, watcher = b.session(), b.open(None)
    await session.alook("room")
    bob = a.open("bob")
    await b.shows(watcher, 2)
    assert set(session.members()) == {"ada"}
    assert session.count() == 1
    session.watch("room")
    session.live()
    await until(lambda: b.pages.comings(session) == ["join bob"])
    assert session.count() == 2
    bob.untrack()
    await until(lambda: b.pages.comings(session) == ["join bob", "leave bob"])


async def test_a_mount_that_is_refused_leaves_nothing_behind(start: StartProcess) -> None:
    a = start()
    session = a.session()
    await session.alook("room")
    group = a.tracker.groups["room"]
    assert len(group.audience.mounting) == 1
    del session
    gc.collect()
    assert not group.audience.mounting
    assert not group.audience.viewers


async def test_a_mount_that_reads_another_group_than_its_own_is_told_of_its_own_only(
    start: StartProcess,
) -> None:
    a = start()
    session = a.session()
    await session.alook("lobby")
    await session.alook("room")
    session.watch("hall")
    session.live()
    a.open("ada", "room")
    a.open("bob", "lobby")
    a.open("cleo", "hall")
    await until(lambda: a.pages.comings(session) == ["join cleo"])
    assert not any(group.audience.mounting for group in a.tracker.groups.values())


class Deaf(MemoryBackend):
    """Reads of it wait, or fail at once."""

    failing = False

    async def asnapshots(self, keys: Sequence[str]) -> list[Snapshot]:
        if self.failing:
            raise PresenceUnavailable("no")
        await asyncio.sleep(3600)
        return []


async def test_a_mount_waits_for_the_store_for_a_second_in_all() -> None:
    a = Process(Tracker(Deaf(), Settings(**QUICK)))
    session = a.session()
    began = a.tracker.clock.now
    for key in ("room", "hall", "room", "lobby"):
        await asyncio.to_thread(session.look, key)
    await session.alook("roof")
    assert 0.9 < a.tracker.clock.now - began < 5
    session.track("room", "ada", "{}")
    assert session.count() == 1
    await a.tracker.aclose()


async def test_no_mount_waits_for_a_store_that_failed_a_moment_ago() -> None:
    backend = Deaf()
    backend.failing = True
    a = Process(Tracker(backend, Settings(**QUICK)))
    await a.session().alook("room")
    began = a.tracker.clock.now
    for _ in range(50):
        await asyncio.to_thread(a.session().look, "room")
    assert a.tracker.clock.now - began < 10  # and not a second each
    await a.tracker.aclose()


class SlowLayer(InMemoryChannelLayer):
    """Takes subscriptions only when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.awake = asyncio.Event()

    async def group_add(self, group: str, channel: str) -> None:
        await self.awake.wait()
        await super().group_add(group, channel)


class Shared(MemoryBackend):
    shared = True


async def test_a_layer_that_hangs_keeps_no_group_from_being_read(settings: DjangoSettings) -> None:
    """It is read soon, and once more when messages arrive: what came in between is in neither of them."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": f"{__name__}.SlowLayer"}}
    layer, backend = get_channel_layer(), Shared()
    assert isinstance(layer, SlowLayer)
    a = Process(Tracker(backend, Settings(**{**QUICK, "lease_ttl": 300.0})))
    backend.open("lease", 1000.0)
    backend.write("lease", [join(1, "r1", "ada")])
    watcher = a.open(None)
    await a.shows(watcher, 1, 5)
    backend.write("lease", [join(2, "r2", "bob")])
    layer.awake.set()
    await a.shows(watcher, 2, 5)
    await a.tracker.aclose()


async def test_a_look_in_a_running_loop_says_what_to_await(start: StartProcess) -> None:
    with pytest.raises(PresenceError, match="whose name begins with an a"):
        start().session().look("room")


async def test_nobody_is_missing_from_their_own_page_whoever_else_comes_at_the_same_time(
    start: StartProcess,
) -> None:
    a, b = start(), start()
    for process in (a, b):
        for key in range(10):
            await process.shows(process.open(None, str(key)), 0)
    pages = [
        (process.open(user, str(key)), user)
        for key in range(10)
        for process, user in ((a, "ada"), (b, "grace"))
    ]
    rounds = 0
    while not all(session.count() == 2 for session, _ in pages) or rounds < 200:
        for session, user in pages:
            assert user in session.members()
            assert session.count() == len(session.members())
        await asyncio.sleep(0)
        rounds += 1
