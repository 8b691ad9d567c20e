"""The sharing out of workers, without threads."""

from __future__ import annotations

from collections import Counter
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from djust_presence.hosts.turns import MAX_WAITING_MOUNTS, PER_VISITOR, Ask, Sender, Turn, Turns

WORKERS = 8
MOUNT, HANDLER, REFRESH, LATE = Turn.MOUNT, Turn.HANDLER, Turn.REFRESH, Turn.LATE_REFRESH


class Work:
    """Workers, and the work that waits and runs."""

    def __init__(self, workers: int = WORKERS) -> None:
        self.turns: Turns[Ask] = Turns(workers)
        self.waiting: list[Ask] = []
        self.running: list[Ask] = []

    def add(self, turn: Turn, *visitors: str | Sender | None) -> list[Ask]:
        asks = [
            Ask(turn, Sender("", visitor) if isinstance(visitor, str | None) else visitor)
            for visitor in visitors
        ]
        for ask in asks:
            self.waiting.append(ask)
            if (refused := self.turns.add(ask)) is not None:
                self.waiting.remove(refused)
            self.serve()
        return asks

    def serve(self) -> None:
        while (ask := self.turns.next()) is not None:
            self.waiting.remove(ask)
            self.running.append(ask)

    def finish(self, ask: Ask) -> None:
        self.running.remove(ask)
        self.turns.release(ask)
        self.serve()

    def give_up(self, ask: Ask) -> None:
        self.waiting.remove(ask)
        self.turns.remove(ask)
        self.serve()


def names(*, begin: int = 0, number: int = 100) -> list[str]:
    return [f"v{n}" for n in range(begin, begin + number)]


def test_mounts_leave_workers_to_handlers_and_refreshes() -> None:
    work = Work()
    work.add(MOUNT, *names())
    assert len(work.running) == 5
    handlers = work.add(HANDLER, *names())
    assert [ask.turn for ask in work.running[5:]] == [HANDLER] * 2
    assert handlers[0] in work.running
    (refresh,) = work.add(REFRESH, None)
    assert refresh in work.running


def test_handlers_leave_a_worker_to_refreshes() -> None:
    work = Work()
    work.add(HANDLER, *names())
    assert len(work.running) == 7
    (first, second) = work.add(REFRESH, None, None)
    assert first in work.running
    assert second in work.waiting
    work.finish(first)
    assert second in work.running


def test_late_refreshes_leave_workers_to_handlers() -> None:
    work = Work()
    refreshes = work.add(REFRESH, None) + work.add(LATE, *[None] * 20)
    assert work.running == refreshes[:6]
    (handler,) = work.add(HANDLER, None)
    assert handler in work.running


def test_an_address_has_one_turn_whatever_it_claims() -> None:
    work = Work()
    running = work.add(MOUNT, *[Sender("1", n) for n in range(5)])
    work.add(MOUNT, *[Sender("1", n) for n in range(100, 200)])
    (modest,) = work.add(MOUNT, Sender("2", "modest"))
    work.finish(running[0])
    work.finish(running[1])
    assert modest in work.running


def test_a_client_that_claims_to_be_many_is_refused_before_others() -> None:
    work = Work()
    work.add(MOUNT, *[Sender("1", n) for n in range(MAX_WAITING_MOUNTS + 5)])
    others = work.add(MOUNT, *[Sender("2", n) for n in range(100)])
    assert {*others} <= {*work.waiting}
    assert len(work.waiting) == MAX_WAITING_MOUNTS


def test_the_last_of_many_waiting_callers_is_refused() -> None:
    work = Work()
    asks = work.add(MOUNT, *[Sender(str(n), n) for n in range(MAX_WAITING_MOUNTS + 5)])
    (one_more,) = work.add(MOUNT, Sender("late", "late"))
    assert one_more not in work.waiting
    assert {*asks} == {*work.waiting, *work.running}


