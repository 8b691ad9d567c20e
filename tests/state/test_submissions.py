"""Which wishes of a page reach the outbox, when they are confirmed, and who stays for a grace."""

from __future__ import annotations

from itertools import count

from djust_presence.state.audience import Audience, Viewer
from djust_presence.state.outbox import Wish
from djust_presence.state.replica import Replica
from djust_presence.state.submissions import FOREVER, Submissions

from .groups import HOLD
from .test_outbox import Teller

GRACE = 2.0


class Pages:
    """The pages of a process in one group, and the store that is told of them."""

    def __init__(self) -> None:
        self.teller = Teller()
        self.outbox = self.teller.outbox
        self.audience = Audience[Viewer]("g", Replica(HOLD))
        self.submissions = Submissions(self.outbox)
        self._refs = map("ref {}".format, count())

    def learn(self) -> None:
        self.audience.replica.asked()
        self.audience.receive(self.teller.store.snapshot("g"), 0.0)

    def want(self, page: Viewer, user: str, meta: str = "m", lasting: bool = True) -> None:
        page.want(Wish("g", user, meta), lasting, next(self._refs), 0.0)

    def mount(self, user: str, meta: str = "m", lasting: bool = True) -> Viewer:
        page = Viewer()
        if user:
            self.want(page, user, meta, lasting)
        return page

    def open(self, user: str, meta: str = "m", lasting: bool = True) -> Viewer:
        page = self.mount(user, meta, lasting)
        self.audience.add(page)
        self.submissions.submit(page)
        return page

    def be(self, page: Viewer, user: str, meta: str = "m", lasting: bool = True) -> None:
        """Let *page* become another user, or none."""
        if user:
            self.want(page, user, meta, lasting)
        else:
            page.wanted = None
        self.submissions.submit(page)

    def close(self, page: Viewer, grace: float = 0.0, now: float = 0.0) -> None:
        self.audience.remove(page)
        self.submissions.end(page, grace, now)

    def tell(self, limit: int = 9) -> None:
        """Let the store answer one batch, and settle."""
        if batch := self.outbox.next(limit):
            for change in self.outbox.answer(batch, self.teller.run(batch)).changes:
                self.audience.wrote(change, 0.0)
        self.submissions.settle()

    def rest(self) -> None:
        """Let the store answer everything."""
        while self.outbox.next(9):
            self.tell()

    @property
    def wished(self) -> list[str]:
        return [wish.user for wish in self.outbox.wanted.values()]


def known() -> Pages:
    """Pages that know their group, under a lease."""
    pages = Pages()
    pages.learn()
    pages.tell()
    return pages


# Submitting


def test_a_wish_waits_until_the_others_are_known() -> None:
    pages = Pages()
    ada = pages.open("ada")
    assert (pages.wished, ada.submitted) == ([], None)
    pages.learn()
    pages.submissions.submit(ada)
    assert (pages.wished, ada.submitted) == (["ada"], ada.wanted)


def test_a_page_that_watches_submits_nothing() -> None:
    pages = known()
    assert pages.open("").submitted is None
    assert pages.wished == []


def test_a_submitted_wish_is_not_submitted_again() -> None:
    pages = known()
    ada = pages.open("ada")
    pages.rest()
    pages.submissions.submit(ada)
    assert ada.wanted
    assert pages.outbox.settled(ada.wanted.ref)
    assert pages.outbox.next(9) is None


def test_another_meta_goes_under_the_same_ref() -> None:
    pages = known()
    ada = pages.open("ada")
    pages.rest()
    pages.be(ada, "ada", "n")
    assert list(pages.outbox.wanted.values()) == [Wish("g", "ada", "n")]
    assert ada.submitted == ada.wanted


def test_a_page_that_becomes_somebody_else_leaves_first() -> None:
    pages = known()
    ada = pages.open("ada")
    pages.be(ada, "bob")
    assert (pages.wished, ada.submitted) == (["bob"], ada.wanted)


def test_a_visitor_who_no_longer_wants_to_be_present_leaves() -> None:
    pages = known()
    ada = pages.open("ada")
    pages.be(ada, "")
    assert (pages.wished, ada.submitted) == ([], None)


