from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from pytest_django import Settings

from djust_presence import (
    LiveView,
    PresenceError,
    PresenceKeyError,
    PresenceMixin,
    PresenceUnavailable,
    presence,
)
from djust_presence.backends.registry import get_backend
from djust_presence.testing import presence as presence_ended
from djust_presence.tracker import serving
from tests.pages import Visitor, site
from tests.servers import ROOT, RedisServer, find_valkey_server

pytestmark = pytest.mark.urls(__name__)

QUICK = {"LEASE_TTL": 0.6, "GRACE": 0.05, "REFRESH_INTERVAL": 0.01}


class Board(PresenceMixin, LiveView):
    template_name = "board.html"
    presence_key = "jobs"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.watch_presence()

    def handle_presence_join(self, presence: dict[str, Any]) -> None:
        self.push_event("join", presence["id"])

    def handle_presence_leave(self, presence: dict[str, Any]) -> None:
        self.push_event("leave", presence["id"])

    def handle_presence_event(self, event: str, payload: Any) -> None:
        self.push_event("heard", [event, payload])


def report(request: HttpRequest) -> HttpResponse:
    presence.join("jobs", "view", ttl=30)
    names = ", ".join(one["id"] for one in presence.list("jobs"))
    return HttpResponse(f"{presence.count('jobs')}: {names}")


async def areport(request: HttpRequest) -> HttpResponse:
    await presence.ajoin("jobs", "aview", ttl=30)
    names = ", ".join(one["id"] for one in await presence.alist("jobs"))
    return HttpResponse(f"{await presence.acount('jobs')}: {names}")


urlpatterns = [
    path("board/", Board.as_view()),
    path("report/", report),
    path("areport/", areport),
]


def over_redis(url: str, **options: Any) -> dict[str, Any]:
    return {
        "DJUST_PRESENCE": {"BACKEND": "redis", "LOCATION": url, **QUICK, "OPTIONS": {"timeout": 2} | options},
        "CHANNEL_LAYERS": {
            "default": {
                "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
                "CONFIG": {"hosts": [url], "prefix": f"facade-{url.rsplit('/')[-1]}"},
            }
        },
    }


def use(settings: Settings, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(settings, name, value)


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest, settings: Settings) -> str:
    use(settings, site({"board.html": "{{ online_count }} at work"}))
    settings.DJUST_PRESENCE = QUICK
    if request.param == "redis":
        use(settings, over_redis(request.getfixturevalue("valkey_url")))
    return str(request.param)


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    async with presence_ended():
        yield