@pytest.mark.parametrize("turn", Turn)
def test_a_visitor_has_a_few_workers_only(turn: Turn) -> None:
    work = Work()
    if turn is REFRESH:
        work.add(HANDLER, *["greedy"] * PER_VISITOR)
    work.add(turn, *["greedy"] * 20)
    assert len(work.running) == PER_VISITOR
    (other,) = work.add(turn, "modest")
    assert other in work.running


def test_work_for_many_has_no_visitor_and_so_no_bound() -> None:
    work = Work()
    work.add(HANDLER, *[None] * 20)
    assert len(work.running) == WORKERS - 1


def test_mounts_and_handlers_take_turns() -> None:
    work = Work()
    running = work.add(HANDLER, *names(number=7))
    work.add(HANDLER, *names(begin=100))
    work.add(MOUNT, *names(begin=200))
    for ask in running:
        work.finish(ask)
    assert Counter(ask.turn for ask in work.running) == {MOUNT: 4, HANDLER: 3}


def test_a_page_that_asks_for_more_waits_longer() -> None:
    work = Work()
    running = work.add(HANDLER, *names(number=7))
    work.add(HANDLER, *["greedy"] * 100, "modest", "frugal")
    for ask in running[:3]:
        work.finish(ask)
    assert {ask.sender.visitor for ask in work.running[-3:]} == {"greedy", "modest", "frugal"}


def test_too_many_mounts_are_refused_and_not_those_of_others() -> None:
    work = Work()
    greedy = work.add(MOUNT, *["greedy"] * (MAX_WAITING_MOUNTS + PER_VISITOR))
    assert len(work.waiting) == MAX_WAITING_MOUNTS
    (one_more,) = work.add(MOUNT, "greedy")
    assert one_more not in work.waiting
    others = work.add(MOUNT, *names(number=50))
    assert len(work.waiting) == MAX_WAITING_MOUNTS
    assert set(others) <= {*work.waiting, *work.running}
    assert greedy[-1] not in work.waiting
    assert greedy[-49] in work.waiting


def test_a_caller_that_gives_up_makes_room() -> None:
    work = Work()
    asks = work.add(MOUNT, *["greedy"] * (MAX_WAITING_MOUNTS + PER_VISITOR))
    for ask in asks[-10:]:
        work.give_up(ask)
    assert set(work.add(MOUNT, *["greedy"] * 10)) <= {*work.waiting}
    work.turns.remove(asks[0])  # which runs, so this is nothing


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from([*Turn]), st.sampled_from(["a", "b", "c", "d", None]))
    )
)
def test_nobody_waits_for_a_worker_that_they_could_have(steps: list[tuple[int, Turn, str | None]]) -> None:
    work = Work()
    for step, turn, visitor in steps:
        match step:
            case 0 if work.running:
                work.finish(work.running[0])
            case 1 if work.waiting:
                work.give_up(work.waiting[len(work.waiting) // 2])
            case _:
                work.add(turn, visitor)
        kinds = Counter(ask.turn for ask in work.running)
        held = Counter(ask.sender.visitor for ask in work.running if ask.sender.visitor is not None)
        free = WORKERS - len(work.running)
        assert free >= 0
        assert kinds[REFRESH] <= 1
        assert kinds[MOUNT] <= 5
        assert all(number <= PER_VISITOR for number in held.values())
        for ask in work.waiting:
            bounded = held[ask.sender.visitor] == PER_VISITOR
            kind = {
                REFRESH: kinds[REFRESH] == 1 or not free,
                LATE: kinds[LATE] == 5 or not free,
                MOUNT: kinds[MOUNT] == 5 or free <= 1,
            }
            assert bounded or kind.get(ask.turn, free <= 1)


def test_all_have_their_turn_in_the_end() -> None:
    work = Work()
    work.add(MOUNT, *["greedy"] * 100)
    work.add(HANDLER, *["greedy"] * 100, *names())
    for _ in count():
        if not work.running:
            break
        work.finish(work.running[0])
    assert not work.waiting
