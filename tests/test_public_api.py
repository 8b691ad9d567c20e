from __future__ import annotations

import subprocess
import sys

import pytest

import djust_presence
from tests.servers import ROOT

PUBLIC = [
    "CursorTracker",
    "LiveCursorMixin",
    "LiveView",
    "PresenceError",
    "PresenceKeyError",
    "PresenceMixin",
    "PresenceUnavailable",
    "event_handler",
    "presence",
]


def test_the_public_names() -> None:
    assert sorted(djust_presence.__all__) == PUBLIC
    assert set(PUBLIC) <= set(dir(djust_presence))
    assert all(getattr(djust_presence, name) for name in PUBLIC)
    with pytest.raises(AttributeError, match="no attribute 'presences'"):
        djust_presence.presences  # noqa: B018


def test_every_error_is_a_presence_error() -> None:
    assert issubclass(djust_presence.PresenceKeyError, djust_presence.PresenceError)
    assert issubclass(djust_presence.PresenceUnavailable, djust_presence.PresenceError)


def run(code: str) -> None:
    environment = {"PATH": "", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-W", "error", "-c", code], env=environment, check=True, timeout=30)


BEFORE_SETUP = """
import sys
{settings}
import djust_presence
{more}
assert "django.contrib.auth.models" not in sys.modules
assert "django.contrib.sessions.models" not in sys.modules
"""


def test_importing_the_package_needs_no_settings() -> None:
    run(BEFORE_SETUP.format(settings="", more="assert 'django' not in sys.modules"))


def test_every_public_name_can_be_imported_before_django_is_set_up() -> None:
    run(BEFORE_SETUP.format(settings="", more="from djust_presence import *"))


def test_asgi_py_may_import_the_consumer_before_django_is_set_up() -> None:
    configure = "from django.conf import settings; settings.configure()"
    run(BEFORE_SETUP.format(settings=configure, more="from djust_presence.live import LiveViewConsumer"))
    run(
        BEFORE_SETUP.format(
            settings=configure, more="from djust_presence.channels import PresenceConsumerMixin"
        )
    )


def test_the_facade_needs_neither_the_redis_package_nor_a_channel_layer() -> None:
    run(
        BEFORE_SETUP.format(
            settings="from django.conf import settings; settings.configure()",
            more="djust_presence.presence.join('a', 'b'); assert 'redis' not in sys.modules",
        )
    )


def test_helpers_for_tests_need_no_pytest() -> None:
    run(
        BEFORE_SETUP.format(
            settings="from django.conf import settings; settings.configure()",
            more="sys.modules['pytest'] = None; from djust_presence.testing import LivePage, presence",
        )
    )
