"""The rules for telling pages of their groups, each alone, and all of them explored at random."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from math import inf
from typing import Any

import pytest

from djust_presence.feed.frames import Wants
from djust_presence.feed.people import person, shown_count
from djust_presence.feed.sent_states import FIRST_REST, SENDS_PER_TURN, SentStates
from djust_presence.keys import opaque_id
from djust_presence.state.records import Member

KEY = "room"
FIELDS = frozenset({"name"})
OTHER_FIELDS = frozenset({"name", "mood"})
INTERVAL = 0.05
Frame = dict[str, Any]


class Group:
    """The members of a group, as a replica has them."""

    def __init__(self, *users: str) -> None:
        self.members: dict[str, Member] = {}
        for at, user in enumerate(users):
            self.members[user] = member(user, at)

    @property
    def count(self) -> int:
        return len(self.members)

    def member(self, user: str) -> Member | None:
        return self.members.get(user)

    def shown(self) -> Mapping[str, Member]:
        return dict(self.members)


def member(name: str, at: float = 0, mood: int = 0, connections: int = 1) -> Member:
    return Member(connections, at, json.dumps({"name": name, "mood": mood, "secret": at}))


def face(user: str, one: Member, fields: frozenset[str]) -> Frame:
    return person(KEY, user, one, fields)


class Client:
    """A page's script: what it shows by the frames that it has got."""

    def __init__(self, wants: Wants, own: str | None) -> None:
        self.wants = wants
        self.me = own and opaque_id(KEY, own)
        self.frames: list[Frame] = []
        self.people: dict[str, Frame] = {}
        self.count: int | None = None
        self.partial = False
        self.behind = True

    def take(self, text: str) -> None:
        frame = json.loads(text)
        assert frame["type"] == "state" or not self.behind, (
            "the whole state comes first, and after what was missed"
        )
        self.behind = False
        self.frames.append(frame)
        if frame["type"] == "state":
            self.people = {one["id"]: one for one in frame.get("members", [])}
            self.partial = frame.get("partial", False)
        for one in frame.get("joins", []):
            self.people[one["id"]] = one
        for one in frame.get("updates", []):
            assert one["id"] in self.people, "nobody is updated who is not shown"
            self.people[one["id"]] = one
        for gone in frame.get("leaves", []):
            del self.people[gone]
        self.count = frame.get("count", self.count)
        self.partial = frame.get("partial", self.partial)


class Site:
    """The states of pages, their clients, and a clock."""

    def __init__(self, group: Group, longest: int = 500) -> None:
        self.group = group
        self.states: SentStates[str] = SentStates(KEY, group, INTERVAL, longest)
        self.clients: dict[str, Client] = {}
        self.busy: set[str] = set()
        self.now = 0.0
        self.sends: list[tuple[int, str]] = []  # to how many pages

    def open(self, page: str, own: str | None = None, ahead: Member | None = None, **wants: Any) -> Client:
        wanted = Wants(**{"fields": FIELDS, **(wants or {"people": True})})
        self.clients[page] = Client(wanted, own)
        self.states.show(page, wanted, own, ahead)
        return self.clients[page]

    def close(self, page: str) -> None:
        del self.clients[page]
        self.states.remove(page)

    def set(self, user: str, one: Member | None) -> None:
        if one:
            self.group.members[user] = one
        else:
            self.group.members.pop(user, None)
        self.states.moved([user])

    def step(self) -> list[tuple[int, str]]:
        """Send the frames that are due now; return each frame with the number of pages that it went to."""
        self.sends = []
        if self.states.due <= self.now:
            for pages, text in self.states.tell(self.now):
                self.deliver(pages, text)
        return self.sends

    def deliver(self, pages: list[str], text: str) -> None:
        self.sends.append((len(pages), text))
        for page in pages:
            if page in self.busy:
                self.clients[page].behind = True
            else:
                self.clients[page].take(text)
        self.states.missed([page for page in pages if page in self.busy], self.now)

    def rest(self) -> None:
        """Let time pass until there is nothing more to tell."""
        for _ in range(1000):
            if self.states.due == inf:
                return
            self.now = max(self.now, self.states.due)
            self.step()
        raise AssertionError("There is always something to tell.")


def names(client: Client) -> list[str]:
    return sorted(one["name"] for one in client.people.values())


# The rules


def test_a_page_gets_the_whole_state_and_then_what_changes() -> None:
    site = Site(Group("ada"))
    client = site.open("p")
    site.step()
    site.set("bob", member("bob", 5))
    site.step()
    assert client.frames == [
        {
            "type": "state",
            "room": client.frames[0]["room"],
            "count": 1,
            "members": [face("ada", member("ada"), FIELDS)],
        },
        {
            "type": "diff",
            "room": client.frames[0]["room"],
            "count": 2,
            "joins": [face("bob", member("bob", 5), FIELDS)],
        },
    ]


