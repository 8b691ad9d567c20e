"""The bus between processes, over Django's channel layer."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import threading
from collections.abc import Callable, Coroutine
from itertools import islice
from typing import Any

from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import BaseChannelLayer, get_channel_layer
from django.core.exceptions import ImproperlyConfigured

from ..forks import after_fork
from ..rates import LogLimit
from ..tasks import start
from .base import LONGEST_WAIT, NOTICES, Bus, Item, Receiver
from .messages import decode_items, encode_item, group_name, message
from .outages import layer_failed, layer_worked
from .probes import Losses

__all__ = ["LayerBus", "channel_layer"]

logger = logging.getLogger("djust_presence")

MOST_WAITING = 1000  # items of one key while the layer does not answer
ADD_AGAIN = 1800.0  # seconds at most between two additions of a channel to a group
GROUP_EXPIRY = 86400.0  # seconds after which a layer forgets a group's members, unless it says otherwise
ADDED_AT_ONCE = 100  # groups, before messages that wait meanwhile are sent

# Channels makes the layer on first use: threads that ask for it at once would get one each, with its own connections.
_making = threading.Lock()


def _renew_lock() -> None:
    """Replace the lock in a forked child, where no thread would release it."""
    global _making
    _making = threading.Lock()


after_fork(_renew_lock)

_unreadable = LogLimit()
_not_json = LogLimit()


def channel_layer() -> BaseChannelLayer:
    """Return the default channel layer. Raises ``ImproperlyConfigured`` if there is none."""
    with _making:
        layer = get_channel_layer(DEFAULT_CHANNEL_LAYER)
    if layer is None:
        raise ImproperlyConfigured(
            "This presence backend is shared by processes that tell each other of changes over a channel layer: "
            "set CHANNEL_LAYERS, for instance to channels_redis.pubsub.RedisPubSubChannelLayer."
        )
    return layer


class LayerBus(Bus):
    """A bus with one channel, one task that receives and one that sends, however many groups there are.

    A layer forgets a group's members after its ``group_expiry``, so the channel is added again after a third of that.
    It also forgets them, without an error, when its server loses the keys. Therefore each :meth:`again` sends a probe,
    a message without items, to one of the groups in turn. If it has not come back by the next one, the channel is added
    to all groups again. This costs one message per renewal. A layer without a ``group_expiry``, as the one of pub/sub,
    keeps its groups in this process and is not probed.
    """

    def __init__(self, receive: Receiver, layer: BaseChannelLayer, namespace: str) -> None:
        super().__init__(receive)
        self._layer = layer
        self._namespace = namespace
        self._loop = asyncio.get_running_loop()
        self._expiry: float | None = getattr(layer, "group_expiry", None)
        self._channel: str | None = None
        self._wanted: dict[str, list[Callable[[], None]]] = {}  # key -> what to call once subscribed
        self._added: dict[str, None] = {}  # in the order in which they are probed
        self._stale: dict[str, None] = {}  # keys to add once more
        self._probed: str | None = None  # the key whose group has been sent a probe that is not back yet
        self._losses = Losses()
        self._deaf = False  # from a failed receive() to the next successful one
        self._waiting: dict[str, list[str]] = {}  # encoded items
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
        for item in items:
            try:
                waiting.append(encode_item(item))
            except (TypeError, ValueError, RecursionError):  # of a backend or a host of others
                _not_json.log(logger.exception, "An item for other processes is not JSON, and was dropped.")
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
            self._tasks = [self._task(self._send_forever())]
            self._add_before_expiry()

    def _add_before_expiry(self) -> None:
        """Add the channel again, now and after each third of the layer's ``group_expiry``."""
        pause = min(ADD_AGAIN, (self._expiry or GROUP_EXPIRY) / 3)
        self._timer = self._loop.call_later(pause, self._add_before_expiry, context=contextvars.Context())
        self._add_again()

    def _add_again(self) -> None:
        self._stale = dict.fromkeys(self._added)
        self._work.set()

    def _task(self, run: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return start(run, contextvars.Context())

    @staticmethod
    def _call(callbacks: list[Callable[[], None]]) -> None:
        while callbacks:
            callbacks.pop()()

    async def _send_forever(self) -> None:
        """Pass pending subscriptions and messages to the layer, in this order, one call after the other."""
        failures = 0
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                channel = await self._open_channel()
                await self._add_groups(channel)
                await self._send_waiting()
                await self._discard_groups(channel)
            except Exception as error:
                failures += 1
                self._failed(error)
                await asyncio.sleep(_pause(failures))
            else:
                failures = 0
                if not self._work.is_set():
                    self._idle.set()

    async def _open_channel(self) -> str:
        if self._channel is None:
            self._channel = await self._layer.new_channel()
            self._tasks.append(self._task(self._receive_forever(self._channel)))
        return self._channel

    async def _add_groups(self, channel: str) -> None:
        """Add *channel* to some of the groups that need it; messages are sent in between."""
        for key in list(islice((key for key in self._wanted if key not in self._added), ADDED_AT_ONCE)):
            if key in self._wanted:  # it may have been unsubscribed in the meantime
                await self._layer.group_add(group_name(self._namespace, key), channel)
                self._added[key] = None
                self._call(self._wanted.get(key, []))
                self._work.set()
        for key in list(islice(self._stale, ADDED_AT_ONCE)):
            if key in self._wanted:
                await self._layer.group_add(group_name(self._namespace, key), channel)
            self._stale.pop(key, None)
            self._work.set()

    async def _send_waiting(self) -> None:
        while self._waiting:
            key, items = next(iter(self._waiting.items()))
            del self._waiting[key]
            await self._layer.group_send(group_name(self._namespace, key), message(key, items, self.id))
            if not (self._deaf and self._wanted):
                layer_worked(self._layer)

    async def _discard_groups(self, channel: str) -> None:
        for key in self._added.keys() - self._wanted.keys():
            if key not in self._wanted:  # it may have been subscribed in the meantime
                del self._added[key]
                await self._layer.group_discard(group_name(self._namespace, key), channel)

    async def _receive_forever(self, channel: str) -> None:
        """Receive messages. It is cancelled only by :meth:`aclose`: that may make a layer lose the channel."""
        failures = 0
        while True:
            try:
                received = await self._layer.receive(channel)
            except Exception as error:
                # An idle redis-py connection may time out, which is no failure.
                if type(error).__name__ != "TimeoutError":
                    failures += 1
                    self._deaf = True
                    self._failed(error)
                    self.again(always=True)
                    await asyncio.sleep(_pause(failures))
                continue
            failures = 0
            if self._deaf:
                self._deaf = False
                layer_worked(self._layer)
            try:
                self._take_in(received)
            except Exception:
                _unreadable.log(logger.exception, "Could not decode a message from another process.")

    def _take_in(self, received: object) -> None:
        """Pass on a message of another process. Raises ``ValueError`` for one of another shape than this package's."""
        match received:
            case {"key": str(key), "from": str(sender), "items": str(text)}:
                if sender == self.id:
                    if key == self._probed:
                        self._probed = None
                        self._losses.returned()
                elif key in self._wanted:
                    self._receive(key, decode_items(text))
            case _:
                raise ValueError("The message is not of the shape that this version of the package sends.")

    def _failed(self, error: Exception) -> None:
        layer_failed(self._layer, error)
        self._probed = None
        # A message without items, to find out when calls work again.
        self._waiting.setdefault(next(iter(self._wanted), NOTICES), [])
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
                async with asyncio.timeout(LONGEST_WAIT):
                    await self._idle.wait()
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


def _pause(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row."""
    return min(5.0, 0.1 * 2.0 ** min(failures, 6)) * random.random()
