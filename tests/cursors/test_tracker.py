from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.cache import caches
from django.core.management import call_command
from django.utils.functional import SimpleLazyObject
from pytest_django import Settings

from djust_presence import CursorTracker, PresenceKeyError
from tests.servers import ROOT
from tests.until import wait_until

REDIS = ("django_redis", "redis")
SHARED = (*REDIS, "file", "database")
ALL = (*SHARED, "locmem")


def cache_settings(kind: str, directory: Path, redis_url: str) -> dict[str, Any]:
    match kind:
        case "django_redis":
            return {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": redis_url, "KEY_PREFIX": "site"}
        case "redis":
            return {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": redis_url}
        case "file":
            return {
                "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
                "LOCATION": str(directory),
            }
        case "database":
            return {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache_table"}
        case "dummy":
            return {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}
    return {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": str(directory)}


UseCache = Callable[[str], None]


@pytest.fixture
def use_cache(settings: Settings, tmp_path: Path, valkey_url: str, transactional_db: None) -> UseCache:
    def use(kind: str) -> None:
        settings.CACHES = {
            "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
            "cursors": cache_settings(kind, tmp_path, valkey_url),
        }
        settings.DJUST_PRESENCE = {"CURSOR_CACHE": "cursors"}
        if kind == "database":
            call_command("createcachetable", verbosity=0)
            caches["cursors"].clear()

    return use


@pytest.fixture(params=ALL)
def cache(request: pytest.FixtureRequest, use_cache: UseCache) -> str:
    use_cache(request.param)
    kind: str = request.param
    return kind


pytestmark = pytest.mark.redis


def places(key: str = "doc:123") -> dict[str, tuple[float, float]]:
    return {user: (one["x"], one["y"]) for user, one in CursorTracker.get_cursors(key).items()}


def test_a_position_is_read_as_it_was_written(cache: str) -> None:
    CursorTracker.update_cursor("doc:123", 7, x=450, y=200.5, meta={"color": "#e74c3c", "name": "Ada é"})
    (user,) = CursorTracker.get_cursors("doc:123").items()
    name, cursor = user
    assert name == "7"
    assert abs(cursor.pop("timestamp") - time.time()) < 60
    assert cursor == {"x": 450, "y": 200.5, "meta": {"color": "#e74c3c", "name": "Ada é"}}


def test_the_last_position_counts_and_a_removed_one_does_not(cache: str) -> None:
    for x in range(3):
        CursorTracker.update_cursor("doc:123", "ada", x, 0)
        CursorTracker.update_cursor("doc:123", "grace", 0, x)
    assert places() == {"ada": (2, 0), "grace": (0, 2)}
    CursorTracker.remove_cursor("doc:123", "ada")
    CursorTracker.remove_cursor("doc:123", "nobody")
    assert places() == {"grace": (0, 2)}


def test_groups_have_nothing_to_do_with_each_other(cache: str) -> None:
    keys = ["a", "a:b", "a_b", "a b\n", "ü" * 255]
    for n, key in enumerate(keys):
        CursorTracker.update_cursor(key, "ada", n, n)
    assert [places(key) for key in keys] == [{"ada": (n, n)} for n in range(len(keys))]


def test_a_still_cursor_is_gone_after_the_timeout_and_the_others_are_not(
    cache: str, settings: Settings
) -> None:
    settings.DJUST_PRESENCE = {"CURSOR_CACHE": "cursors", "CURSOR_TIMEOUT": 1}
    CursorTracker.update_cursor("doc:123", "ada", 1, 1)
    deadline = time.monotonic() + 10
    while "ada" in places() and time.monotonic() < deadline:
        CursorTracker.update_cursor("doc:123", "grace", 2, 2)
        time.sleep(0.05)
    assert places() == {"grace": (2, 2)}


async def test_there_is_a_twin_for_async_code(cache: str) -> None:
    await CursorTracker.aupdate_cursor("doc:123", "ada", 1, 2)
    assert (await CursorTracker.aget_cursors("doc:123"))["ada"]["y"] == 2
    await CursorTracker.aremove_cursor("doc:123", "ada")
    assert await CursorTracker.aget_cursors("doc:123") == {}


@pytest.mark.parametrize("x", [float("nan"), float("inf"), "1", None, True, [1], {}])
def test_a_value_that_is_not_a_finite_number_is_refused_and_changes_nothing(
    x: Any, use_cache: UseCache
) -> None:
    use_cache("locmem")
    CursorTracker.update_cursor("doc:123", "ada", 1, 2)
    with pytest.raises(ValueError, match="coordinate x"):
        CursorTracker.update_cursor("doc:123", "ada", x, 3)
    with pytest.raises(ValueError, match="coordinate y"):
        CursorTracker.update_cursor("doc:123", "ada", 3, x)
    assert places() == {"ada": (1, 2)}


def test_a_meta_that_is_too_large_is_refused(use_cache: UseCache) -> None:
    use_cache("locmem")
    with pytest.raises(ValueError, match="4"):
        CursorTracker.update_cursor("doc:123", "ada", 1, 2, {"name": "x" * 5000})
    assert places() == {}


@pytest.mark.parametrize("key", ["", "x" * 256, "half \ud83d", None, 5])
async def test_a_key_that_cannot_be_used_is_refused_before_any_cache_is_asked(
    key: Any, settings: Settings
) -> None:
    nowhere = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {"default": nowhere}
    calls = [("update_cursor", ("ada", 1, 2)), ("get_cursors", ()), ("remove_cursor", ("ada",))]
    for name, arguments in calls:
        with pytest.raises(PresenceKeyError, match="1 to 255 characters.*CursorTracker"):
            getattr(CursorTracker, name)(key, *arguments)
        with pytest.raises(PresenceKeyError, match="1 to 255 characters.*CursorTracker"):
            await getattr(CursorTracker, f"a{name}")(key, *arguments)


async def test_a_user_object_is_its_pk_and_another_model_is_no_user(use_cache: UseCache) -> None:
    use_cache("locmem")
    CursorTracker.update_cursor("doc:123", User(pk=7, username="ada"), 1, 2)
    await CursorTracker.aupdate_cursor("doc:123", SimpleLazyObject(lambda: User(pk=8)), 3, 4)
    assert places() == {"7": (1, 2), "8": (3, 4)}
    CursorTracker.remove_cursor("doc:123", User(pk=7))
    await CursorTracker.aremove_cursor("doc:123", 8)
    assert places() == {}
    with pytest.raises(TypeError, match="pass the id"):
        CursorTracker.update_cursor("doc:123", Group(pk=7), 1, 2)
    with pytest.raises(TypeError, match="pass the id"):
        CursorTracker.remove_cursor("doc:123", Group(pk=7))


@pytest.mark.parametrize(
    "nobody",
    [None, "", AnonymousUser(), User(username="not saved")],
    ids=["None", "empty", "anonymous", "not saved"],
)
def test_a_user_without_an_id_has_no_cursor(nobody: Any, use_cache: UseCache) -> None:
    use_cache("locmem")
    with pytest.raises(ValueError, match=r"update_cursor\(\) needs a user id.*get_presence_user_id"):
        CursorTracker.update_cursor("doc:123", nobody, 1, 2)
    with pytest.raises(ValueError, match=r"remove_cursor\(\) needs a user id"):
        CursorTracker.remove_cursor("doc:123", nobody)
    assert places() == {}


def test_a_cache_that_keeps_nothing_keeps_no_positions(use_cache: UseCache) -> None:
    use_cache("dummy")
    CursorTracker.update_cursor("doc:123", "ada", 1, 2)
    assert places() == {}


@pytest.mark.parametrize("kind", REDIS)
def test_on_redis_a_write_and_a_read_are_one_command_each(kind: str, use_cache: UseCache) -> None:
    import redis

    use_cache(kind)
    url = str(caches.settings["cursors"]["LOCATION"])
    CursorTracker.update_cursor("doc:123", "ada", 0, 0)
    places()

    def calls() -> int:
        with redis.Redis.from_url(url) as client:
            stats = client.info("commandstats")
            assert isinstance(stats, dict)
            return sum(
                int(one["calls"])
                for name, one in stats.items()
                if name in ("cmdstat_evalsha", "cmdstat_eval")
            )

    before = calls()
    for x in range(10):
        CursorTracker.update_cursor("doc:123", "ada", x, 0)
    assert calls() - before == 10
    places()
    assert calls() - before == 11


@pytest.mark.parametrize("kind", REDIS)
def test_on_redis_an_idle_group_leaves_no_key(kind: str, use_cache: UseCache, settings: Settings) -> None:
    import redis

    use_cache(kind)
    settings.DJUST_PRESENCE = {"CURSOR_CACHE": "cursors", "CURSOR_TIMEOUT": 0.2}
    CursorTracker.update_cursor("idle", "ada", 1, 2)
    with redis.Redis.from_url(str(caches.settings["cursors"]["LOCATION"])) as client:
        assert list(client.scan_iter("*djust_presence.cursors*"))
        wait_until(lambda: not list(client.scan_iter("*djust_presence.cursors*")))


def test_threads_that_move_at_the_same_time_lose_no_position(cache: str) -> None:
    moves = 10
    errors: list[BaseException] = []

    def move(user: int) -> None:
        try:
            for x in range(moves):
                CursorTracker.update_cursor("doc:123", user, x, user)
        except BaseException as error:
            errors.append(error)
        finally:
            from django.db import connections

            connections.close_all()

    threads = [threading.Thread(target=move, args=[user]) for user in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert places() == {str(user): (moves - 1, user) for user in range(8)}


MOVE = """
import json, sys
from django.conf import settings
user, caches, database = int(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
settings.configure(CACHES=caches, DATABASES=database, DJUST_PRESENCE={"CURSOR_CACHE": "cursors"})
import django
django.setup()
from djust_presence.cursors import CursorTracker
CursorTracker.update_cursor("ready", user, 0, 0)
sys.stdin.readline()
for x in range(20):
    CursorTracker.update_cursor("doc:123", user, x, user)
"""


@pytest.mark.parametrize("kind", SHARED)
def test_processes_that_move_at_the_same_time_lose_no_position(
    kind: str, use_cache: UseCache, settings: Settings, tmp_path: Path
) -> None:
    use_cache(kind)
    databases = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(tmp_path / "cache.sqlite3"),
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 30},
        }
    }
    told = [json.dumps(settings.CACHES), json.dumps(databases)]

    def python(code: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code, *arguments],
            env={"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def done(process: subprocess.Popen[str], said: str = "") -> str:
        out, error = process.communicate(said, timeout=60)
        assert process.returncode == 0, error
        return out

    if kind == "database":
        create = (
            "from django.core.management import call_command\ncall_command('createcachetable', verbosity=0)\n"
        )
        setup = MOVE.split("from djust_presence.cursors")[0]
        done(python(setup + create, "0", *told))
    movers = [python(MOVE, str(user), *told) for user in range(4)]
    for mover in movers:
        assert mover.stdin
        mover.stdin.write("go\n")
        mover.stdin.flush()
    for mover in movers:
        done(mover)
    show = (
        MOVE.split("CursorTracker.update_cursor")[0]
        + 'print(json.dumps(CursorTracker.get_cursors("doc:123")))'
    )
    found = json.loads(done(python(show, "0", *told)))
    assert {user: one["x"] for user, one in found.items()} == {str(user): 19 for user in range(4)}
