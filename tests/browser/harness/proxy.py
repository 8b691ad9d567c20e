"""A proxy between the browser and a server that fails sockets in the ways of real proxies."""

from __future__ import annotations

import asyncio
import contextlib

from tests.servers import free_port

REFUSAL = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
KILLED_AFTER = 0.2  # seconds


class Proxy:
    """Passes requests on to *port*. *mode* is how sockets fare: ``pass``, ``kill``, ``refuse`` or ``swallow``."""

    def __init__(self, port: int, mode: str) -> None:
        self.mode = mode
        self.sockets = 0
        self.port = free_port()
        self._target = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.Task[None]] = set()  # that pass a socket on

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def break_sockets(self) -> None:
        """Break those that are open."""
        for task in self._open:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._pass(reader, writer)
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        is_socket = b"upgrade: websocket" in head.lower()
        mode = self.mode if is_socket else "pass"
        self.sockets += is_socket
        if mode == "refuse":
            writer.write(REFUSAL)
            await writer.drain()
            return
        task = asyncio.current_task()
        if is_socket and task:
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            up_writer.write(head)
            if mode == "swallow":
                writer.write(await up_reader.readuntil(b"\r\n\r\n"))
                while await reader.read(65536):
                    pass
                return
            ways = [_pump(reader, up_writer), _pump(up_reader, writer)]
            pumps = [asyncio.ensure_future(way) for way in ways]
            try:
                await asyncio.wait(
                    pumps,
                    return_when=asyncio.FIRST_COMPLETED,
                    timeout=KILLED_AFTER if mode == "kill" else None,
                )
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            up_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
