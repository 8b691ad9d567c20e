from __future__ import annotations

import inspect
import socket
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from channels.routing import ProtocolTypeRouter
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.core.management import get_commands
from django.urls import path
from pytest_django import Settings
from redis.asyncio.connection import AbstractConnection

from djust_presence import LiveCursorMixin, LiveView, PresenceMixin
from djust_presence.backends.memory import MemoryBackend
from djust_presence.live import LiveViewConsumer
from tests.checked import presence_checks
from tests.servers import ROOT

REDIS = "redis://127.0.0.1:1/0"
PUBSUB = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [REDIS]}}
IN_MEMORY = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
SHARED_CACHE = {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "/nowhere"}


class Refusing(MemoryBackend):
    def __init__(self, location: str, options: Any) -> None:
        raise ImproperlyConfigured("There is no such server.")


class DemoView(PresenceMixin, LiveView):
    template_name = "demo.html"
    presence_key = "demo"


class BoardView(LiveCursorMixin, LiveView):
    template_name = "board.html"


urlpatterns = [path("", DemoView.as_view())]
application = ProtocolTypeRouter({"websocket": LiveViewConsumer.as_asgi()})


@pytest.fixture(autouse=True)
def no_io(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[None]:
    """A check that opens a connection fails its test."""

    def refuse(*args: Any) -> None:
        raise AssertionError("A system check did I/O.")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    settings.ROOT_URLCONF = __name__
    settings.DEBUG = True
    settings.CACHES = {"default": SHARED_CACHE}
    settings.INSTALLED_APPS = ["daphne", *settings.INSTALLED_APPS]
    settings.ASGI_APPLICATION = f"{__name__}.application"
    get_commands.cache_clear()  # type: ignore[attr-defined]
    yield
    get_commands.cache_clear()  # type: ignore[attr-defined]


def found(deploy: bool = False) -> list[CheckMessage]:
    return presence_checks(deploy=deploy)


def the_only(deploy: bool = False) -> CheckMessage:
    (message,) = found(deploy)
    assert message.hint
    return message


@pytest.mark.parametrize(
    ("presence", "layers"),
    [
        ({}, {}),
        ({"BACKEND": "memory"}, {"default": IN_MEMORY}),
        ({"BACKEND": "redis", "LOCATION": REDIS}, {"default": PUBSUB}),
        ({"BACKEND": "redis", "OPTIONS": {"prefix": "mine"}, "TIMEOUT": 90}, {"default": PUBSUB}),
    ],
)
def test_good_settings_are_passed_over_in_silence(presence: Any, layers: Any, settings: Settings) -> None:
    settings.DJUST_PRESENCE, settings.CHANNEL_LAYERS = presence, layers
    assert found() == []
    if "BACKEND" in presence and presence["BACKEND"] == "redis":
        assert found(deploy=True) == []


def test_a_project_that_sets_nothing_is_passed_over_in_silence(settings: Settings) -> None:
    del settings.DJUST_PRESENCE
    assert found() == []


@pytest.mark.parametrize(
    ("presence", "id", "message", "hint"),
    [
        ({"BACKEN": "redis"}, "E001", "no option 'BACKEN'", "docs/reference/settings.md"),
        ({"TIMEOUT": "60"}, "E001", "must be a number", "Correct or remove"),
        ({"BACKEND": "rediss"}, "E002", "'rediss'", "'memory', 'redis'"),
        ({"BACKEND": "no.where"}, "E002", "cannot be imported", "install what the import asks for"),
        ({"BACKEND": f"{__name__}.DemoView"}, "E002", "not a subclass", "dotted path"),
        ({"BACKEND": f"{__name__}.Refusing"}, "E002", "no such server", "LOCATION and OPTIONS"),
        (
            {"OPTIONS": {"prefix": "x"}},
            "E002",
            "takes no options",
            "Correct or remove the option that it names",
        ),
        ({"TIMEOUT": 30}, "E003", "not above HEARTBEAT_INTERVAL", "more than 30 seconds"),
        ({"LOST_GRACE": 31}, "E015", "above HEARTBEAT_INTERVAL", "at most"),
        ({"AUTHORIZE": "no.such.module"}, "E017", "cannot be imported", "dotted path"),
        ({"AUTHORIZE": "tests.test_checks.no_such_name"}, "E017", "cannot be imported", "dotted path"),
        ({"AUTHORIZE": "tests.test_checks.REDIS"}, "E017", "is no function", "dotted path"),
        ({"PAGE_CONTEXT": "no.such.module"}, "E017", "'no.such.module', cannot be imported", "(request)"),
        (
            {"SHARED_TAGS": ["i18n", "no.such"]},
            "E018",
            "'no.such', which is not a template library",
            "{% load %}",
        ),
        ({"LEASE_TTL": 2.9}, "E004", "below 3 seconds", "at least 3"),
        ({"CURSOR_CACHE": "curses"}, "E008", "'curses'", "default"),
    ],
)
def test_a_mistake_is_said_with_what_to_do(
    presence: Any, id: str, message: str, hint: str, settings: Settings
) -> None:
    settings.DJUST_PRESENCE = presence
    said = the_only()
    assert said.id == f"djust_presence.{id}"
    assert said.is_serious()
    assert message in said.msg
    assert hint in str(said.hint)


@pytest.mark.parametrize(
    ("layers", "id"), [({}, "E005"), ({"other": PUBSUB}, "E005"), ({"default": IN_MEMORY}, "E006")]
)
def test_a_shared_backend_needs_a_channel_layer_that_is_shared_too(
    layers: Any, id: str, settings: Settings
) -> None:
    settings.DJUST_PRESENCE, settings.CHANNEL_LAYERS = {"BACKEND": "redis"}, layers
    said = the_only()
    assert said.id == f"djust_presence.{id}"
    assert "'redis'" in said.msg
    assert "RedisPubSubChannelLayer" in str(said.hint)


@pytest.mark.parametrize(
    ("presence", "id", "named"),
    [
        ({"LOCATION": "127.0.0.1:6379"}, "E010", "LOCATION"),
        ({"LOCATION": "http://127.0.0.1"}, "E010", "LOCATION"),
        ({"LOCATION": REDIS + "?decode_responses=0"}, "E010", "decode_responses"),
        ({"OPTIONS": {"CACHE": "nowhere"}}, "E011", "nowhere"),
        ({"OPTIONS": {"CACHE": "default"}}, "E012", "default"),
        ({"LOCATION": REDIS, "OPTIONS": {"ssl_nonsense": 1}}, "E013", "ssl_nonsense"),
    ],
)
def test_the_redis_backend_says_what_is_wrong_with_its_connection(
    presence: Any, id: str, named: str, settings: Settings
) -> None:
    settings.DJUST_PRESENCE = {"BACKEND": "redis", **presence}
    settings.CHANNEL_LAYERS = {"default": PUBSUB}
    said = the_only()
    assert said.id == f"djust_presence.{id}"
    assert named in said.msg


@pytest.mark.parametrize(
    ("presence", "too_long", "bound", "least"),
    [
        ({"OPTIONS": {"timeout": 2.5, "read_timeout": 2}}, None, "", ""),
        ({"LEASE_TTL": 3}, None, "", ""),
        ({"OPTIONS": {"timeout": 5}}, "timeout", "2.5 at most", "60 at least"),
        ({"OPTIONS": {"read_timeout": 3}}, "read_timeout", "2.5 at most", "36 at least"),
        ({"OPTIONS": {"timeout": 1}, "LEASE_TTL": 6}, "timeout", "0.5 at most", "12 at least"),
    ],
)
def test_a_timeout_of_the_client_must_be_short_for_the_lease(
    presence: Any, too_long: str | None, bound: str, least: str, settings: Settings
) -> None:
    settings.DJUST_PRESENCE = {"BACKEND": "redis", "LOCATION": REDIS, **presence}
    settings.CHANNEL_LAYERS = {"default": PUBSUB}
    if too_long is None:
        assert found() == []
        return
    said = the_only()
    assert said.id == "djust_presence.E014"
    assert said.is_serious()
    assert f"['OPTIONS'][{too_long!r}]" in said.msg
    assert "LEASE_TTL / 12" in said.msg
    assert bound in str(said.hint)
    assert least in str(said.hint)


def core(*hosts: Any) -> dict[str, Any]:
    return {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": list(hosts)} if hosts else {},
    }


@pytest.mark.parametrize(
    ("layer", "warned"),
    [
        (core(REDIS), True),
        (core(("127.0.0.1", 1)), True),
        (core(), True),
        ({"BACKEND": core()["BACKEND"]}, True),
        (core({"address": REDIS}), True),
        (core({"address": REDIS, "socket_timeout": 3}), True),
        (core({"address": REDIS, "socket_timeout": None}, REDIS), True),
        (core({"address": REDIS, "socket_timeout": None}), False),
        (core({"address": REDIS, "socket_timeout": 10}), False),
        (core({"host": "127.0.0.1", "port": 1, "socket_timeout": None}), False),
        (core({"master_name": "m", "sentinels": [("127.0.0.1", 1)], "socket_timeout": None}), False),
        (core(REDIS + "?socket_timeout=10"), False),
        (core({"address": REDIS + "?socket_timeout=10", "socket_timeout": 3}), False),
        (core("127.0.0.1:1"), False),
        (core({"nonsense": 1}), False),
        ({"BACKEND": core()["BACKEND"], "CONFIG": {"hosts": REDIS}}, False),
        (PUBSUB, False),
    ],
)
def test_a_layer_whose_idle_consumers_would_die_is_warned_of(
    layer: Any, warned: bool, settings: Settings
) -> None:
    settings.DJUST_PRESENCE, settings.CHANNEL_LAYERS = {"BACKEND": "redis"}, {"default": layer}
    if not warned:
        assert found() == []
        return
    said = the_only()
    assert said.id == "djust_presence.W004"
    assert not said.is_serious()
    assert "TimeoutError" in said.msg
    assert "RedisPubSubChannelLayer" in str(said.hint)
    assert "'socket_timeout': None" in str(said.hint)


def test_the_layer_is_not_warned_of_where_redis_py_waits_for_ever(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults: Any = inspect.unwrap(AbstractConnection.__init__).__kwdefaults__
    monkeypatch.setitem(defaults, "socket_timeout", None)  # as before redis-py 8
    settings.DJUST_PRESENCE, settings.CHANNEL_LAYERS = {"BACKEND": "redis"}, {"default": core(REDIS)}
    assert found() == []
    settings.CHANNEL_LAYERS = {"default": core({"address": REDIS, "socket_timeout": 5})}
    assert the_only().id == "djust_presence.W004"


@pytest.mark.parametrize(
    "presence",
    [
        {"BACKEND": "redis://:s3cret@my.host:6379"},
        {"BACKEND": "redis", "LOCATION": ["redis://:s3cret@host"]},
        {"BACKEND": "redis", "LOCATION": b"redis://:s3cret@host"},
        {"BACKEND": "redis", "LOCATION": "redis://:s3c/ret@host"},
        {"BACKEND": "redis", "OPTIONS": "redis://:s3cret@host"},
        {"BACKEND": "redis", "OPTIONS": {"CACHE": "redis://:s3cret@host"}},
    ],
)
def test_a_password_in_a_wrong_place_is_not_shown(presence: Any, settings: Settings) -> None:
    settings.DJUST_PRESENCE, settings.CHANNEL_LAYERS = presence, {"default": PUBSUB}
    said = the_only()
    assert said.is_serious()
    assert "s3c" not in f"{said.msg} {said.hint}"


def test_a_package_that_is_missing_is_said_with_how_to_get_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    for module in [name for name in sys.modules if name.startswith("djust_presence.backends.redis")]:
        monkeypatch.delitem(sys.modules, module)
    settings.DJUST_PRESENCE = {"BACKEND": "redis"}
    said = the_only()
    assert said.id == "djust_presence.E002"
    assert said.msg == "The presence backend 'redis' needs the redis package."
    assert "pip install 'redis[hiredis]>=5.2' 'channels-redis>=4.3'" in str(said.hint)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"redis[hiredis]>=5.2", "channels-redis>=4.3"} <= {*project["optional-dependencies"]["redis"]}


def test_the_memory_backend_is_warned_of_where_it_is_deployed(settings: Settings) -> None:
    settings.DJUST_PRESENCE = {}
    said = the_only(deploy=True)
    assert said.id == "djust_presence.W001"
    assert not said.is_serious()
    assert "'redis'" in str(said.hint)
    assert "'djust_presence.W001' to SILENCED_SYSTEM_CHECKS" in str(said.hint)


def test_a_mistake_is_said_once_though_it_is_deployed(settings: Settings) -> None:
    settings.DJUST_PRESENCE = {"BACKEND": "rediss"}
    assert the_only(deploy=True).id == "djust_presence.E002"


def test_live_pages_need_a_server_with_websockets(settings: Settings) -> None:
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "daphne"]
    get_commands.cache_clear()  # type: ignore[attr-defined]
    said = the_only()
    assert said.id == "djust_presence.W002"
    assert "'daphne' first in INSTALLED_APPS" in str(said.hint)
    settings.DEBUG = False
    assert found() == []


@pytest.mark.parametrize("kind", ["locmem.LocMemCache", "dummy.DummyCache"])
def test_cursors_of_several_processes_need_a_cache_that_these_share(kind: str, settings: Settings) -> None:
    settings.CACHES = {"default": {"BACKEND": f"django.core.cache.backends.{kind}"}, "other": SHARED_CACHE}
    settings.CHANNEL_LAYERS = {"default": PUBSUB}
    settings.DJUST_PRESENCE = {}
    assert found() == []
    settings.DJUST_PRESENCE = {"BACKEND": "redis"}
    said = the_only()
    assert said.id == "djust_presence.W003"
    assert not said.is_serious()
    assert "'default'" in said.msg
    assert "CURSOR_CACHE" in str(said.hint)
    settings.DJUST_PRESENCE = {"BACKEND": "redis", "CURSOR_CACHE": "other"}
    assert found() == []
