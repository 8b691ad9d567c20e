"""How processes tell each other what changed: within the process, or over the channel layer.

A bus may lose, double and reorder what it carries; whoever listens copes. Nothing here ever waits for another
process, and nothing but :func:`send` raises: what cannot be sent is dropped, said once in the log, and healed by
comparison.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import random
import threading
from collections.abc import Callable, Coroutine
from itertools import islice
from traceback import format_exception_only
from typing import Any
from uuid import uuid4

from asgiref.sync import async_to_sync
from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import BaseChannelLayer, get_channel_layer
from django.core.exceptions import ImproperlyConfigured

from .backends.base import Backend
from .forks import after_fork
from .keys import short_name
from .outages import Outage, OutageOf
from .rates import LogLimit

__all__ = ["NOTICES", "Bus", "Item", "LayerBus", "LocalBus", "apublish", "publish", "send"]

logger = logging.getLogger("djust_presence")

Item = list[Any]  # ["change", …], ["event", …], or a notice: JSON
Receive = Callable[[str, list[Item]], None]

MESSAGE = "djust_presence.message"
NOTICES = ""  # not a presence key: what concerns a process as such, with no regard to groups
LONGEST_WAIT = 1.0  # seconds for a message without a loop of its own, and for the last ones of a process
MOST_WAITING = 1000  # items of one key while the layer does not answer
ADD_AGAIN = 1800.0  # seconds at most between two additions of a channel to a group
GROUP_EXPIRY = 86400.0  # seconds after which a layer forgets a group's members, unless it says otherwise
ADDED_AT_ONCE = 100  # groups, before messages that wait meanwhile are sent


_unreadable = LogLimit()


class Bus:
    """What one process (and loop) says to, and hears from, the others. Used on its loop only."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.id = uuid4().hex  # tells an echo of ours from what others say

    def subscribe(self, key: str, ready: Callable[[], None]) -> None:
        """Hear of *key*; *ready* is called once that is so, which may be long if the transport does not answer."""
        raise NotImplementedError

    def unsubscribe(self, key: str) -> None:
        raise NotImplementedError

    def publish(self, key: str, items: list[Item]) -> None:
        """Tell the other processes that serve *key*."""
        raise NotImplementedError

    def waits(self, key: str) -> bool:
        """Whether what was published for *key* has not been sent yet."""
        return False

    def again(self, always: bool = False) -> None:
        """Subscribe again if the transport has forgotten us, or *always*. To be called with each renewal."""

    async def aclose(self) -> None:
        """Stop listening; what is waiting to be sent is still sent, if that takes no longer than a second."""


class LocalBus(Bus):
    """Between the loops of this process, for a backend that no other process sees."""

    _listening: dict[str, set[LocalBus]] = {}
    _lock = threading.Lock()

    def __init__(self, receive: Receive) -> None:
        super().__init__(receive)
        self._loop = asyncio.get_running_loop()

    def subscribe(self, key: str, ready: Callable[[], None]) -> None:
        with self._lock:
            self._listening.setdefault(key, set()).add(self)
        ready()

    def unsubscribe(self, key: str) -> None:
        with self._lock:
            listening = self._listening.get(key, set())
            listening.discard(self)
            if not listening:
                self._listening.pop(key, None)

    def publish(self, key: str, items: list[Item]) -> None:
        self.send(key, items, without=self)

    @classmethod
    def send(cls, key: str, items: list[Item], without: LocalBus | None = None) -> None:
        """From any thread, with or without a loop."""
        with cls._lock:
            listening = cls._listening.get(key, set()) - {without}
        for bus in listening:
            try:
                bus._loop.call_soon_threadsafe(bus._receive, key, items, context=contextvars.Context())
            except RuntimeError:  # that loop has been closed: nobody is there
                bus.unsubscribe(key)

    async def aclose(self) -> None:
        with self._lock:
            keys = [key for key, listening in self._listening.items() if self in listening]
        for key in keys:
            self.unsubscribe(key)

    @classmethod
    def forget(cls) -> None:
        """In a forked child: the parent's loops are not here, and nobody is left to let go of the lock."""
        cls._listening, cls._lock = {}, threading.Lock()


after_fork(LocalBus.forget)


def group_name(namespace: str, key: str) -> str:
    """Return the Channels group of the processes that serve *key* with the same store, in the same schema."""
    return f"djust_presence.{short_name(namespace, key)}"


def message(key: str, items: list[Item], sender: str = "") -> dict[str, Any]:
    """The items as JSON text: a layer's serializer may refuse large numbers, and halves of characters."""
    return {"type": MESSAGE, "key": key, "items": json.dumps(items), "from": sender}


class Losses:
    """Decides from probes that were lost when to add all groups again: ever more seldom, unless that helps.

    A layer that is slow, or whose channel is full, loses probes as well, and adding is of no use there.
    """

    def __init__(self) -> None:
        self._in_a_row = 0

    def returned(self) -> None:
        self._in_a_row = 0

    def lost(self) -> bool:
        """True for the first, the second, the fourth, the eighth … probe that is lost in a row."""
        self._in_a_row += 1
        return self._in_a_row & (self._in_a_row - 1) == 0