def test_after_a_clean_stop_a_page_that_stays_is_submitted_again() -> None:
    pages = known()
    ada = pages.open("ada")
    pages.rest()
    pages.outbox.retire(pages.submissions.retire())
    pages.submissions.submit(ada)
    assert pages.wished == ["ada"]


# Settling


def test_a_presence_is_confirmed_when_the_store_has_answered() -> None:
    pages = known()
    ada = pages.open("ada")
    pages.submissions.settle()
    assert ada.confirmed is None
    pages.tell()
    assert (ada.confirmed, ada.stale) == (ada.wanted, True)


def test_a_presence_is_confirmed_when_the_replica_shows_it() -> None:
    pages = known()
    ada = pages.open("ada")
    pages.audience.replica.ask_anew()
    pages.tell()
    assert ada.confirmed is None
    pages.learn()
    pages.submissions.settle()
    assert ada.confirmed == ada.wanted


def test_a_presence_is_not_confirmed_while_its_user_is_not_shown() -> None:
    pages = known()
    ada = pages.open("ada")
    if batch := pages.outbox.next(9):
        pages.outbox.answer(batch, pages.teller.run(batch))  # and the Change has not reached the replica
    pages.submissions.settle()
    assert ada.confirmed is None


def test_a_page_is_confirmed_once() -> None:
    pages = known()
    ada = pages.open("ada")
    pages.tell()
    ada.take()
    ada.confirmed = None
    pages.submissions.settle()
    assert not ada.stale


def test_the_end_of_a_presence_is_confirmed() -> None:
    pages = known()
    ada = pages.open("ada")
    pages.tell()
    pages.be(ada, "")
    pages.submissions.settle()
    assert ada.confirmed is not None
    pages.tell()
    assert ada.confirmed is None


def test_a_page_that_is_no_longer_in_its_group_is_confirmed_by_the_answer() -> None:
    pages = known()
    ada = pages.open("ada")
    pages.tell()
    pages.audience.remove(ada)
    pages.be(ada, "")
    pages.tell()
    assert ada.confirmed is None


def test_a_page_that_became_somebody_else_is_confirmed_when_both_are_answered() -> None:
    pages = known()
    ada = pages.open("ada")
    pages.tell()
    before = ada.confirmed
    pages.be(ada, "bob")
    pages.tell(limit=1)
    assert ada.confirmed == before
    pages.tell(limit=1)
    assert ada.confirmed == ada.wanted


def test_a_page_that_became_somebody_else_before_the_answer_is_confirmed_as_that() -> None:
    pages = known()
    ada = pages.open("ada")
    pages.be(ada, "bob")
    pages.tell()
    assert ada.confirmed == ada.wanted


# Ends


def test_a_page_that_was_not_submitted_ends_without_a_trace() -> None:
    pages = Pages()
    pages.close(pages.open("ada"), GRACE)
    assert (pages.wished, pages.submissions.due) == ([], FOREVER)


def test_without_a_grace_a_user_leaves_at_once() -> None:
    pages = known()
    pages.close(pages.open("ada"))
    assert (pages.wished, pages.submissions.due) == ([], FOREVER)


def test_a_presence_that_cannot_come_back_leaves_at_once() -> None:
    pages = known()
    pages.close(pages.open("ada", lasting=False), GRACE)
    assert pages.wished == []


def test_a_visitor_who_wanted_to_leave_has_no_grace() -> None:
    pages = known()
    ada, bob = pages.open("ada"), pages.open("bob")
    ada.wanted = None
    pages.want(bob, "eve")
    pages.close(ada, GRACE)
    pages.close(bob, GRACE)
    assert pages.wished == []


def test_a_user_stays_for_the_grace() -> None:
    pages = known()
    pages.close(pages.open("ada"), GRACE, 1.0)
    pages.submissions.expire(2.9)
    assert (pages.wished, pages.submissions.due) == (["ada"], 3.0)
    pages.submissions.expire(3.0)
    assert (pages.wished, pages.submissions.due) == ([], FOREVER)


def test_graces_end_one_after_the_other() -> None:
    pages = known()
    for now, user in enumerate(["ada", "bob", "eve"]):
        pages.close(pages.open(user), GRACE, float(now))
    pages.submissions.expire(3.5)
    assert (pages.wished, pages.submissions.due) == (["eve"], 4.0)


# Taking over