def test_a_frame_is_made_once_for_all_who_see_the_same() -> None:
    site = Site(Group("ada"))
    for number in range(200):
        site.open(f"p{number}")
    assert [size for size, _ in site.step()] == [200]
    site.set("bob", member("bob"))
    site.now += 1
    assert [size for size, _ in site.step()] == [200]


def test_pages_that_may_see_other_fields_get_frames_of_their_own() -> None:
    site = Site(Group("ada"))
    few, more = site.open("few"), site.open("more", people=True, fields=OTHER_FIELDS)
    site.step()
    site.set("ada", member("ada", 0, mood=3))
    site.now += 1
    site.step()
    assert [frame["type"] for frame in few.frames] == ["state"]
    assert [one["mood"] for one in more.people.values()] == [3]
    assert "secret" not in json.dumps([few.frames, more.frames])


def test_a_page_that_is_still_being_sent_to_gets_the_whole_state_when_that_is_over() -> None:
    site = Site(Group("ada"))
    slow, fast = site.open("slow"), site.open("fast")
    site.step()
    site.busy.add("slow")
    for at in range(20):
        site.set(f"u{at}", member(f"u{at}", at))
        site.now += 1
        site.step()
    assert len(slow.frames) == 1
    site.busy.clear()
    site.rest()
    assert [frame["type"] for frame in slow.frames] == ["state", "state"]
    assert slow.people == fast.people


def test_a_visitor_who_comes_and_goes_in_one_interval_is_not_told_of() -> None:
    site = Site(Group("ada"))
    client = site.open("p")
    site.rest()
    site.set("bob", member("bob"))
    site.step()
    site.set("eve", member("eve"))
    site.set("eve", None)
    site.rest()
    assert names(client) == ["ada", "bob"]
    assert len(client.frames) == 2


def test_a_second_tab_is_told_to_nobody() -> None:
    site = Site(Group("ada"))
    client = site.open("p")
    site.rest()
    site.set("ada", member("ada", connections=2))
    site.rest()
    assert len(client.frames) == 1


def test_the_first_news_come_at_once_and_the_next_an_interval_later() -> None:
    site = Site(Group("ada"))
    client = site.open("p")
    site.rest()
    site.now = 10.0
    for at in range(4):
        site.set(f"u{at}", member(f"u{at}"))
        site.step()
        site.now += INTERVAL / 5
    assert len(client.frames) == 2
    assert site.states.due == 10.0 + INTERVAL
    site.rest()
    assert len(client.frames) == 3


def test_a_change_that_concerns_nobody_holds_up_no_other() -> None:
    site = Site(Group("ada"))
    client = site.open("p")
    site.rest()
    site.set("ada", member("ada", connections=2))
    site.step()
    site.set("bob", member("bob"))
    site.step()
    assert names(client) == ["ada", "bob"]


def test_a_page_that_is_tried_again_later_holds_up_no_news() -> None:
    site = Site(Group("ada"))
    site.open("slow")
    client = site.open("fast")
    site.busy.add("slow")
    site.step()
    assert site.states.due == site.now + FIRST_REST
    site.set("bob", member("bob"))
    assert site.states.due <= site.now
    site.step()
    assert names(client) == ["ada", "bob"]


def test_a_slow_page_is_tried_ever_more_seldom() -> None:
    site = Site(Group("ada"))
    site.open("slow")
    site.busy.add("slow")
    times = []
    for _ in range(8):
        site.step()
        times.append(site.states.due - site.now)
        site.now = site.states.due
    assert times == sorted(times)
    assert times[0] < times[-1] == 1.0


def test_whole_states_are_spaced_by_their_size() -> None:
    site = Site(Group(*[f"u{number}" for number in range(400)]))
    site.open("a")
    site.step()
    site.open("b")
    assert site.step() == []
    assert site.states.due == pytest.approx(site.now + 400 / 20_000)
    site.rest()
    assert len(site.clients["b"].people) == 400


def test_a_page_may_want_the_number_and_some_people() -> None:
    site = Site(Group("ada", "bob"))
    some = frozenset(opaque_id(KEY, user) for user in ("ada", "eve", "nobody"))
    client = site.open("p", number=True, some=some)
    site.rest()
    assert (names(client), client.count) == (["ada"], 2)
    site.now += 10
    site.set("eve", member("eve"))
    site.set("bob", None)
    site.rest()
    assert names(client) == ["ada", "eve"]
    assert [frame["type"] for frame in client.frames] == ["state", "diff"]
    assert "count" not in client.frames[1]
    site.set("eve", None)
    site.rest()
    assert (names(client), client.count) == (["ada"], 1)


