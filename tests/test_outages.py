"""The begin and the end of an outage, by a clock that the test moves."""

from __future__ import annotations

import threading

import pytest

from djust_presence.outages import Outage, OutageOf


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def begins(outage: Outage, clock: Clock, *pauses: float) -> list[float]:
    """The seconds from the first failure at which the outage begins, one failure after each pause."""
    began, first = [], clock.now
    if outage.failed():
        began.append(0.0)
    for pause in pauses:
        clock.now += pause
        if outage.failed():
            began.append(clock.now - first)
    return began


@pytest.mark.parametrize(
    ("pauses", "beginnings"),
    [
        ((), []),
        ((60.0,), []),  # two lost replies a minute apart
        ((0.1, 0.1, 0.1), []),  # a moment
        ((0.1, 0.2, 0.4, 0.8, 1.6, 3.2), [3.1]),  # a caller with back-off
        ((5.0, 5.0, 5.0), [10.0]),  # a caller that pauses
        ((0.0625,) * 100, [2.0]),
    ],
)
def test_it_begins_with_the_third_failure_in_a_row_when_two_seconds_are_over(
    clock: Clock, pauses: tuple[float, ...], beginnings: list[float]
) -> None:
    assert begins(Outage(clock=clock), clock, *pauses) == pytest.approx(beginnings)


def test_its_end_is_the_first_success(clock: Clock) -> None:
    outage = Outage(clock=clock)
    assert not outage.worked()
    assert begins(outage, clock, 2, 2)
    assert outage.worked()
    assert not outage.worked()


def test_a_success_in_between_starts_the_count_again(clock: Clock) -> None:
    outage = Outage(clock=clock)
    for _ in range(50):
        assert begins(outage, clock, 3) == []
        assert not outage.worked()


def test_an_outage_after_an_outage_is_another(clock: Clock) -> None:
    outage = Outage(clock=clock)
    for _ in range(3):
        assert begins(outage, clock, 1, 1, 1, 1) == [2.0]
        assert outage.worked()


def test_an_error_that_is_never_harmless_begins_an_outage_with_the_first_failure(clock: Clock) -> None:
    outage = Outage(failures=1, seconds=0, clock=clock)
    assert begins(outage, clock, 1, 1) == [0.0]
    assert outage.worked()


def test_each_backend_has_its_own() -> None:
    class Backend: ...

    outages, one, two = OutageOf[Backend](), Backend(), Backend()
    assert outages[one] is outages[one]
    assert outages[one] is not outages[two]
    del one, two
    assert not len(outages._outages)


def test_only_one_of_many_threads_is_told() -> None:
    outage = Outage(failures=3, seconds=0)
    told: list[bool] = []

    def ask(what: str) -> None:
        answers = [getattr(outage, what)() for _ in range(200)]
        told.extend(filter(None, answers))

    for what in ("failed", "worked"):
        threads = [threading.Thread(target=ask, args=(what,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert told == [True]
        told.clear()
