"""Log lines and errors in a process that gevent has monkey-patched."""

from __future__ import annotations

import subprocess
import sys

import pytest

from djust_presence import PresenceError, greenlets, presence
from djust_presence.backends.registry import get_backend, reset
from tests.servers import ROOT, RedisServer, find_valkey_server

PATCHED = """
import gevent.monkey
gevent.monkey.patch_all()
import asyncio, logging, sys
import django, gevent
from django.conf import settings

layer = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [sys.argv[1]]}}
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "djust_presence"],
    CHANNEL_LAYERS={"default": layer},
    DJUST_PRESENCE={"BACKEND": "redis", "LOCATION": sys.argv[1]},
)
django.setup()
logging.basicConfig(format="logged: %(message)s", stream=sys.stdout)
from djust_presence import PresenceError, presence
from djust_presence.tracker import lookup

print("alone:", presence.count("jobs"), lookup.count("jobs"), flush=True)
other = gevent.spawn(asyncio.run, asyncio.sleep(1))
gevent.sleep(0.1)
for call in (presence.count, presence.list, lookup.count, lambda key: presence.join(key, "7")):
    try:
        print("went on:", call("jobs"), flush=True)
    except PresenceError as error:
        print("refused:", error, flush=True)
other.join()
"""


def test_calls_beside_another_greenlets_loop_say_that_gevent_is_not_supported() -> None:
    with RedisServer(find_valkey_server()) as server:
        done = subprocess.run(
            [sys.executable, "-c", PATCHED, server.url()],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"logged: gevent has monkey-patched this process. {greenlets.NOT_SUPPORTED}",
        "alone: 0 0",
        *[f"refused: {greenlets.NOT_SUPPORTED}"] * 4,
    ]


async def test_that_advice_is_given_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    reset()
    get_backend()
    with pytest.raises(PresenceError, match=r"await presence\.acount\(\) instead"):
        presence.count("jobs")
    assert not caplog.records
