"""The backend that the settings choose, and the errors for wrong settings."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from djust_presence.backends import registry
from djust_presence.backends.memory import MemoryBackend
from djust_presence.backends.redis import RedisBackend
from djust_presence.backends.registry import get_backend, load_backend_class, register_backend, reset
from djust_presence.testing.backends.base import BOUND
from tests.servers import ROOT


class Closing(MemoryBackend):
    """A backend that records whether it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


DOTTED = f"{__name__}.Closing"


@pytest.fixture(autouse=True)
def _pristine() -> Iterator[None]:
    names = dict(registry._classes)
    reset()
    yield
    registry._classes.clear()
    registry._classes.update(names)
    reset()


@pytest.mark.parametrize(
    ("configured", "kind"),
    [
        ({}, MemoryBackend),
        ({"BACKEND": "memory"}, MemoryBackend),
        ({"BACKEND": "redis"}, RedisBackend),
        ({"BACKEND": "redis", "OPTIONS": {"prefix": "site"}}, RedisBackend),
        ({"BACKEND": "djust_presence.backends.redis.RedisBackend"}, RedisBackend),
        ({"BACKEND": DOTTED}, Closing),
    ],
)
def test_a_name_or_a_dotted_path_chooses_the_backend(configured: dict[str, Any], kind: type) -> None:
    with override_settings(DJUST_PRESENCE=configured):
        assert type(get_backend()) is kind


@pytest.mark.parametrize("backend", [Closing, DOTTED])
def test_a_backend_may_be_given_a_name(backend: str | type[Closing]) -> None:
    register_backend("mine", backend)
    assert load_backend_class("mine") is Closing
    with override_settings(DJUST_PRESENCE={"BACKEND": "mine"}):
        assert isinstance(get_backend(), Closing)


def test_giving_a_name_that_is_in_use_takes_effect() -> None:
    with override_settings(DJUST_PRESENCE={"BACKEND": "memory"}):
        assert type(get_backend()) is MemoryBackend
        register_backend("memory", Closing)
        assert type(get_backend()) is Closing


@pytest.mark.parametrize(
    ("configured", "message"),
    [
        ({"BACKEND": "rediss"}, "'rediss', which is neither a dotted path nor one of: .*memory, redis"),
        ({"BACKEND": ""}, "'', which is neither a dotted path nor one of: .*memory, redis"),
        ({"BACKEND": "no.such.Backend"}, "'no.such.Backend' cannot be imported: No module named 'no'"),
        ({"BACKEND": "djust_presence.backends.memory.Nothing"}, "cannot be imported: .*Nothing"),
        ({"BACKEND": "collections.OrderedDict"}, "'collections.OrderedDict' is not a subclass of .*Backend"),
        ({"BACKEND": "djust_presence.backends.registry.reset"}, "is not a subclass of .*Backend"),
        ({"BACKEND": "memory", "OPTIONS": {"prefix": "x"}}, "OPTIONS.* does not fit: .*takes no options"),
        ({"BACKEND": "redis", "OPTIONS": {"prefx": "x"}}, "OPTIONS.* does not fit: .*no option 'prefx'"),
    ],
)
def test_a_wrong_setting_is_an_error_and_no_fallback(configured: dict[str, Any], message: str) -> None:
    with override_settings(DJUST_PRESENCE=configured), pytest.raises(ImproperlyConfigured, match=message):
        get_backend()


def test_all_threads_share_one_instance() -> None:
    found: list[int] = []
    start = threading.Barrier(8)

    def find() -> None:
        start.wait(BOUND)
        found.append(id(get_backend()))

    threads = [threading.Thread(target=find) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
    assert len(found) == 8
    assert len(set(found)) == 1


def test_other_settings_make_another_instance_and_close_the_old() -> None:
    with override_settings(DJUST_PRESENCE={"BACKEND": DOTTED}):
        old = get_backend()
        assert isinstance(old, Closing)
        assert get_backend() is old
        with override_settings(DJUST_PRESENCE={"BACKEND": DOTTED, "TIMEOUT": 30}):
            assert old.closed
            assert get_backend() is not old


def test_settings_of_others_keep_the_instance() -> None:
    old = get_backend()
    with override_settings(LANGUAGE_CODE="de"):
        assert get_backend() is old


def test_a_forked_process_begins_with_an_instance_of_its_own() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", FORK], check=True, cwd=ROOT, timeout=BOUND)


FORK = """
import os, sys
from django.conf import settings
settings.configure()
from djust_presence.backends.registry import get_backend
from djust_presence.testing.backends.base import join

old = get_backend()
old.open("lease", 1000.0)
old.write("lease", [join(1)])
pid = os.fork()
if pid == 0:
    os._exit(get_backend() is old or get_backend().count("room") != 0)
assert os.waitpid(pid, 0)[1] == 0
assert get_backend() is old
assert old.count("room") == 1
"""
