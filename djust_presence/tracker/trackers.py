"""The trackers of this process: one for each running loop, so one in a server."""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
from collections.abc import Callable, Iterable

from ..backends.registry import get_backend
from ..conf import get_settings
from ..errors import PresenceUnavailable
from ..forks import after_fork
from ..state.records import Change
from ..state.replica import Replica
from .signalling import asend, news_of, send
from .tracker import Tracker

__all__ = [
    "asignal",
    "close_all",
    "drain_all",
    "get_tracker",
    "serves_if",
    "serves_pages",
    "serving",
    "signal",
    "will_serve",
]

logger = logging.getLogger("djust_presence")

_trackers: dict[asyncio.AbstractEventLoop, list[Tracker]] = {}
_lock = threading.Lock()
_serves = False
_signs: list[Callable[[], bool]] = []


def get_tracker() -> Tracker:
    """Return the tracker of the running loop, for the settings in force."""
    loop, backend, settings = asyncio.get_running_loop(), get_backend(), get_settings()
    will_serve()
    with _lock:
        for ended in [other for other in _trackers if other.is_closed()]:
            del _trackers[ended]
        ours = _trackers.setdefault(loop, [])
        if not ours or ours[-1].backend is not backend or ours[-1].settings is not settings:
            ours.append(Tracker(backend, settings))
        return ours[-1]


def serving(key: str) -> Replica | None:
    """Return the group's replica, if some loop of this process serves it and knows the members. From any thread."""
    backend = get_backend()
    for tracker in _all():
        if tracker.backend is backend and not tracker.clock.loop.is_closed():
            if replica := tracker.replica_of(key):
                return replica
    return None


def will_serve() -> None:
    """Note that this process serves pages, though none may be open yet: for a host that makes its consumer."""
    global _serves
    _serves = True


def serves_if(sign: Callable[[], bool]) -> None:
    """Note that this process serves pages if *sign* returns True: for a host that does not make its consumer itself."""
    _signs.append(sign)


def serves_pages() -> bool:
    """Return whether this process serves pages, or is set up to."""
    return _serves or any(sign() for sign in _signs)


def signal(changes: Iterable[Change]) -> None:
    """Send the signals for writes of this process without a tracker, in a thread without a running loop.

    In a process with open pages they come after those of its tracker; elsewhere this returns when they are sent.
    """
    if news := news_of(changes):
        if tracker := _running():
            tracker.clock.call(tracker.signals.put, news)
        else:
            send(news)


async def asignal(changes: Iterable[Change]) -> None:
    """Do the same in a running loop."""
    if news := news_of(changes):
        if tracker := _running():
            tracker.clock.call(tracker.signals.put, news)
        else:
            await asend(news)


def _running() -> Tracker | None:
    backend = get_backend()
    return next((tracker for tracker in _all() if tracker.backend is backend and tracker.running), None)


def _all() -> list[Tracker]:
    with _lock:
        return [tracker for ours in _trackers.values() for tracker in ours]


async def drain_all() -> None:
    """Stop the running loop's trackers cleanly, as the process ends: see ``Tracker.drain``."""
    with _lock:
        ours = list(_trackers.get(asyncio.get_running_loop(), ()))
    await asyncio.gather(*[tracker.drain() for tracker in ours])
    _say_unheard([tracker.take_unheard() for tracker in ours])


async def close_all() -> None:
    """End the running loop's trackers, and forget them."""
    with _lock:
        ours = _trackers.pop(asyncio.get_running_loop(), [])
    for tracker in ours:
        await tracker.aclose()


def _at_exit() -> None:
    """Drain at the end of the interpreter: some servers do not tell an application that they stop.

    The channel layer does not work so late: other processes find out at their next renewal.
    """
    unheard: list[PresenceUnavailable | None] = []
    for tracker in _all():
        if tracker.backend.shared:
            try:
                tracker.drain_now()
            except PresenceUnavailable as error:
                unheard.append(error)
    _say_unheard(unheard)


def _say_unheard(errors: Iterable[PresenceUnavailable | None]) -> None:
    for error in filter(None, errors):
        logger.warning("Could not tell the presence store of this process's end (%s).", error)
        break  # all loops of the process have the same


def _forget() -> None:
    global _trackers, _lock
    _trackers, _lock = {}, threading.Lock()


atexit.register(_at_exit)
after_fork(_forget)
