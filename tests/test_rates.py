"""Token buckets, and limits on log lines that others can cause, by clocks that the tests move."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from djust_presence.rates import MOST_CAUSES, LogLimit, TokenBucket

logger = logging.getLogger("djust_presence")

# The token bucket. Its times and rates here are such that floats are exact.

rates = st.sampled_from([1, 8, 64, 128])
bursts = st.integers(1, 8)
times = st.lists(st.integers(0, 4096), max_size=40).map(lambda ticks: [tick / 1024 for tick in sorted(ticks)])


@given(rates, bursts, times)
def test_it_gives_the_burst_and_the_rate_in_any_stretch_of_time(
    rate: int, burst: int, times: list[float]
) -> None:
    bucket = TokenBucket(rate, burst)
    taken: list[float] = []
    for now in times:
        fits = all(len(taken) - i + 1 <= burst + (now - since) * rate for i, since in enumerate(taken))
        assert bucket.take(now) is fits
        if fits:
            taken.append(now)


@given(rates, bursts, st.integers(1, 100))
def test_a_caller_that_keeps_to_the_rate_is_never_refused(rate: int, burst: int, count: int) -> None:
    bucket = TokenBucket(rate, burst)
    assert all(bucket.take(n / rate) for n in range(count))


@given(rates, bursts, times)
def test_a_refused_write_costs_nothing(rate: int, burst: int, times: list[float]) -> None:
    bucket, bothered = TokenBucket(rate, burst), TokenBucket(rate, burst)
    for now in times:
        assert not bothered.take(now, leaving=burst)
        assert bothered.take(now) is bucket.take(now)


@given(rates, bursts, st.integers(0, 8))
def test_tokens_that_are_to_be_left_are_left(rate: int, burst: int, leaving: int) -> None:
    bucket = TokenBucket(rate, burst)
    taken = sum(bucket.take(0, leaving) for _ in range(burst))
    assert taken == max(0, burst - leaving)
    assert sum(bucket.take(0) for _ in range(burst)) == burst - taken


@given(rates, bursts, times)
def test_a_clock_that_goes_back_gives_nothing(rate: int, burst: int, times: list[float]) -> None:
    bucket = TokenBucket(rate, burst)
    while bucket.take(4):
        pass
    assert not any(bucket.take(now) for now in reversed(times))


# Lines of the log


def test_one_line_in_ten_seconds_and_the_next_one_counts_what_was_left_out() -> None:
    times = iter([0.0, 0.0, 1.0, 5.0, 9.5, 10.0, 30.0])
    limit = LogLimit(times.__next__)
    assert [limit.line() for _ in range(7)] == ["", *[None] * 4, " 4 more like it were not logged.", ""]


def test_each_cause_has_lines_of_its_own() -> None:
    now = 0.0
    limit = LogLimit(lambda: now, burst=2)
    assert [limit.line("one", ValueError) for _ in range(4)] == ["", "", None, None]
    assert limit.line("one", KeyError) == limit.line("two", ValueError) == ""
    now = 10.0
    assert limit.line("one", ValueError) == " 2 more like it were not logged."
    assert limit.line("two", ValueError) == ""


def test_a_line_that_is_logged_ends_with_the_number_of_those_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    limit = LogLimit(lambda: now)
    for name in "abc":
        limit.log(logger.warning, "%s came.", name)
    limit.log(logger.warning, "%s came.", "d", of="another part of the code")
    limit.log(logger.warning, "%s went.", "e")
    now = 10.0
    limit.log(logger.warning, "%s came.", "f")
    assert caplog.messages == ["a came.", "d came.", "e went.", "f came. 2 more like it were not logged."]
    assert {record.pathname for record in caplog.records} == {__file__}


def test_errors_of_one_place_are_told_apart_where_that_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    apart, together = LogLimit(lambda: 0.0, by_error=True), LogLimit(lambda: 0.0)
    for error in (ValueError("one"), KeyError("two"), ValueError("three")):
        together.log(logger.error, "It failed.", exc_info=error)
        apart.log(logger.error, "It failed.", exc_info=error)
        try:
            raise error
        except Exception:
            apart.log(logger.exception, "It failed again.")
    assert caplog.messages == ["It failed."] * 2 + ["It failed again."] + ["It failed.", "It failed again."]


def test_causes_take_a_bounded_amount_of_memory() -> None:
    limit = LogLimit(lambda: 0.0)
    for cause in range(5 * MOST_CAUSES):
        limit.line(cause)
        limit.line(cause)
    assert len(limit._lines) <= MOST_CAUSES
    assert len(limit._left_out) <= MOST_CAUSES