def test_somebody_is_told_of_only_to_pages_that_ask_for_them() -> None:
    site = Site(Group("ada", "bob"))
    for user in ("ada", "bob", "eve"):
        for number in range(3):
            site.open(f"{user}{number}", some=frozenset({opaque_id(KEY, user)}))
    site.rest()
    site.now += 1
    site.set("eve", member("eve"))
    assert [size for size, _ in site.step()] == [3]


def test_a_page_that_wants_nothing_of_people_is_told_of_none() -> None:
    site = Site(Group("ada"))
    client = site.open("p", number=True)
    site.rest()
    site.now += 10
    site.set("bob", member("bob"))
    site.rest()
    assert [sorted(frame) for frame in client.frames] == [["count", "room", "type"]] * 2


def test_a_long_list_is_cut_and_says_so() -> None:
    site = Site(Group(*[f"u{number}" for number in range(8)]), longest=5)
    client = site.open("p")
    site.rest()
    assert (names(client), client.count, client.partial) == ([f"u{number}" for number in range(5)], 8, True)
    for user in ("u1", "u6", "u7"):
        site.now += 1
        site.set(user, None)
        site.rest()
    assert (names(client), client.count, client.partial) == (["u0", "u2", "u3", "u4", "u5"], 5, False)
    site.now += 1
    site.set("late", member("late", 99))
    site.rest()
    assert (names(client)[0], client.count, client.partial) == ("u0", 6, True)


def test_a_cut_list_has_the_pages_own_person() -> None:
    site = Site(Group(*[f"u{number}" for number in range(8)]), longest=5)
    client, other = site.open("p", own="u7"), site.open("q")
    site.rest()
    assert "u7" in names(client)
    assert "u7" not in names(other)
    site.now += 1
    site.set("u7", member("changed", 7))
    site.rest()
    assert "changed" in names(client)


def test_the_number_goes_out_once_a_second_at_most() -> None:
    site = Site(Group("ada"))
    client = site.open("p", number=True)
    site.rest()
    site.now = 10.0
    for at in range(100):
        site.set(f"u{at}", member(f"u{at}"))
        site.step()
        site.now += 0.05
    site.rest()
    assert client.count == 101
    assert 2 + 4 <= len(client.frames) <= 2 + 6


def test_no_number_goes_out_while_it_reads_the_same() -> None:
    site = Site(Group(*[f"u{number}" for number in range(1200)]))
    client = site.open("p", number=True)
    site.rest()
    for at in range(50):
        site.now += 1
        site.set(f"v{at}", member("v"))
        site.rest()
    assert len(client.frames) == 1
    for at in range(50, 120):
        site.now += 1
        site.set(f"v{at}", member("v"))
        site.rest()
    assert [frame["count"] for frame in client.frames] == [1200, 1300]


def test_many_counters_are_told_less_often() -> None:
    site = Site(Group("ada"))
    for number in range(6000):
        site.open(f"p{number}", number=True)
    site.rest()
    site.now = 10.0
    site.set("bob", member("bob"))
    site.step()
    site.set("eve", member("eve"))
    assert site.states.due == pytest.approx(13.0)


def test_a_counter_opened_during_a_pause_is_right_too() -> None:
    site = Site(Group("ada"))
    site.open("old", number=True)
    site.rest()
    site.now = 10.0
    site.set("bob", member("bob"))
    site.step()
    site.set("eve", member("eve"))  # told only in a second
    new = site.open("new", number=True)
    site.step()
    assert new.count == 3
    site.set("eve", None)
    site.rest()
    assert new.count == site.clients["old"].count == 2


def test_others_get_a_turn_between_many_sends() -> None:
    site = Site(Group("ada"))
    for number in range(3 * SENDS_PER_TURN):
        site.open(f"p{number}")
    assert [size for size, _ in site.step()] == [SENDS_PER_TURN] * 3


def test_a_page_that_the_group_does_not_hold_yet_sees_itself() -> None:
    site = Site(Group("ada"))
    me = member("me", 9)
    client, counter = site.open("p", "me", me), site.open("q", "me", me, number=True)
    site.rest()
    assert (names(client), client.count, counter.count) == (["ada", "me"], 2, 2)
    site.now += 1
    site.set("bob", member("bob"))
    site.rest()
    assert (names(client), client.count, counter.count) == (["ada", "bob", "me"], 3, 3)
    site.set("me", me)
    for page in ("p", "q"):
        site.states.show(page, site.clients[page].wants, "me")
    site.rest()
    assert (names(client), client.count, counter.count) == (["ada", "bob", "me"], 3, 3)


