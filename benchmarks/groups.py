"""Times what a job asks of a large group, in a process of its own: ``python -m benchmarks.groups MEMBERS TURNS``."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from secrets import token_hex
from typing import Any

import django

from .results import NO_ANSWER

KEY = "crowd"
BATCH = 500
PATIENCE = 60.0  # seconds
TTL = 3600.0  # seconds: nobody renews


def fill(members: int) -> None:
    """Let *members* users join through one lease, as pages of one process do."""
    from djust_presence.backends.registry import get_backend
    from djust_presence.state.records import Join

    backend, lease = get_backend(), token_hex(8)
    backend.open(lease, TTL)
    for first in range(0, members, BATCH):
        numbers = range(first, min(first + BATCH, members))
        meta = '{"name":"Somebody","color":"teal"}'
        backend.write(
            lease,
            [Join(n + 1, KEY, token_hex(8), f"user-{n}", meta, token_hex(8), token_hex(8)) for n in numbers],
        )


def timed(turns: int, works: dict[str, Callable[[int], object]]) -> dict[str, list[float]]:
    """Let *works* take turns, and return the milliseconds of each; of one that failed, `NO_ANSWER`.

    Each has *turns* turns, or as many as there is time for.
    """
    from djust_presence import PresenceUnavailable

    took: dict[str, list[float]] = {name: [] for name in works}
    deadline = time.monotonic() + PATIENCE
    for turn in range(turns):
        for name, work in works.items():
            if took[name] == [NO_ANSWER]:
                continue
            began = time.perf_counter()
            try:
                work(turn)
            except PresenceUnavailable:
                took[name] = [NO_ANSWER]
            else:
                took[name].append(1000 * (time.perf_counter() - began))
        if time.monotonic() > deadline:
            break
    return took


def measure(members: int, turns: int) -> dict[str, list[float]]:
    from djust_presence import presence
    from djust_presence.backends.registry import get_backend
    from djust_presence.state.records import Join

    fill(members)
    backend = get_backend()

    def write(turn: int) -> None:
        """Join as a job does, without the message about it."""
        meta = '{"name":"Importer"}'
        op = Join(1, KEY, f"ref-{turn}", f"bot-{turn}", meta, token_hex(16), token_hex(16))
        backend.open_and_write(f"job:{token_hex(16)}", 60, [op])

    works: dict[str, Callable[[int], object]] = {
        "join": lambda turn: presence.join(KEY, f"job-{turn}", {"name": "Importer"}, ttl=60),
        "write": write,
        "count": lambda turn: presence.count(KEY),
        "page": lambda turn: presence.list(KEY, limit=100),
        "leave": lambda turn: presence.leave(KEY, f"job-{turn}"),
        "remove": lambda turn: backend.release(KEY, f"ref-{turn}", token_hex(16)),
    }
    samples: dict[str, list[float]] = {}
    if url := os.environ.get("REDIS_URL"):
        from redis import Redis

        store: Any = Redis.from_url(url)
        samples["store"] = [store.info("memory")["used_memory"] / 2**20]
        works["ping"] = lambda turn: store.ping()
    timed(5, works)
    for name, times in timed(turns, works).items():
        times.sort()
        samples[f"{name} p50"] = [times[len(times) // 2]]
        samples[f"{name} p99"] = [times[len(times) * 99 // 100]]
    return samples


if __name__ == "__main__":
    django.setup()
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