def eventually(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# In plain sync code: a WSGI view, a job, a shell


def test_sync_code_joins_reads_and_leaves(store: str) -> None:
    before = time.time()
    assert presence.list("jobs") == []
    presence.join("jobs", "worker-1", {"name": "Importer"}, ttl=60)
    presence.join("jobs", 2, ttl=60)
    first, second = presence.list("jobs")
    assert before - 1 < first["joined_at"] <= second["joined_at"] < time.time() + 1
    meta = {"name": "Importer"}
    assert first == {
        "id": "worker-1",
        "joined_at": first["joined_at"],
        "connections": 1,
        "meta": meta,
        "name": "Importer",
    }
    assert (second["id"], second["name"]) == ("2", "Guest")
    assert presence.count("jobs") == 2
    assert presence.count("elsewhere") == 0
    assert presence.is_present("jobs", 2)
    assert presence.is_present("jobs", "2")
    assert not presence.is_present("jobs", "3")
    assert presence.heartbeat("jobs", 2)
    presence.leave("jobs", "2")
    presence.leave("jobs", "2")
    assert not presence.is_present("jobs", 2)
    assert not presence.heartbeat("jobs", 2)
    assert [one["id"] for one in presence.list("jobs")] == ["worker-1"]


async def test_async_code_joins_reads_and_leaves(store: str) -> None:
    assert await presence.alist("jobs") == []
    await presence.ajoin("jobs", "worker-1", {"name": "Importer"}, ttl=60)
    await presence.ajoin("jobs", 2)
    assert [one["name"] for one in await presence.alist("jobs")] == ["Importer", "Guest"]
    assert await presence.acount("jobs") == 2
    assert await presence.ais_present("jobs", 2)
    assert await presence.aheartbeat("jobs", 2)
    await presence.aleave("jobs", 2)
    assert not await presence.ais_present("jobs", 2)
    assert not await presence.aheartbeat("jobs", 2)
    assert await asyncio.to_thread(presence.count, "jobs") == 1


def test_joining_again_takes_the_new_meta_and_ttl(store: str) -> None:
    presence.join("jobs", "w", {"step": 1}, ttl=0.1)
    presence.join("jobs", "w", {"step": 2}, ttl=60)
    time.sleep(0.2)
    (record,) = presence.list("jobs")
    assert (record["step"], record["connections"]) == (2, 1)


def test_keys_that_look_alike_are_groups_of_their_own(store: str) -> None:
    presence.join("a:b", "1")
    presence.join("a_b", "1")
    presence.join("a", "b1")
    presence.leave("a:b", "1")
    assert [presence.count(key) for key in ("a:b", "a_b", "a")] == [0, 1, 1]


def test_a_wsgi_view_can_join_and_read(store: str) -> None:
    assert Client().get("/report/").content == b"1: view"
    assert Client().get("/areport/").content == b"2: view, aview"


@pytest.mark.parametrize("key", ["", "x" * 256, "half \ud83d", None, 5])
def test_a_key_that_cannot_be_used_is_refused(key: Any) -> None:
    with pytest.raises(PresenceKeyError, match=r"1 to 255 characters.*join\(\)"):
        presence.join(key, "w")
    with pytest.raises(PresenceKeyError, match=r"1 to 255 characters.*broadcast\(\)"):
        presence.broadcast(key, "done")


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf")])
async def test_a_ttl_is_above_0(ttl: float) -> None:
    with pytest.raises(ValueError, match="ttl"):
        await presence.ajoin("jobs", "w", ttl=ttl)


# In a running loop

CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("list", ("jobs",)),
    ("count", ("jobs",)),
    ("is_present", ("jobs", "w")),
    ("join", ("jobs", "w")),
    ("heartbeat", ("jobs", "w")),
    ("leave", ("jobs", "w")),
    ("broadcast", ("jobs", "done", 1)),
]


@pytest.mark.parametrize(("name", "arguments"), CALLS)
async def test_a_call_that_would_hold_up_the_loop_names_its_twin(name: str, arguments: Any) -> None:
    with pytest.raises(PresenceError, match=rf"await presence\.a{name}\(\)"):
        getattr(presence, name)(*arguments)
    assert callable(getattr(presence, f"a{name}"))


def test_the_twins_are_complete() -> None:
    sync = {name for name, _ in CALLS}
    assert set(presence.__all__) == sync | {f"a{name}" for name in sync}


# Expiry


def test_without_a_heartbeat_a_job_is_gone_though_no_page_is_open(store: str) -> None:
    presence.join("jobs", "short", ttl=0.5)
    presence.join("jobs", "long", ttl=60)
    began = time.monotonic()
    while time.monotonic() < began + 0.7:
        assert presence.heartbeat("jobs", "short")
        time.sleep(0.05)
    assert presence.is_present("jobs", "short")
    time.sleep(0.6)
    assert [one["id"] for one in presence.list("jobs")] == ["long"]
    assert presence.count("jobs") == 1
    assert not presence.heartbeat("jobs", "short")
    presence.join("jobs", "short", ttl=60)
    assert presence.count("jobs") == 2


JOB = """
import sys
from django.conf import settings
settings.configure(DJUST_PRESENCE={"BACKEND": "redis", "LOCATION": sys.argv[1]})
from djust_presence import presence
print([getattr(presence, call)("jobs", "far away") for call in sys.argv[2:]])
"""


