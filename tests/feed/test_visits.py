"""Polling pages at the store: their writes, their news and their costs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from random import Random

import pytest

from djust_presence.backends.base import Backend
from djust_presence.backends.memory import MemoryBackend
from djust_presence.backends.redis import RedisBackend
from djust_presence.feed.frames import Wants
from djust_presence.feed.polls import LeaseState, Mark, Times, lease_of
from djust_presence.feed.visits import LONGEST
from djust_presence.keys import opaque_id
from djust_presence.state.records import Join
from tests.feed.polling import LIST, Page

NEVER = Times(
    1000, 0, 1000, 13, 5, 54
)  # no lease expires by itself, and an expired one may be claimed at once
KEYS = ["a", "b", "c"]
USERS = ["ann", "bob", "cy"]
STEPS = 50


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    if request.param == "memory":
        yield MemoryBackend()
        return
    backend = RedisBackend(request.getfixturevalue("valkey_url"), {})
    yield backend
    backend.close()


def meta(name: str) -> str:
    return f'{{"name":"{name}"}}'


class Model:
    """The expected users of each group: those of open pages, and those of lost pages whose lease still lasts."""

    def __init__(self, backend: Backend, seed: int) -> None:
        self.backend = backend
        self.chance = Random(seed)
        self.pages: list[Page] = []
        self.gone: list[dict[str, str]] = []  # of pages that are gone: user in each group
        self.metas = (meta(f"m{n}") for n in itertools.count())

    def users(self, key: str) -> set[str]:
        open_pages = {page.user for page in self.pages if page.rooms.get(key) is not None}
        return open_pages | {rooms[key] for rooms in self.gone if key in rooms}

    def lose(self, page: Page) -> None:
        """Note that the presences of *page* hang on a lease that is no longer renewed."""
        self.gone.append({key: page.user for key, text in page.rooms.items() if text is not None})

    def step(self) -> None:
        some = [self._open, self._poll, self._poll, self._poll, self._join, self._leave, self._update]
        self.chance.choice(
            [*some, self._bye, self._lie, self._drop, self._lose_answer, self._log_out, self._steal]
        )()
        for key in KEYS:
            assert self.backend.snapshots([key])[0].members.keys() == self.users(key)

    def _any(self) -> Page:
        if not self.pages:
            self._open()
        return self.chance.choice(self.pages)

    def _open(self) -> None:
        keys = self.chance.sample(KEYS, self.chance.randint(1, 3))
        rooms = {key: next(self.metas) if self.chance.random() < 0.7 else None for key in keys}
        page = Page(self.backend, self.chance.choice(USERS), rooms, times=NEVER, grace=0.0)
        page.poll()
        self.pages.append(page)
        self._is_right(page)

    def _poll(self) -> None:
        page = self._any()
        if self.chance.random() < 0.3:
            self.gone.clear()
            page.poll(reaps=True)
        else:
            page.poll()
        self._is_right(page)

    def _is_right(self, page: Page) -> None:
        assert page.state
        assert page.state.joined == {key for key, text in page.rooms.items() if text is not None}
        for key in page.rooms:
            assert page.shown[key]["count"] == len(self.users(key))
            members = self.backend.snapshots([key])[0].members
            assert sorted(page.names(key)) == sorted(one.meta[9:-2] for one in members.values())

    def _join(self) -> None:
        page = self._any()
        page.rooms[self.chance.choice(KEYS)] = next(self.metas) if self.chance.random() < 0.7 else None
        page.poll()
        self._is_right(page)

    def _leave(self) -> None:
        page = self._any()
        if page.rooms:
            page.poll(self.chance.choice([*page.rooms]))
            self._is_right(page)

    def _update(self) -> None:
        page = self._any()
        page.rooms = {key: text and next(self.metas) for key, text in page.rooms.items()}
        page.poll()
        self._is_right(page)

    def _bye(self) -> None:
        page = self._any()
        self.pages.remove(page)
        self.lose(page)
        page.bye(grace=0)

    def _log_out(self) -> None:
        page = self._any()
        self.pages.remove(page)
        page.log_out()

    def _begin_again(self, page: Page) -> None:
        """Poll as a page that the server does not know: it is told to begin again."""
        self.lose(page)
        begun = page.begun
        page.poll()
        assert page.begun == begun + 1
        self._is_right(page)

    def _lie(self) -> None:
        page = self._any()
        assert page.state
        page.state = page.state._replace(seq=page.state.seq + self.chance.choice([-1, 1, 9]))
        self._begin_again(page)

    def _drop(self) -> None:
        """It goes on without a room, and does not say that it has left it."""
        page = self._any()
        if tracked := [key for key, text in page.rooms.items() if text is not None]:
            key = self.chance.choice(tracked)
            self.lose(page)
            page.rooms = {other: text for other, text in page.rooms.items() if other != key}
            page.poll()
            self._is_right(page)

    def _lose_answer(self) -> None:
        page = self._any()
        before = page.state, dict(page.marks)
        page.rooms[self.chance.choice(KEYS)] = next(self.metas)
        page.poll()
        page.state, page.marks = before
        self._begin_again(page)

    def _steal(self) -> None:
        """Somebody polls with the page id of another."""
        page = self._any()
        thief = Page(self.backend, "thief", dict.fromkeys(page.rooms), times=NEVER, id=page.id)
        thief.poll()
        thief.bye()
        thief.log_out()
        page.poll()
        self._is_right(page)


@pytest.mark.parametrize("seed", range(8))
def test_pages_are_told_what_the_store_knows_whatever_they_do(backend: Backend, seed: int) -> None:
    model = Model(backend, seed)
    for _ in range(STEPS):
        model.step()


def test_a_page_counts_itself_at_once(backend: Backend) -> None:
    page = Page(backend, "ann", {"a": meta("Ann")})
    news = page.poll()
    assert news["a"]["count"] == 1
    assert news["a"]["me"] == opaque_id("a", "ann")
    assert page.names("a") == ["Ann"]


def test_a_first_poll_whose_answer_was_lost_begins_again(backend: Backend) -> None:
    page = Page(backend, "ann", {"a": meta("Ann")})
    page.poll()
    page.state, page.marks = None, {}
    page.poll()
    assert page.begun == 1
    assert page.names("a") == ["Ann"]


def test_a_room_in_which_nothing_has_changed_is_not_in_the_answer(backend: Backend) -> None:
    page = Page(backend, "ann", {"a": meta("Ann"), "b": None})
    assert page.poll().keys() == {"a", "b"}
    assert page.poll() == {}
    Page(backend, "bob", {"a": meta("Bob")}).poll()
    assert page.poll().keys() == {"a"}
    assert page.names("a") == ["Ann", "Bob"]


def test_another_meta_is_an_update(backend: Backend) -> None:
    page = Page(backend, "ann", {"a": meta("Ann")})
    page.poll()
    before = backend.snapshots(["a"])[0]
    page.rooms["a"] = meta("Anna")
    page.poll()
    after = backend.snapshots(["a"])[0]
    assert after.members["ann"] == before.members["ann"]._replace(meta=meta("Anna"))


def test_a_page_that_begins_to_watch_only_is_present_no_longer(backend: Backend) -> None:
    page = Page(backend, "ann", {"a": meta("Ann")})
    page.poll()
    page.rooms["a"] = None
    assert page.poll()["a"]["count"] == 0
    assert "me" not in Page(backend, "ann", {"a": None}).poll()["a"]


def test_a_page_that_only_counts_gets_no_names_and_one_that_takes_part_gets_nothing(backend: Backend) -> None:
    Page(backend, "ann", {"a": meta("Ann")}).poll()
    counts = Page(backend, "bob", {"a": None}, Wants(number=True))
    assert counts.poll()["a"].keys() == {"count", "tag"}
    quiet = Page(backend, "cy", {"a": meta("Cy")}, Wants())
    assert quiet.poll()["a"].keys() == {"tag", "me"}
    assert counts.poll()["a"]["count"] == 2
    assert quiet.poll() == {}


def test_a_page_that_asks_for_some_gets_these(backend: Backend) -> None:
    for user in USERS:
        Page(backend, user, {"a": meta(user)}).poll()
    some = frozenset({opaque_id("a", "bob"), opaque_id("a", "nobody"), opaque_id("b", "cy")})
    page = Page(backend, "dee", {"a": None}, Wants(some=some, fields=frozenset({"name"})))
    assert page.poll()["a"]["count"] == 3
    assert page.names("a") == ["bob"]


def test_other_wants_are_answered_at_once(backend: Backend) -> None:
    page = Page(backend, "ann", {"a": meta("Ann")}, Wants(number=True))
    page.poll()
    page.wants = LIST
    assert page.poll()["a"]["members"]


def test_a_list_of_very_many_is_cut_but_for_the_page_itself(backend: Backend) -> None:
    backend.open("crowd", 1000)
    backend.write(
        "crowd",
        [
            Join(n, "a", f"r{n}", f"u{n}", "{}", "e", f"t{n}", joined_at=float(n))
            for n in range(1, LONGEST + 11)
        ],
    )
    page = Page(backend, "ann", {"a": meta("Ann")})
    news = page.poll()["a"]
    assert (news["count"], news["partial"], len(news["members"])) == (LONGEST + 11, True, LONGEST + 1)
    assert news["members"][0]["id"] == opaque_id("a", "u1")
    assert news["members"][-1]["id"] == news["me"]


def test_a_page_that_shows_a_list_with_others_is_in_company(backend: Backend) -> None:
    def company(page: Page) -> bool:
        page.poll()
        return page.marks["a"].in_company

    ann = Page(backend, "ann", {"a": meta("Ann")})
    assert not company(ann)
    assert company(Page(backend, "bob", {"a": None}))
    Page(backend, "cy", {"a": meta("Cy")}).poll()
    assert company(ann)
    assert not company(Page(backend, "dee", {"a": meta("Dee")}, Wants(number=True)))


def test_the_state_of_a_page_comes_back_as_it_was_signed() -> None:
    state = LeaseState(7, lease_of("p" * 22, "ann"), frozenset({"one", "two"}))
    assert LeaseState.read(state.sign()) == state
    assert LeaseState.read(state._replace(joined=frozenset()).sign()) == state._replace(joined=frozenset())
    assert LeaseState.read(state.sign().replace("7", "8", 1)) is None
    assert LeaseState.read("7") is None


@pytest.mark.parametrize("text", ["", "x", "a:b", ":::", "a:b:c:d:e", "t:j:w:+"])
def test_any_text_is_a_mark(text: str) -> None:
    assert Mark.read(Mark.read(text).text) == Mark.read(text)