def test_after_a_reload_nothing_is_written() -> None:
    pages = known()
    ada = pages.open("ada")
    pages.rest()
    pages.close(ada, GRACE)
    again = pages.mount("ada")
    assert pages.submissions.take_over(again)
    pages.audience.add(again)
    pages.submissions.submit(again)
    assert (again.wanted, again.confirmed) == (ada.wanted, ada.confirmed)
    assert pages.outbox.next(9) is None
    pages.submissions.expire(GRACE)
    assert pages.wished == ["ada"]


def test_nobody_goes_on_as_somebody_else() -> None:
    pages = known()
    pages.close(pages.open("ada"), GRACE)
    bob, watcher = pages.mount("bob"), pages.mount("")
    assert not any(map(pages.submissions.take_over, (bob, watcher)))
    assert bob.submitted is None


def test_an_ended_page_is_taken_over_once() -> None:
    pages = known()
    pages.close(pages.open("ada"), GRACE)
    assert [pages.submissions.take_over(pages.mount("ada")) for _ in range(2)] == [True, False]


def test_nobody_is_taken_over_after_the_grace() -> None:
    pages = known()
    pages.close(pages.open("ada"), GRACE)
    pages.submissions.expire(GRACE)
    assert not pages.submissions.take_over(pages.mount("ada"))


def test_a_page_with_the_same_meta_is_taken_over_first() -> None:
    pages = known()
    first, same = pages.open("ada", "m"), pages.open("ada", "n")
    for one in (first, same):
        pages.close(one, GRACE)
    taking = [pages.mount("ada", "n"), pages.mount("ada", "n")]
    assert all(map(pages.submissions.take_over, taking))
    assert [one.submitted for one in taking] == [same.submitted, first.submitted]


def test_one_of_two_ended_pages_stays_and_the_other_leaves() -> None:
    pages = known()
    first, second = pages.open("ada"), pages.open("ada")
    for one in (first, second):
        pages.close(one, GRACE)
    pages.submissions.take_over(pages.mount("ada"))
    pages.submissions.expire(GRACE)
    assert len(pages.wished) == 1


def test_a_wish_that_is_answered_later_is_confirmed_to_the_page_that_took_over() -> None:
    pages = known()
    ada = pages.open("ada")
    pages.close(ada, GRACE)
    again = pages.mount("ada")
    pages.submissions.take_over(again)
    pages.audience.add(again)
    pages.submissions.submit(again)
    pages.tell()
    assert (ada.confirmed, again.confirmed) == (None, again.wanted)


# A clean stop


def test_a_clean_stop_takes_out_users_who_cannot_come_back() -> None:
    pages = known()
    pages.open("ada")
    guest, gone = pages.open("guest", lasting=False), pages.open("gone", lasting=False)
    pages.close(gone)
    assert guest.wanted
    assert pages.submissions.retire() == (guest.wanted.ref,)
    assert pages.submissions.retire() == ()


def test_a_clean_stop_ends_all_graces() -> None:
    pages = known()
    pages.close(pages.open("ada"), GRACE)
    pages.submissions.retire()
    assert pages.submissions.due == FOREVER
    assert not pages.submissions.take_over(pages.mount("ada"))


def test_the_end_of_a_presence_does_not_confirm_another_one_that_is_not_shown() -> None:
    pages = known()
    ada = pages.open("ada")
    pages.rest()
    before = ada.confirmed
    pages.be(ada, "bob")
    if batch := pages.outbox.next(9):
        pages.outbox.answer(batch, pages.teller.run(batch))  # and the Changes have not reached the replica
    pages.submissions.settle()
    assert ada.confirmed == before


def test_a_presence_per_connection_goes_on_as_the_view_that_was_replaced() -> None:
    pages = known()
    guest = pages.open("guest", lasting=False)
    pages.rest()
    assert guest.submitted
    guest.submitted = guest.submitted._replace(lasting=True)  # the connection is still there
    pages.close(guest, GRACE)
    assert pages.submissions.take_over(pages.mount("guest", lasting=False))


def test_a_presence_that_becomes_lasting_can_come_back_after_a_stop() -> None:
    pages = known()
    page = pages.open("ada", lasting=False)
    pages.be(page, "ada", "n")
    assert pages.submissions.retire() == ()