def elsewhere(url: str, *calls: str) -> str:
    """What another process, one without a channel layer, gets for its calls."""
    return subprocess.run(
        [sys.executable, "-c", JOB, url, *calls], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_any_process_may_send_the_heartbeat(valkey_url: str, settings: Settings) -> None:
    use(settings, over_redis(valkey_url))
    presence.join("jobs", "far away", ttl=30)
    assert (
        elsewhere(valkey_url, "is_present", "heartbeat", "leave", "heartbeat") == "[True, True, None, False]"
    )
    assert presence.count("jobs") == 0


# Open pages


async def served() -> None:
    """Wait until the page's process serves the group: who came before that is no news to the page."""
    while (group := serving("jobs")) is None or not group.sessions:
        await asyncio.sleep(0.005)


async def test_comings_and_goings_reach_open_pages(store: str) -> None:
    async with Visitor().opens("/board/") as page:
        await served()
        await presence.ajoin("jobs", "one")
        assert await page.until_pushed("join") == ["one"]
        await page.until("1 at work")
        await asyncio.to_thread(presence.join, "jobs", "two")
        assert await page.until_pushed("join", 2) == ["one", "two"]
        await page.until("2 at work")
        await asyncio.to_thread(presence.leave, "jobs", "one")
        assert await page.until_pushed("leave") == ["one"]
        await presence.aleave("jobs", "two")
        assert await page.until_pushed("leave", 2) == ["one", "two"]
        await page.until("0 at work")


async def test_a_broadcast_reaches_open_pages_and_their_views(store: str) -> None:
    payload: dict[str, Any] = {"rows": [1, 2]}
    async with Visitor().opens("/board/") as page:
        await served()
        await presence.abroadcast("other", "done", 0)
        await presence.abroadcast("jobs", "done", payload)
        payload["rows"].append(3)
        assert await page.until_event("done") == {"rows": [1, 2]}
        await asyncio.to_thread(presence.broadcast, "jobs", "ready")
        assert await page.until_event("ready") is None
        assert await page.until_pushed("heard", 2) == [["done", {"rows": [1, 2]}], ["ready", None]]
        assert page.events("done") == [{"rows": [1, 2]}]


@pytest.mark.parametrize("payload", [object(), float("nan"), {1, 2}])
async def test_a_broadcast_is_json(payload: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        await presence.abroadcast("jobs", "done", payload)


async def test_a_broadcast_needs_a_channel_layer_where_there_are_several_processes(
    valkey_url: str, settings: Settings
) -> None:
    use(settings, over_redis(valkey_url) | {"CHANNEL_LAYERS": {}})
    with pytest.raises(ImproperlyConfigured, match="CHANNEL_LAYERS"):
        await presence.abroadcast("jobs", "done")


async def test_open_pages_see_a_job_expire_though_nobody_asks(store: str) -> None:
    async with Visitor().opens("/board/") as page:
        await served()
        await presence.ajoin("jobs", "short", ttl=0.2)
        assert await page.until_pushed("leave") == ["short"]
        await page.until("0 at work")


async def test_a_process_without_a_channel_layer_reaches_pages_at_their_next_renewal(
    valkey_url: str, settings: Settings
) -> None:
    use(settings, site({"board.html": "{{ online_count }} at work"}) | over_redis(valkey_url))
    async with Visitor().opens("/board/") as page:
        await served()
        await asyncio.to_thread(elsewhere, valkey_url, "join")
        assert await page.until_pushed("join") == ["far away"]


# Cancelled calls


async def test_a_call_that_is_cancelled_ends_at_whatever_point(valkey_url: str, settings: Settings) -> None:
    use(settings, over_redis(valkey_url))

    async def work() -> None:
        await presence.acount("jobs")
        await asyncio.Event().wait()

    for steps in range(60):
        if steps % 2:
            await get_backend().aclose()  # with a connection to be opened
        task = asyncio.create_task(work())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=1)
        assert task.cancelled(), steps


# A store that does not answer


@pytest.fixture
def frozen(settings: Settings) -> Iterator[RedisServer]:
    with RedisServer(find_valkey_server()) as server:
        use(settings, over_redis(server.url(), timeout=0.2, read_timeout=0.2))
        presence.join("jobs", "w")
        server.freeze()
        yield server
        server.thaw()


def test_a_store_that_hangs_is_unavailable(frozen: RedisServer) -> None:
    for name, arguments in CALLS:
        with pytest.raises(PresenceUnavailable, match="Redis|channel layer"):
            getattr(presence, name)(*arguments)
    frozen.thaw()
    eventually(lambda: presence.is_present("jobs", "w"))


async def test_a_store_that_hangs_is_unavailable_to_async_code_too(frozen: RedisServer) -> None:
    for name, arguments in CALLS:
        with pytest.raises(PresenceUnavailable, match="Redis|channel layer"):
            await getattr(presence, f"a{name}")(*arguments)


def test_a_store_that_is_not_there_is_unavailable(settings: Settings) -> None:
    use(settings, over_redis("redis://127.0.0.1:1/0"))
    with pytest.raises(PresenceUnavailable, match="Redis"):
        presence.count("jobs")
