"""The pages of these tests, and sockets to them."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.conf import settings as django_settings
from pytest_django import Settings

from djust_presence.live import LiveViewConsumer
from tests.client import scope_of

from .showing import show

__all__ = ["show"]

ORIGIN = (b"origin", b"http://testserver")
HOST = (b"host", b"testserver")


@pytest.fixture(autouse=True)
def pages(settings: Settings, db: None) -> None:
    """Worker threads keep a connection to an in-memory database that some test before has used: so *db*."""
    templates = copy.deepcopy(django_settings.TEMPLATES)
    templates[0]["DIRS"] = [Path(__file__).parent / "templates"]
    settings.TEMPLATES = templates
    settings.ROOT_URLCONF = "tests.live.urls"


@pytest.fixture(autouse=True)
def no_tracker_is_left(quiet_presence: None) -> None: ...


class Socket(WebsocketCommunicator):
    """A browser's end."""

    def __init__(self, path: str, *headers: tuple[bytes, bytes], **scope: Any) -> None:
        super().__init__(LiveViewConsumer.as_asgi(), path, headers=[HOST, ORIGIN, *headers])
        scope_of(self).update(scope)

    async def send_event(self, ref: int | None, name: str, **params: Any) -> None:
        await self.send_json_to({"type": "event", "ref": ref, "name": name, "params": params})

    async def frame(self) -> dict[str, Any]:
        frame = json.loads(await self.receive_from(timeout=5))
        assert isinstance(frame, dict)
        return frame

    async def call(self, ref: int, name: str, **params: Any) -> list[dict[str, Any]]:
        """Send an event; all frames up to its ack or error."""
        await self.send_event(ref, name, **params)
        frames = [await self.frame()]
        while frames[-1].get("ref") != ref:
            frames.append(await self.frame())
        return frames

    async def closed(self) -> int:
        message = await self.receive_output(timeout=5)
        assert message["type"] == "websocket.close", message
        code = message["code"]
        assert isinstance(code, int)
        return code


@asynccontextmanager
async def live(path: str, *headers: tuple[bytes, bytes], **scope: Any) -> AsyncIterator[Socket]:
    """A socket that was accepted; the page may be live or refused later."""
    socket = Socket(path, *headers, **scope)
    accepted, _ = await socket.connect(timeout=5)
    assert accepted
    try:
        yield socket
    finally:
        if not socket.future.done():
            await socket.disconnect(timeout=5)
