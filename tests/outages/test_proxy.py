"""A proxy breaks connections in each way that it promises."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.servers import RedisServer

from .proxy import Proxy

PATIENCE = 0.3  # seconds


class Client:
    """A connection to Redis by way of a proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, command: str, patience: float = PATIENCE) -> str:
        """Return the first line of the answer; empty if the connection ended, "silence" if nothing came."""
        self._writer.write(command.encode() + b"\r\n")
        try:
            return (await asyncio.wait_for(self._reader.readline(), patience)).decode().strip()
        except TimeoutError:
            return "silence"
        except ConnectionResetError:
            return "reset"


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


@pytest.fixture
async def proxy(valkey_server: RedisServer) -> AsyncIterator[Proxy]:
    proxy = Proxy(valkey_server.port)
    await proxy.listen()
    yield proxy
    await proxy.close()


async def test_it_passes_on_what_both_sides_say(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        assert await client.ask("PING") == "+PONG"
        assert len(proxy.connections) == 1
    async with asyncio.timeout(5):
        while proxy.connections:
            await asyncio.sleep(0.01)


async def test_a_cut_resets_connections_and_refuses_others(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        await client.ask("PING")
        await proxy.cut(silent=False)
        assert await client.ask("PING") == "reset"
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", proxy.port)
    await proxy.restore()
    async with connected(proxy) as client:
        assert await client.ask("PING") == "+PONG"


async def test_silence_swallows_and_then_resets_what_has_lost_bytes(proxy: Proxy) -> None:
    async with connected(proxy) as quiet, connected(proxy) as client:
        await quiet.ask("PING")
        await client.ask("PING")
        await proxy.cut(silent=True)
        assert await client.ask("PING") == "silence"
        async with connected(proxy) as other:
            assert await other.ask("PING") == "silence"
        await proxy.restore()
        assert await client.ask("PING") == "reset"
        assert await quiet.ask("PING") == "+PONG"


async def test_a_dead_path_stays_dead_beside_new_connections(proxy: Proxy) -> None:
    async with connected(proxy) as client:
        await client.ask("PING")
        proxy.kill_paths()
        assert await client.ask("PING") == "silence"
        async with connected(proxy) as other:
            assert await other.ask("PING") == "+PONG"
        assert await client.ask("PING") == "silence"


@pytest.mark.parametrize("silently", [False, True])
async def test_the_command_of_a_lost_answer_has_run(proxy: Proxy, silently: bool) -> None:
    proxy.loses = lambda request: b"SET" in request
    proxy.loses_silently = silently
    key = f"lost:{silently}"
    async with connected(proxy) as client:
        assert await client.ask("PING") == "+PONG"
        assert await client.ask(f"SET {key} 1") == ("silence" if silently else "reset")
    async with connected(proxy) as client:
        assert await client.ask(f"EXISTS {key}") == ":1"


async def test_a_delay_is_of_each_way(proxy: Proxy) -> None:
    proxy.delay = 0.1
    async with connected(proxy) as client:
        began = time.monotonic()
        assert await client.ask("PING", 10) == "+PONG"
        assert time.monotonic() - began >= 0.2