class LayerBus(Bus):
    """Over the channel layer: one channel, one task that listens and one that speaks, whatever is going on.

    A layer forgets who is in a group when its ``group_expiry`` is over, so our channel is added again after a third of
    that. It also forgets when its server loses the keys, and says nothing. So at each :meth:`again` a probe, a message
    without items, goes to one of our groups, each in its turn. If it is not back at the next one, our channel is added
    to all groups again. This costs one message a renewal, however many groups there are. A layer without a
    ``group_expiry``, such as that of pub/sub, keeps its groups in this process, and is not probed.
    """

    def __init__(self, receive: Receive, layer: BaseChannelLayer, namespace: str) -> None:
        super().__init__(receive)
        self._layer = layer
        self._namespace = namespace
        self._loop = asyncio.get_running_loop()
        self._expiry: float | None = getattr(layer, "group_expiry", None)
        self._channel: str | None = None
        self._wanted: dict[str, list[Callable[[], None]]] = {}  # key -> whom to call once subscribed
        self._added: dict[str, None] = {}  # the next one to probe comes first
        self._stale: dict[str, None] = {}  # added, and to be added again
        self._probed: str | None = None  # the key to whose group a probe is under way
        self._losses = Losses()
        self._deaf = False  # whether listening failed, and nothing was heard since
        self._waiting: dict[str, list[Item]] = {}
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def subscribe(self, key: str, ready: Callable[[], None]) -> None:
        callbacks = self._wanted.setdefault(key, [])
        if key in self._added:
            ready()
            return
        callbacks.append(ready)
        self._start()

    def unsubscribe(self, key: str) -> None:
        self._wanted.pop(key, None)
        self._start()

    def publish(self, key: str, items: list[Item]) -> None:
        waiting = self._waiting.setdefault(key, [])
        waiting += items
        del waiting[:-MOST_WAITING]
        self._start()

    def waits(self, key: str) -> bool:
        return key in self._waiting

    def again(self, always: bool = False) -> None:
        probed, self._probed = self._probed, None
        if always:
            self._added = {key: None for key in self._added if key not in self._wanted}
            self._work.set()
            return
        if probed in self._wanted and not self.waits(probed) and self._losses.lost():
            self._add_again()
        key = next((key for key in self._added if key in self._wanted), None)
        if key is not None and self._expiry:
            self._probed = key
            self._added[key] = self._added.pop(key)
            self.publish(key, [])

    def _start(self) -> None:
        self._work.set()
        self._idle.clear()
        if not self._tasks:
            self._tasks = [self._task(self._speak())]
            self._add_in_time()

    def _add_in_time(self) -> None:
        """Add our channel again whenever a third of what the layer remembers is over."""
        pause = min(ADD_AGAIN, (self._expiry or GROUP_EXPIRY) / 3)
        self._timer = self._loop.call_later(pause, self._add_in_time, context=contextvars.Context())
        self._add_again()

    def _add_again(self) -> None:
        self._stale = dict.fromkeys(self._added)
        self._work.set()

    def _task(self, run: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._loop.create_task(run, context=contextvars.Context())

    @staticmethod
    def _call(callbacks: list[Callable[[], None]]) -> None:
        while callbacks:
            callbacks.pop()()

    async def _speak(self) -> None:
        """Bring subscriptions and what is to be sent to the layer, in this order, one call after the other."""
        failures = 0
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                await self._listen_on_a_channel()
                await self._subscribing()
                await self._sending()
                await self._unsubscribing()
            except Exception as error:
                failures += 1
                self._failed(error)
                await asyncio.sleep(min(5.0, 0.1 * 2 ** min(failures, 6)) * random.random())
            else:
                failures = 0
                if not self._work.is_set():
                    self._idle.set()

    async def _listen_on_a_channel(self) -> None:
        if self._channel is None:
            self._channel = await self._layer.new_channel()
            self._tasks.append(self._task(self._hear(self._channel)))

    async def _subscribing(self) -> None:
        """Some at a time: messages are sent in between."""
        for key in list(islice((key for key in self._wanted if key not in self._added), ADDED_AT_ONCE)):
            if key in self._wanted:  # it may have been unsubscribed in the meantime
                await self._layer.group_add(group_name(self._namespace, key), self._channel)
                self._added[key] = None
                self._call(self._wanted.get(key, []))
                self._work.set()
        for key in list(islice(self._stale, ADDED_AT_ONCE)):
            if key in self._wanted:
                await self._layer.group_add(group_name(self._namespace, key), self._channel)
            self._stale.pop(key, None)
            self._work.set()

    async def _sending(self) -> None:
        while self._waiting:
            key, items = next(iter(self._waiting.items()))
            del self._waiting[key]
            await self._layer.group_send(group_name(self._namespace, key), message(key, items, self.id))
            if not (self._deaf and self._wanted):
                _answered(self._layer)

    async def _unsubscribing(self) -> None:
        for key in self._added.keys() - self._wanted.keys():
            if key not in self._wanted:  # it may have been subscribed in the meantime
                del self._added[key]
                await self._layer.group_discard(group_name(self._namespace, key), self._channel)

    async def _hear(self, channel: str) -> None:
        """Never cancelled while it waits, but to stop for good: a layer may lose the channel by that."""
        failures = 0
        while True:
            try:
                received = await self._layer.receive(channel)
            except Exception as error:
                # An idle redis-py connection may time out: that is, nothing came.
                if type(error).__name__ != "TimeoutError":
                    failures += 1
                    self._deaf = True
                    self._failed(error)
                    self.again(always=True)
                    await asyncio.sleep(min(5.0, 0.1 * 2 ** min(failures, 6)) * random.random())
                continue
            failures = 0
            if self._deaf:
                self._deaf = False
                _answered(self._layer)
            try:
                self._take_in(received)
            except Exception:
                if (left_out := _unreadable.line()) is not None:
                    logger.exception("Could not decode a message from another process.%s", left_out)

    def _take_in(self, received: object) -> None:
        """Pass on what another process has sent. Raises ``ValueError`` for what is not a message of this package."""
        match received:
            case {"key": str(key), "from": str(sender), "items": str(text)}:
                if sender == self.id:
                    if key == self._probed:
                        self._probed = None
                        self._losses.returned()
                elif key in self._wanted:
                    items = json.loads(text)
                    if not isinstance(items, list):
                        raise ValueError("The items of the message are not a list.")
                    self._receive(key, items)
            case _:
                raise ValueError("The message is not of the shape that this version of the package sends.")

    def _failed(self, error: Exception) -> None:
        _unanswered(self._layer, error)
        self._probed = None
        self._waiting.setdefault(
            next(iter(self._wanted), NOTICES), []
        )  # says nothing, but shows when calls work
        self._work.set()

    async def aclose(self) -> None:
        tasks, self._tasks = self._tasks, []
        if self._timer is not None:
            self._timer.cancel()
        if tasks:
            self._wanted.clear()
            self._work.set()
            self._idle.clear()
            try:
                await asyncio.wait_for(self._idle.wait(), LONGEST_WAIT)
            except TimeoutError:
                logger.warning("The channel layer did not take the last messages of this process in time.")
        ending = {*tasks, *self._tasks}
        while ending:
            # Before Python 3.12 asyncio.wait_for, with which redis-py sends, may swallow a cancellation.
            for task in ending:
                task.cancel()
            _, ending = await asyncio.wait(ending, timeout=LONGEST_WAIT)
        self._tasks = []
        self._channel = None


_outages = OutageOf[BaseChannelLayer]()
_without_a_layer = Outage(failures=1, seconds=0)


def _unanswered(layer: BaseChannelLayer | None, error: Exception) -> None:
    outage = _outages[layer] if layer else _without_a_layer
    if outage.failed():
        logger.warning(
            "Channel layer: calls fail (%s). Until they work again, changes in other processes are seen late, and "
            "broadcasts to them are lost.",
            "".join(format_exception_only(error)).strip(),  # what redis-py's repr() leaves out is the server
        )


def _answered(layer: BaseChannelLayer) -> None:
    """A message was sent, or has come. Subscribing proves nothing, as it may be a matter of memory."""
    if _outages[layer].worked():
        logger.warning("Channel layer: calls work again.")


def channel_layer() -> BaseChannelLayer:
    """The default channel layer.

    Raises ``ImproperlyConfigured`` when there is none.
    """
    layer = get_channel_layer(DEFAULT_CHANNEL_LAYER)
    if layer is None:
        raise ImproperlyConfigured(
            "This presence backend is shared by processes that tell each other of changes over a channel layer: "
            "set CHANNEL_LAYERS, for instance to channels_redis.pubsub.RedisPubSubChannelLayer."
        )
    return layer


def publish(backend: Backend, key: str, items: list[Item]) -> None:
    """Tell every process that serves *key* with *backend*, from a thread without a running loop."""
    if not backend.shared:
        LocalBus.send(key, items)
        return
    try:
        async_to_sync(send)(backend, key, items)
    except Exception as error:
        _unanswered(get_channel_layer(DEFAULT_CHANNEL_LAYER), error)


async def apublish(backend: Backend, key: str, items: list[Item]) -> None:
    """The same, awaited."""
    try:
        await send(backend, key, items)
    except Exception as error:
        _unanswered(get_channel_layer(DEFAULT_CHANNEL_LAYER), error)


async def send(backend: Backend, key: str, items: list[Item]) -> None:
    """The same, for what does not heal: raises what the channel layer raises, or ``TimeoutError``."""
    if not backend.shared:
        LocalBus.send(key, items)
        return
    layer = channel_layer()
    async with asyncio.timeout(LONGEST_WAIT):
        await layer.group_send(group_name(backend.namespace, key), message(key, items))
    _answered(layer)
