"""The client of a page: what the page knows by its frames, whatever brings them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

from channels.consumer import AsyncConsumer
from channels.testing import WebsocketCommunicator

__all__ = ["Client", "Frame", "InProcess", "scope_of"]

Frame = dict[str, Any]


def scope_of(end: AsyncConsumer | WebsocketCommunicator) -> dict[str, Any]:
    """Return the scope at one end of a socket. Its type in Channels' stubs has no keys of middleware and of tests."""
    return cast("dict[str, Any]", end.scope)


class Client:
    """A page's end of its socket. A subclass is the transport: `send`, and `more`, which waits for another frame."""

    patience = 40.0  # seconds that `until` waits

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.regions: dict[str, str] = {}
        self._last_ref = 0

    async def send(self, **frame: Any) -> None:
        raise NotImplementedError

    async def more(self) -> None:
        raise NotImplementedError

    def take_in(self, frame: Frame) -> None:
        self.frames.append(frame)
        self.regions |= frame.get("regions", {})

    @property
    def shown(self) -> str:
        """The HTML of the page's regions."""
        return "".join(self.regions.values())

    def of(self, *kinds: str) -> list[Frame]:
        """Return the frames of these types that have come."""
        return [frame for frame in self.frames if frame["type"] in kinds]

    def heard(self, event: str) -> list[Any]:
        """Return the payloads of the pushes and broadcasts of *event*."""
        return [one["payload"] for one in self.of("push", "event") if one["event"] == event]

    def pushed(self, event: str) -> list[Any]:
        """Return the payloads of *event* that the view has pushed."""
        return [one["payload"] for one in self.of("push") if one["event"] == event]

    def events(self, event: str) -> list[Any]:
        """Return the payloads of the broadcasts of *event* that have come."""
        return [one["payload"] for one in self.of("event") if one["event"] == event]

    async def until(self, *wanted: str | Callable[[], object], patience: float | None = None) -> str:
        """Wait until the page shows all texts and all conditions hold; return what it shows."""

        def there(one: str | Callable[[], object]) -> object:
            return one in self.shown if isinstance(one, str) else one()

        try:
            async with asyncio.timeout(patience or self.patience):
                while not all(map(there, wanted)):
                    await self.more()
        except TimeoutError:
            raise AssertionError(f"{self} shows {self.shown!r}. Last frames: {self.frames[-5:]}") from None
        return self.shown

    async def until_pushed(self, event: str, times: int = 1) -> list[Any]:
        await self.until(lambda: len(self.pushed(event)) >= times)
        return self.pushed(event)

    async def until_event(self, event: str) -> Any:
        await self.until(lambda: self.events(event))
        return self.events(event)[-1]

    async def call(self, name: str, /, **params: Any) -> Frame:
        """Call an event handler, and return the answer: a frame of the type ``ack`` or ``error``."""
        self._last_ref = ref = self._last_ref + 1
        before = len(self.frames)

        def answers() -> list[Frame]:
            return [frame for frame in self.frames[before:] if frame.get("ref") == ref]

        await self.send(type="event", ref=ref, name=name, params=params)
        await self.until(answers)
        return answers()[0]


class InProcess(Client, WebsocketCommunicator):
    """A client of an ASGI application in this process. Frames are taken in only when they are asked for."""

    frame_patience = 5.0  # seconds that `frame` waits

    def __init__(self, application: Any, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        Client.__init__(self)
        WebsocketCommunicator.__init__(self, application, path, headers=headers)
        self.texts: list[str] = []  # the frames as they were sent

    async def send(self, **frame: Any) -> None:
        await self.send_json_to(frame)

    async def frame(self) -> Frame:
        """Wait for the next frame, take it in, and return it."""
        text = await self.receive_from(timeout=self.frame_patience)
        assert isinstance(text, str)
        frame: Frame = json.loads(text)
        self.texts.append(text)
        self.take_in(frame)
        return frame

    async def more(self) -> None:
        await self.frame()
