"""Tokens, and lines of the log that somebody else can cause, by clocks that the tests move."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from djust_presence.rates import LogLimit, TokenBucket

# The token bucket. Its times and rates here are such that floats are exact.

rates = st.sampled_from([1, 8, 64, 128])
bursts = st.integers(1, 8)
times = st.lists(st.integers(0, 4096), max_size=40).map(lambda ticks: [tick / 1024 for tick in sorted(ticks)])


@given(rates, bursts, times)
def test_what_it_gives_in_any_stretch_of_time_is_the_burst_and_the_rate(
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
def test_who_keeps_to_the_rate_is_never_refused(rate: int, burst: int, count: int) -> None:
    bucket = TokenBucket(rate, burst)
    assert all(bucket.take(n / rate) for n in range(count))


@given(rates, bursts, times)
def test_what_is_refused_costs_nothing(rate: int, burst: int, times: list[float]) -> None:
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
