"""Writes, times and fixtures for all parts of the suite for backends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, cast
from uuid import uuid4

import pytest

from ...backends.base import Backend
from ...state.records import (
    Change,
    Join,
    Leave,
    Op,
    Reply,
    Status,
    Work,
)

__all__ = ["BOUND", "GONE", "LONG", "BackendSuite", "done", "join", "leave", "metas"]

LONG = 1000.0  # seconds: nothing expires during a test
GONE = 0.0  # seconds: expired at once
BOUND = 20.0  # seconds that an immediate action may take


def join(
    seq: int,
    ref: str = "ref",
    user: str = "user",
    key: str = "room",
    *,
    meta: str = "{}",
    epoch: str | None = None,
    tag: str | None = None,
    joined_at: float | None = None,
    said: float | None = None,
) -> Op:
    return Join(seq, key, ref, user, meta, epoch or uuid4().hex, tag or uuid4().hex, joined_at, said)


def leave(seq: int, ref: str = "ref", key: str = "room", *, tag: str | None = None) -> Op:
    return Leave(seq, key, ref, tag or uuid4().hex)


def done(reply: Reply) -> Change:
    """Return the Change of a write that made one."""
    assert reply.status is Status.OK
    assert reply.change is not None
    return reply.change


def metas(change: Change | None) -> dict[str, tuple[str | None, str | None]]:
    """Return the meta of each user of a Change before and after it."""
    assert change is not None
    return {user: (was and was.meta, now and now.meta) for user, was, now in change.steps}


class Awaited:
    """A backend whose blocking verbs run their ``a``-twins in a loop."""

    def __init__(self, backend: Backend, runner: asyncio.Runner) -> None:
        self._backend = backend
        self._runner = runner

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        averb = getattr(self._backend, f"a{verb}")
        return lambda *args, **kwargs: self._runner.run(averb(*args, **kwargs))


class BackendSuite:
    """The fixtures and helpers of each part of the contract."""

    @pytest.fixture
    def backend(self) -> Backend:
        """An empty backend."""
        raise NotImplementedError("Override the fixture 'backend'.")

    def stored(self, backend: Backend) -> Collection[str]:
        """Return the names of all rows of *backend*, except its birth and the times at which it was heard from.

        Override it if you can: a test checks by it that nothing is left.
        """
        return ()

    @pytest.fixture(params=["blocking", "awaited"])
    def verbs(self, request: pytest.FixtureRequest, backend: Backend) -> Iterator[Backend]:
        """The backend, and once more its ``a``-twins in place of its blocking verbs."""
        if request.param == "blocking":
            yield backend
            backend.close()
            return
        with asyncio.Runner() as runner:
            yield cast(Backend, Awaited(backend, runner))
            runner.run(backend.aclose())

    def lives_for_its_ttl(self, verbs: Backend, name: str, extend: Callable[[str, str], bool]) -> None:
        """Check that *extend* (lease, ref) extends a lease by its ttl from then on, and no longer."""
        verbs.open("reaper", LONG)
        for attempt, ttl in enumerate((0.2, 1.0, 5.0)):
            lease, ref = f"{name}{attempt}", f"ref{attempt}"
            verbs.open(lease, ttl)
            verbs.write(lease, [join(1, ref)])
            opened = time.monotonic()
            late = False
            while not late and time.monotonic() < opened + 1.5 * ttl:
                extended = time.monotonic()
                alive = extend(lease, ref)
                time.sleep(ttl / 4)
                work = verbs.claim("reaper", 500, 0)
                # Too slow on a busy machine: once more, with more time.
                late = time.monotonic() >= extended + ttl
                assert late or (alive and not work)
            deadline = time.monotonic() + BOUND
            while not (work := verbs.claim("reaper", 500, 0)):
                assert time.monotonic() < deadline
                time.sleep(ttl / 10)
            assert work == [Work(lease, "room", [ref])]
            verbs.reap(lease, "room", [ref], uuid4().hex)
            if not late:
                return
        pytest.skip("This machine is too busy to tell.")

    def reaped(self, verbs: Backend, own: str, limit: int) -> Iterator[Change]:
        """Yield the Changes of reaping all that can be claimed."""
        deadline = time.monotonic() + BOUND
        while work := verbs.claim(own, limit, 0):
            assert time.monotonic() < deadline, f"there is still work: {work}"
            for lease, key, refs in work:
                if change := verbs.reap(lease, key, refs, uuid4().hex):
                    yield change

    def sorted(self, work: Iterable[Work]) -> list[tuple[str, str, list[str]]]:
        return sorted((lease, key, sorted(refs)) for lease, key, refs in work)

    def claims_nothing(self, verbs: Backend, own: str, within: float) -> Callable[[], None]:
        """Return a check, to be called once, that *own* claims nothing; it passes *within* seconds only, on a slow machine."""
        until = time.monotonic() + within

        def check() -> None:
            work = verbs.claim(own, 500, 0)
            assert work == [] or time.monotonic() > until

        return check
