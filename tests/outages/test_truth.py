"""Which leaves are wrong, by what people really did."""

from __future__ import annotations

import pytest

from .truth import GRACE, LOST_GRACE, Stay, Truth

CLOSED, BROKEN = 1000, 1006


def stays(truth: Truth, since: float, until: float | None = None, code: int = CLOSED) -> Stay:
    stay = truth.comes("ada")
    stay.live(since)
    if until is not None:
        stay.end(code, until)
    return stay


def test_a_user_with_an_open_page_has_not_left() -> None:
    truth = Truth()
    stays(truth, 0, 5)
    stays(truth, 4)
    assert truth.is_wrong("ada", 0)
    assert truth.is_wrong("ada", 100)


@pytest.mark.parametrize(("code", "grace"), [(CLOSED, GRACE), (BROKEN, LOST_GRACE)])
def test_a_visitor_who_was_not_back_within_the_grace_has_left(code: int, grace: float) -> None:
    truth = Truth()
    stays(truth, 0, 5, code)
    assert truth.is_wrong("ada", 5 + grace - 1.5)
    assert not truth.is_wrong("ada", 5 + grace)
    assert not truth.is_wrong("ada", 100)


def test_a_visitor_who_moves_within_the_grace_has_not_left() -> None:
    truth = Truth()
    stays(truth, 0, 5)
    stays(truth, 5.8)
    assert truth.is_wrong("ada", 5.9)
    assert truth.is_wrong("ada", 7)


def test_a_visitor_who_came_back_after_the_grace_was_away_until_then() -> None:
    truth = Truth()
    stays(truth, 0, 5)
    stays(truth, 10)
    assert not truth.is_wrong("ada", 9)
    assert not truth.is_wrong("ada", 11)
    assert truth.is_wrong("ada", 13)


def test_a_leave_during_a_fault_may_be_told_after_it() -> None:
    truth = Truth()
    stays(truth, 0, 5)
    stays(truth, 10)
    truth.fault_began, truth.excused_until = 4, 20
    assert not truth.is_wrong("ada", 19)
    assert truth.is_wrong("ada", 20)


def test_a_user_who_was_never_here_is_not_expected_to_be_seen() -> None:
    truth = Truth()
    assert not truth.is_wrong("ada", 1)
    assert truth.must_see(1) == truth.may_see(1) == set()


def test_pages_have_a_while_to_show_who_came_and_left() -> None:
    truth = Truth()
    stay = truth.comes("ada")
    assert (truth.must_see(0), truth.may_see(0)) == (set(), {"ada"})
    stay.live(0)
    assert (truth.must_see(1), truth.may_see(1)) == (set(), {"ada"})
    assert (truth.must_see(3), truth.may_see(3)) == ({"ada"}, {"ada"})
    stay.end(CLOSED, 10)
    assert (truth.must_see(12), truth.may_see(12)) == (set(), {"ada"})
    assert (truth.must_see(15), truth.may_see(15)) == (set(), set())
