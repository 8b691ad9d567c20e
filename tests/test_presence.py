from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from django.utils.functional import SimpleLazyObject
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
from djust_presence.presence.store import SWEEP_INTERVAL
from djust_presence.testing import presence as presence_ended
from djust_presence.testing.backends.base import join
from djust_presence.tracker import get_tracker
from tests.backends.relay import Relay
from tests.pages import Visitor, site
from tests.servers import ROOT, RedisServer, find_valkey_server
from tests.until import wait_until

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
    time.sleep(0.2 + SWEEP_INTERVAL)
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


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf")])
async def test_a_ttl_is_above_0(ttl: float) -> None:
    with pytest.raises(ValueError, match="ttl"):
        await presence.ajoin("jobs", "w", ttl=ttl)


# In a running loop

CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("list", ("jobs",)),
    ("count", ("jobs",)),
    ("is_present", ("jobs", "w")),
    ("members", ("jobs", ["w"])),
    ("which", ("jobs", ["w"])),
    ("count_many", (["jobs"],)),
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


# Keys and users


@pytest.mark.parametrize("key", ["", "x" * 256, "half \ud83d", None, 5, b"jobs"])
@pytest.mark.parametrize("backend", ["memory", "redis"])
def test_a_key_that_cannot_be_used_is_refused_before_any_store_is_asked(
    backend: str, key: Any, settings: Settings
) -> None:
    settings.DJUST_PRESENCE = {"BACKEND": backend, "LOCATION": "redis://127.0.0.1:1/0"}
    for name, arguments in CALLS:
        wrong = ([key], *arguments[1:]) if name == "count_many" else (key, *arguments[1:])
        with pytest.raises(PresenceKeyError, match=rf"1 to 255 characters.*presence\.{name}\(\)"):
            getattr(presence, name)(*wrong)
        with pytest.raises(PresenceKeyError, match=rf"1 to 255 characters.*presence\.{name}\(\)"):
            asyncio.run(getattr(presence, f"a{name}")(*wrong))


def test_a_user_object_is_taken_wherever_an_id_is(store: str) -> None:
    ada, lazy = User(pk=7, username="ada"), SimpleLazyObject(lambda: User(pk=8, username="grace"))
    presence.join("jobs", ada, {"name": "Ada"})
    presence.join("jobs", lazy)
    assert [one["id"] for one in presence.list("jobs")] == ["7", "8"]
    assert presence.is_present("jobs", lazy)
    assert [one["name"] for one in presence.members("jobs", [ada])] == ["Ada"]
    assert presence.heartbeat("jobs", User(pk=7))
    presence.leave("jobs", 8)
    presence.leave("jobs", ada)
    assert presence.count("jobs") == 0


NOBODY = [None, "", AnonymousUser(), User(username="not saved")]


@pytest.mark.parametrize("nobody", NOBODY, ids=["None", "empty", "anonymous", "not saved"])
def test_a_user_without_an_id_is_not_present_and_cannot_be(store: str, nobody: Any) -> None:
    presence.join("jobs", str(nobody) or "x")
    assert not presence.is_present("jobs", nobody)
    assert presence.which("jobs", [nobody]) == presence.members("jobs", [nobody]) == []
    for name in ("join", "heartbeat", "leave"):
        with pytest.raises(ValueError, match=rf"presence\.{name}\(\) needs a user id.*get_presence_user_id"):
            getattr(presence, name)("jobs", nobody)


def test_an_instance_of_another_model_is_no_user(store: str) -> None:
    group = Group(pk=7, name="editors")
    for name in ("is_present", "join", "heartbeat", "leave"):
        with pytest.raises(TypeError, match="pass the id"):
            getattr(presence, name)("jobs", group)
    for name in ("which", "members"):
        with pytest.raises(TypeError, match="pass the id"):
            getattr(presence, name)("jobs", [group])


# Questions about many, and parts of a list


def test_selected_members_are_the_very_objects_in_their_order(store: str) -> None:
    ada, grace, alan = (User(pk=pk) for pk in (7, 8, 9))
    presence.join("jobs", alan)
    presence.join("jobs", ada)
    users: list[Any] = [ada, "9", grace, None, 7, alan, AnonymousUser(), ada]
    found = presence.which("jobs", iter(users))
    assert found == [ada, "9", 7, alan, ada]
    assert found[0] is found[-1] is ada
    assert presence.which("jobs", []) == presence.which("nowhere", users) == []
    assert asyncio.run(presence.awhich("jobs", users)) == found


