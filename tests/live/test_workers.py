"""The workers: few threads, shared out so that no page holds up all others."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from asgiref.sync import sync_to_async

from djust_presence.background import finish
from djust_presence.calls import call
from djust_presence.hosts import workers as workers_module
from djust_presence.hosts.turns import Sender, Turn
from djust_presence.hosts.workers import Workers
from tests.forked import ends_in_child
from tests.until import until

from .test_threads import thread_name


@pytest.fixture
def workers() -> Iterator[Workers]:
    workers = Workers(3)
    yield workers
    finish(5)


class Gate:
    """Work that is in a thread until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.leave = threading.Event()

    def __call__(self) -> None:
        self.entered.set()
        assert self.leave.wait(5)

    async def is_entered(self) -> bool:
        return await asyncio.to_thread(self.entered.wait, 5)


# Workers


async def test_work_runs_on_few_threads_that_stay(workers: Workers) -> None:
    names = [await workers.run(thread_name) for _ in range(10)]
    assert len(set(names)) == 1
    names = await asyncio.gather(*(workers.run(thread_name) for _ in range(50)))
    assert len(set(names)) <= 3


async def test_a_worker_is_exclusive_while_it_is_held(workers: Workers) -> None:
    async def work() -> set[str]:
        async with workers.hold():
            return {await sync_to_async(thread_name)() for _ in range(5)}

    used = await asyncio.gather(*(work() for _ in range(20)))
    assert all(len(names) == 1 for names in used)
    assert len(workers._free) == 3


async def test_handlers_that_hang_leave_a_worker_to_refreshes(workers: Workers) -> None:
    gates = [Gate() for _ in range(4)]
    tasks = [asyncio.create_task(workers.run(gate)) for gate in gates]
    assert await gates[0].is_entered()
    assert await gates[1].is_entered()
    assert await asyncio.wait_for(workers.run(thread_name, refresh=True), 5)
    assert not gates[2].entered.is_set()
    for gate in gates:
        gate.leave.set()
    await asyncio.gather(*tasks)


async def test_a_page_that_opens_waits_for_one_handler_and_not_for_all(workers: Workers) -> None:
    gates = [Gate() for _ in range(5)]
    handlers = [asyncio.create_task(workers.run(gate)) for gate in gates]
    assert await gates[0].is_entered()
    assert await gates[1].is_entered()

    async def mount() -> str:
        async with workers.hold():
            return await sync_to_async(thread_name)()

    mounted = asyncio.create_task(mount())
    await asyncio.sleep(0)
    gates[0].leave.set()
    assert await asyncio.wait_for(mounted, 5)
    assert await gates[2].is_entered()
    for gate in gates:
        gate.leave.set()
    await asyncio.gather(*handlers)


async def test_a_refresh_that_hangs_delays_others_only_a_little(workers: Workers) -> None:
    gate = Gate()
    task = asyncio.create_task(workers.run(gate, refresh=True))
    assert await gate.is_entered()
    begun = time.monotonic()
    await asyncio.wait_for(workers.run(thread_name, refresh=True), 5)
    assert time.monotonic() - begun > workers_module.REFRESH_WAIT / 2
    assert await asyncio.wait_for(workers.run(thread_name), 5)
    gate.leave.set()
    await task


async def test_refreshes_take_turns(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "REFRESH_WAIT", 60.0)
    names = await asyncio.gather(*(workers.run(thread_name, refresh=True) for _ in range(20)))
    assert len(set(names)) == 1


async def test_a_cancelled_worker_is_not_free_before_its_work_has_ended(workers: Workers) -> None:
    gate = Gate()
    task = asyncio.create_task(workers.run(gate))
    assert await gate.is_entered()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(workers._free) == 2
    gate.leave.set()
    await until(lambda: len(workers._free) == 3, 5)


async def test_a_caller_that_stops_waiting_takes_no_worker(workers: Workers) -> None:
    gates = [Gate(), Gate()]
    tasks = [asyncio.create_task(workers.run(gate)) for gate in gates]
    assert await gates[0].is_entered()
    assert await gates[1].is_entered()
    waiting = [asyncio.create_task(workers.run(thread_name)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    for gate in gates:
        gate.leave.set()
    await asyncio.gather(*tasks)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    await until(lambda: len(workers._free) == 3, 5)


async def test_a_caller_that_is_given_a_worker_and_stops_waiting_in_the_same_moment_gives_it_back(
    workers: Workers,
) -> None:
    taken = [await workers._acquire(Turn.HANDLER, Sender()) for _ in range(2)]
    waiting = asyncio.create_task(workers.run(thread_name))
    await asyncio.sleep(0)
    for worker in taken:
        workers._release(worker)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(workers._free) == 3


async def test_work_that_raises_gives_its_worker_back(workers: Workers) -> None:
    def fail() -> None:
        raise LookupError

    for _ in range(5):
        with pytest.raises(LookupError):
            await workers.run(fail)
    assert len(workers._free) == 3


def test_workers_serve_several_loops(workers: Workers) -> None:
    async def work() -> list[str]:
        return [await workers.run(thread_name) for _ in range(50)]

    found: list[str] = []
    loops = [threading.Thread(target=lambda: found.extend(asyncio.run(work()))) for _ in range(5)]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join(10)
    assert len(found) == 250
    assert len(workers._free) == 3


async def test_sync_code_may_call_async_code_on_the_same_loop(workers: Workers) -> None:
    loop = asyncio.get_running_loop()

    async def where() -> tuple[bool, str]:
        return asyncio.get_running_loop() is loop, await sync_to_async(thread_name)()

    same_loop, thread = await workers.run(lambda: call(where))
    assert same_loop
    assert thread == await workers.run(thread_name)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
async def test_a_forked_child_has_workers_of_its_own() -> None:
    await workers_module.workers.run(thread_name)
    assert await ends_in_child(lambda: workers_module.workers.run(thread_name))
