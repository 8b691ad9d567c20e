"""Promises of the memory backend alone."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from djust_presence.backends.memory import MemoryBackend
from djust_presence.state.records import Status
from djust_presence.testing.backends.base import BOUND, LONG, join


def test_it_takes_no_options() -> None:
    with pytest.raises(TypeError, match="takes no options, but was given 'prefix'"):
        MemoryBackend("", {"prefix": "djp"})


def test_its_location_does_not_matter() -> None:
    assert MemoryBackend("redis://localhost:6379/0", {}).check() == []


def test_nothing_is_shared_with_other_processes() -> None:
    assert MemoryBackend.shared is False


def test_instances_share_nothing() -> None:
    one, two = MemoryBackend(), MemoryBackend()
    one.open("lease", LONG)
    one.write("lease", [join(1)])
    assert two.count("room") == 0


def test_threads_and_loops_write_to_the_same_store() -> None:
    backend = MemoryBackend()
    writers = 8

    def write(number: int) -> None:
        lease = f"lease{number}"
        backend.open(lease, LONG)
        for seq in range(1, 51):
            assert backend.write(lease, [join(seq, f"{lease}:{seq}", f"user{seq}")])[0].status is Status.OK

    async def awrite(number: int) -> None:
        lease = f"lease{number}"
        await backend.aopen(lease, LONG)
        for seq in range(1, 51):
            replies = await backend.awrite(lease, [join(seq, f"{lease}:{seq}", f"user{seq}")])
            assert replies[0].status is Status.OK

    threads = [
        threading.Thread(target=write, args=(number,))
        if number % 2
        else threading.Thread(target=lambda number=number: asyncio.run(awrite(number)))
        for number in range(writers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
    place, members = backend.snapshots(["room"])[0]
    assert place is not None
    assert place.version == writers * 50
    assert {member.connections for member in members.values()} == {writers}
    assert backend.count("room") == 50


def test_its_time_is_the_epochs() -> None:
    backend = MemoryBackend()
    backend.open("lease", LONG)
    before = time.time()
    backend.write("lease", [join(1)])
    member = backend.member("room", "user")
    assert member is not None
    assert abs(member.joined_at - before) < BOUND