def test_members_are_the_records_of_some_in_the_order_of_the_list(store: str) -> None:
    for user in ("3", "1", "2"):
        presence.join("jobs", user, {"name": f"No. {user}"})
    everybody = presence.list("jobs")
    assert [one["id"] for one in everybody] == ["3", "1", "2"]
    asked: list[Any] = [2, User(pk=3), "4", "2", None]
    assert presence.members("jobs", asked) == [everybody[0], everybody[2]]
    assert presence.members("jobs", []) == presence.members("nowhere", asked) == []
    assert asyncio.run(presence.amembers("jobs", iter(asked))) == [everybody[0], everybody[2]]


def test_many_are_counted_at_once(store: str) -> None:
    presence.join("a", "1")
    presence.join("a", "2")
    presence.join("b", "1")
    counts = {"b": 1, "nowhere": 0, "a": 2}
    assert list(presence.count_many(iter([*counts, "b"])).items()) == list(counts.items())
    assert asyncio.run(presence.acount_many(counts)) == counts
    assert presence.count_many([]) == {}
    many = presence.count_many(f"ticket:{number}" for number in range(3000))
    assert len(many) == 3000


def test_one_text_is_not_several() -> None:
    for name, arguments in [
        ("which", ("jobs", "ada")),
        ("members", ("jobs", "ada")),
        ("count_many", ("jobs",)),
    ]:
        with pytest.raises(TypeError, match="as a list"):
            getattr(presence, name)(*arguments)


def test_a_list_can_be_read_in_parts(store: str) -> None:
    for number in range(7):
        presence.join("jobs", f"w{number}")
    everybody = presence.list("jobs")
    assert presence.list("jobs", 3) == everybody[:3]
    assert presence.list("jobs", limit=0) == []
    assert presence.list("jobs", limit=100) == everybody
    assert presence.list("jobs", after=everybody[4]) == everybody[5:]
    assert presence.list("jobs", after=everybody[-1]) == []
    presence.leave("jobs", everybody[2]["id"])
    spot = {"joined_at": everybody[2]["joined_at"], "id": everybody[2]["id"]}
    assert presence.list("jobs", limit=2, after=spot) == everybody[3:5]
    assert asyncio.run(presence.alist("jobs", 2, everybody[2])) == everybody[3:5]


def test_users_who_came_at_the_same_time_are_told_apart_in_parts(settings: Settings) -> None:
    settings.DJUST_PRESENCE = QUICK
    backend = get_backend()
    backend.open("lease", 60)
    users = ["1", "10", "2", "a", "é"]
    backend.write("lease", [join(seq, f"r{seq}", user, joined_at=1.5) for seq, user in enumerate(users, 1)])
    seen: list[str] = []
    last = None
    while part := presence.list("room", limit=2, after=last):
        seen += [one["id"] for one in part]
        last = part[-1]
    assert seen == users


RECORD = {"joined_at": 1.5, "id": "7"}


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("limit", -1, ValueError),
        ("limit", "3", TypeError),
        ("limit", 1.0, TypeError),
        ("limit", True, TypeError),
        ("after", {}, ValueError),
        ("after", {"id": "7"}, ValueError),
        ("after", "7", TypeError),
        ("after", RECORD | {"joined_at": "1.5"}, TypeError),
        ("after", RECORD | {"joined_at": None}, TypeError),
        ("after", RECORD | {"joined_at": float("nan")}, ValueError),
        ("after", RECORD | {"joined_at": 10**400}, ValueError),
        ("after", RECORD | {"id": 7}, TypeError),
        ("after", RECORD | {"id": "\ud800"}, ValueError),
    ],
)
def test_a_part_that_is_none_says_what_to_pass(argument: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=rf"^{argument} is a "):
        presence.list("jobs", **{argument: value})
    with pytest.raises(error, match=rf"^{argument} is a "):
        asyncio.run(presence.alist("jobs", **{argument: value}))


READS: list[tuple[str, tuple[Any, ...]]] = [
    ("list", ("jobs",)),
    ("list", ("jobs", 10, RECORD)),
    ("list", ("jobs", 10)),
    ("count", ("jobs",)),
    ("is_present", ("jobs", "w")),
    ("members", ("jobs", [f"w{number}" for number in range(2500)])),
    ("which", ("jobs", [f"w{number}" for number in range(2500)])),
    ("count_many", ([f"jobs:{number}" for number in range(2500)],)),
    ("heartbeat", ("jobs", "w")),
]