def test_a_page_that_joins_again_is_told_everything_again() -> None:
    site = Site(Group("ada"))
    client = site.open("p")
    site.rest()
    site.states.show("p", client.wants)
    site.rest()
    assert len(client.frames) == 1
    site.states.show("p", Wants(people=True, fields=FIELDS))
    site.rest()
    assert [frame["type"] for frame in client.frames] == ["state", "state"]


# All of them


USERS = [f"u{number}" for number in range(9)]


class Walk:
    """A random walk through all that can happen, between sends too."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.site = Site(Group(*self.random.sample(USERS, 4)), longest=self.random.choice([3, 6, 500]))
        self.at = 100
        self.opened = 0

    def wants(self) -> dict[str, Any]:
        some = frozenset(opaque_id(KEY, user) for user in self.random.sample(USERS, 3))
        return self.random.choice(
            [
                {"people": True},
                {"people": True, "fields": OTHER_FIELDS},
                {"number": True},
                {"some": some},
                {"some": some, "number": True},
                {"some": some, "people": True},
            ]
        )

    def move(self) -> None:
        site, user = self.site, self.random.choice(USERS)
        owned = {client.me for client in site.clients.values()}
        before = site.group.member(user)
        self.at += 1
        match self.random.randrange(5):
            case 0 if before is None:
                site.set(user, member(user, self.at))
            case 1 if before and opaque_id(KEY, user) not in owned:
                site.set(user, None)
            case 2 if before:
                site.set(user, member(user, before.joined_at, self.random.randrange(3)))
            case 3 if before:
                site.set(user, before._replace(connections=before.connections + 1))
            case 4 if before is None:
                site.set(user, member(user, self.random.randrange(100)))

    def open_or_close(self) -> None:
        site = self.site
        if site.clients and self.random.random() < 0.4:
            page = self.random.choice(list(site.clients))
            site.busy.discard(page)
            site.close(page)
            return
        self.opened += 1
        user = self.random.choice([None, *USERS])
        there = user is None or site.group.member(user)
        site.open(f"p{self.opened}", user, None if there else member(user or "", self.at), **self.wants())

    def confirm(self) -> None:
        """A page that was ahead is in the group now."""
        for page, client in self.site.clients.items():
            user = next((one for one in USERS if opaque_id(KEY, one) == client.me), None)
            if user and self.random.random() < 0.5:
                if self.site.group.member(user) is None:
                    self.site.set(user, member(user, self.at))
                self.site.states.show(page, client.wants, user)

    def happen(self) -> None:
        happen = self.random.choices([self.move, self.open_or_close, self.confirm, self.hurry], [6, 2, 1, 1])
        happen[0]()

    def hurry(self) -> None:
        pages = list(self.site.clients)
        self.site.busy ^= set(self.random.sample(pages, min(len(pages), 2)))

    def tell(self) -> None:
        site = self.site
        site.now += self.random.choice([0, 0.01, 0.05, 1.5])
        if site.states.due > site.now:
            return
        for pages, text in site.states.tell(site.now):
            site.deliver(pages, text)
            self.look_at_own(pages)
            if self.random.random() < 0.3:
                self.happen()

    def look_at_own(self, pages: list[str]) -> None:
        for page in pages:
            client = self.site.clients[page]
            if client.frames and client.me and client.wants.people:
                assert client.me in client.people, "one's own presence never blinks"

    def run(self) -> None:
        for _ in range(60):
            self.happen()
            self.tell()
        for page, client in self.site.clients.items():
            if user := next((one for one in USERS if opaque_id(KEY, one) == client.me), None):
                if self.site.group.member(user) is None:
                    self.site.set(user, member(user, self.at))
                self.site.states.show(page, client.wants, user)
        self.site.busy.clear()
        self.site.rest()
        for client in self.site.clients.values():
            self.check(client)

    def check(self, client: Client) -> None:
        group, wants = self.site.group, client.wants
        oldest = sorted(group.members.items(), key=lambda item: (item[1].joined_at, item[0]))
        expected = {
            opaque_id(KEY, user): face(user, one, wants.fields)
            for place, (user, one) in enumerate(oldest)
            if (wants.people and (place < self.site.states._longest or opaque_id(KEY, user) == client.me))
            or opaque_id(KEY, user) in wants.some
        }
        assert client.people == expected
        if wants.people or wants.number:
            assert client.count is not None
            assert shown_count(client.count) == shown_count(group.count)
        if wants.people:
            assert client.partial == (group.count > self.site.states._longest)


@pytest.mark.parametrize("part", range(10))
def test_when_it_is_still_every_page_shows_the_group(part: int) -> None:
    for seed in range(part * 100, part * 100 + 100):
        try:
            Walk(seed).run()
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
