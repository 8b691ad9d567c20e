"""A TCP proxy whose connections a test can refuse, silence, kill, delay and break."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable

__all__ = ["Proxy", "hold_port"]

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST


def never(request: bytes) -> bool:
    return False


def hold_port() -> socket.socket:
    """A socket that keeps a loopback port for a server that comes, goes and comes back; it refuses connections itself."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder


class Proxy:
    """The way of one process to the server on *port*. To be used on one loop."""

    def __init__(self, port: int) -> None:
        self.server = port
        self._holder = hold_port()
        self.port: int = self._holder.getsockname()[1]
        self.delay = 0.0  # seconds, each way
        self.loses: Callable[[bytes], bool] = never  # asked with each request when its answer begins
        self.loses_silently = False  # a lost answer leaves its connection open and dead
        self.silent = False
        self.connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None

    async def listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await Connection(self, reader, writer).run()

    async def restore(self) -> None:
        """End all faults. Connections that have lost bytes are reset, as their ends no longer agree."""
        self.silent = False
        self.loses = never
        for connection in tuple(self.connections):
            if connection.lossy:
                connection.reset()
        await self.listen()

    async def cut(self, *, silent: bool) -> None:
        """Swallow everything and leave connections open, or else reset them and refuse others."""
        if silent:
            self.silent = True
            return
        if self._listener:
            self._listener.close()
            self._listener = None
        self.break_all()

    def break_all(self) -> None:
        """Reset all connections."""
        for connection in tuple(self.connections):
            connection.reset()

    def kill_paths(self) -> None:
        """Stop passing bytes on the open connections, without telling either end."""
        for connection in self.connections:
            connection.dead = True

    async def close(self) -> None:
        await self.cut(silent=False)
        self._holder.close()
        async with asyncio.timeout(10):
            while self.connections:
                await asyncio.sleep(0.01)


class Connection:
    """One client's connection and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.proxy = proxy
        self.dead = self.lossy = False
        self._client = reader, writer
        self._writers = [writer]
        self._request = b""
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Pass bytes on, both ways, until an end closes and that may be known, or until it is reset."""
        self.proxy.connections.add(self)
        pumps = []
        try:
            answers, server = await asyncio.open_connection("127.0.0.1", self.proxy.server)
            self._writers.append(server)
            requests, client = self._client
            pumps = [
                asyncio.create_task(self._pump(requests, server, self._asks)),
                asyncio.create_task(self._pump(answers, client, self._answers)),
            ]
            await self._over.wait()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for writer in self._writers:
                writer.close()
            self.proxy.connections.discard(self)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passes: Callable[[bytes], bool]
    ) -> None:
        data = b"first"
        while data:
            try:
                data = await reader.read(1 << 16)
            except OSError:
                data = b""
            if self.dead or self.proxy.silent:
                self.lossy = True
            elif not data:
                await asyncio.sleep(self.proxy.delay)
                self._over.set()
            elif passes(data):
                self._write(writer, data)

    def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if self.proxy.delay:
            self._loop.call_later(self.proxy.delay, writer.write, data)
        else:
            writer.write(data)

    def _asks(self, data: bytes) -> bool:
        self._request += data
        return True

    def _answers(self, data: bytes) -> bool:
        request, self._request = self._request, b""
        if not request or not self.proxy.loses(request):
            return True
        if self.proxy.loses_silently:
            self.dead = self.lossy = True
        else:
            self.reset()
        return False

    def reset(self) -> None:
        for writer in self._writers:
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        self._over.set()