@pytest.mark.parametrize("awaited", [False, True])
def test_calls_in_a_row_are_one_round_trip_each(
    awaited: bool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("djust_presence.presence.store.SWEEP_INTERVAL", 60)  # the relay is slow
    with (
        RedisServer(find_valkey_server()) as server,
        Relay(server.port) as relay,
        asyncio.Runner() as runner,
    ):
        use(settings, over_redis(relay.url))
        presence.join("jobs", "w")

        def call(name: str, arguments: Any) -> None:
            if awaited:
                runner.run(getattr(presence, f"a{name}")(*arguments))
            else:
                getattr(presence, name)(*arguments)

        for name, arguments in READS:
            call(name, arguments)
        for name, arguments in READS:
            relay.round_trips = 0
            call(name, arguments)
            assert (name, relay.round_trips) == (name, 1)
        runner.run(get_backend().aclose())
        get_backend().close()


# Expiry


def test_threads_and_loops_look_for_what_has_expired_once_a_second(settings: Settings) -> None:
    with RedisServer(find_valkey_server()) as server, redis.Redis.from_url(server.url()) as client:
        use(settings, over_redis(server.url()))
        presence.count("jobs")

        def scripts() -> int:
            stats: Any = client.info("commandstats")
            return int(stats["cmdstat_evalsha"]["calls"])

        def ask() -> None:
            for _ in range(50):
                presence.count("jobs")

        async def aask() -> None:
            for _ in range(50):
                await presence.acount("jobs")

        before, began = scripts(), time.monotonic()
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        asyncio.run(aask())
        for thread in threads:
            thread.join()
        assert scripts() - before <= 1 + (time.monotonic() - began) / SWEEP_INTERVAL


def test_a_rebuilt_backend_is_swept_at_once(valkey_url: str, settings: Settings) -> None:
    use(settings, over_redis(valkey_url))
    presence.join("jobs", "short", ttl=0.05)
    time.sleep(0.1)
    use(settings, over_redis(valkey_url, timeout=2))
    assert presence.list("jobs") == []


def test_without_a_heartbeat_a_job_is_gone_though_no_page_is_open(store: str) -> None:
    presence.join("jobs", "short", ttl=0.5)
    presence.join("jobs", "long", ttl=60)
    began = time.monotonic()
    while time.monotonic() < began + 0.7:
        assert presence.heartbeat("jobs", "short")
        time.sleep(0.05)
    assert presence.is_present("jobs", "short")
    wait_until(lambda: [one["id"] for one in presence.list("jobs")] == ["long"], 5)
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
    """Run *calls* in another process, one without a channel layer, and return what it prints."""
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


# Processes that serve no page

ALONE = """
import asyncio, sys
from django.conf import settings
apps = ["django.contrib.contenttypes", "django.contrib.auth", "djust_presence"]
settings.configure(DJUST_PRESENCE=dict(zip(["BACKEND", "LOCATION"], sys.argv[2:])), INSTALLED_APPS=apps)
import django
django.setup()
exec(sys.argv[1])
from djust_presence import presence
presence.broadcast("jobs", "done")
print(presence.list("jobs"))
print(asyncio.run(presence.acount("jobs")))
"""


def warnings_of(code: str, *backend: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE, code, *backend],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[]\n0\n"
    return done.stderr.splitlines()


def test_the_memory_backend_warns_once_in_a_process_that_serves_no_page() -> None:
    (line,) = warnings_of("")
    assert line.startswith("The presence backend 'memory' was asked in a process that serves no live page")
    assert "DJUST_PRESENCE['BACKEND'] to 'redis'" in line


def test_a_process_whose_consumer_is_made_is_not_warned() -> None:
    make = "from djust_presence.live import LiveViewConsumer; LiveViewConsumer.as_asgi()"
    assert warnings_of(make) == []


def test_a_process_with_djusts_consumer_is_not_warned() -> None:
    pytest.importorskip("djust")
    view = "from djust_presence import PresenceMixin"
    assert len(warnings_of(view)) == 1
    assert warnings_of(f"{view}; import djust.websocket") == []


def test_a_worker_on_redis_is_not_warned(valkey_url: str) -> None:
    layer = "settings.CHANNEL_LAYERS = {'default': {'BACKEND': 'channels.layers.InMemoryChannelLayer'}}"
    assert warnings_of(layer, "redis", valkey_url) == []


# Open pages


async def served() -> None:
    """Wait until the page's process serves the group: earlier joins are no news to the page."""
    while (group := get_tracker().groups.get("jobs")) is None or not (
        group.replica.ready and group.audience.viewers
    ):
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
    wait_until(lambda: presence.is_present("jobs", "w"), 5)


async def test_a_store_that_hangs_is_unavailable_to_async_code_too(frozen: RedisServer) -> None:
    for name, arguments in CALLS:
        with pytest.raises(PresenceUnavailable, match="Redis|channel layer"):
            await getattr(presence, f"a{name}")(*arguments)


def test_a_store_that_is_not_there_is_unavailable(settings: Settings) -> None:
    use(settings, over_redis("redis://127.0.0.1:1/0"))
    with pytest.raises(PresenceUnavailable, match="Redis"):
        presence.count("jobs")
