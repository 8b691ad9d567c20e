"""A page's view of its group, and the news that it is told, call by call."""

from __future__ import annotations

from typing import Any

from djust_presence.state.audience import Audience, Intent, Refresh, Viewer, overlay
from djust_presence.state.events import Event
from djust_presence.state.outbox import Wish
from djust_presence.state.records import Member, Place, Snapshot, Step
from djust_presence.state.replica import Replica

from .groups import HOLD, answered, change, showing, snapshot

ADA, BOB = Member(1, 1.0, "a"), Member(1, 2.0, "b")
TWO = ADA._replace(connections=2)
JOIN = Step("bob", None, BOB)
WAVE = Event.of("wave", None)


def intent(user: str, meta: str = "m", ref: str = "r") -> Intent:
    return Intent(ref, Wish("g", user, meta), True, 5.0)


def page(user: str = "", meta: str = "m", ref: str = "r", *, confirmed: bool = False) -> Viewer:
    """A page that is present as *user*, or only watches."""
    one = Viewer()
    if user:
        want(one, user, meta, ref)
    if confirmed:
        one.submitted = one.confirmed = one.wanted
    return one


def want(one: Viewer, user: str, meta: str = "m", ref: str = "r", key: str = "g") -> Intent:
    """Let it be present as *user*; return as whom it is."""
    one.want(Wish(key, user, meta), True, ref, 5.0)
    assert one.wanted
    return one.wanted


def group(*pages: Viewer, **members: Member) -> Audience[Viewer]:
    """The audience of a group of *members*, in which *pages* are live and up to date."""
    audience = Audience[Viewer]("g", showing(**members))
    for one in pages:
        audience.add(one)
        one.take()
    return audience


def unknown() -> Audience[Viewer]:
    return Audience("g", Replica(HOLD))


def learn(audience: Audience[Any], **members: Member) -> list[Step]:
    """Let the snapshot of its group reach *audience*."""
    assert audience.replica.asks
    audience.replica.asked()
    return audience.receive(Snapshot(Place("E", 1, "E1"), members), 0.0)


# The overlay


def test_a_page_that_counts_as_it_wants_sees_what_was_said_last() -> None:
    assert overlay({"ada": ADA}, intent("ada"), intent("ada")) == {"ada": ADA}


def test_a_page_sees_itself_before_it_counts() -> None:
    members = {"bob": BOB}
    assert overlay(members, None, intent("ada")) == {"bob": BOB, "ada": Member(1, 5.0, "m")}
    assert members == {"bob": BOB}


def test_a_second_page_sees_one_connection_more() -> None:
    assert overlay({"ada": ADA}, None, intent("ada")) == {"ada": Member(2, 1.0, "m")}


def test_another_meta_is_not_another_connection() -> None:
    assert overlay({"ada": ADA}, intent("ada", "a"), intent("ada")) == {"ada": Member(1, 1.0, "m")}


def test_a_page_that_leaves_does_not_see_itself() -> None:
    assert overlay({"ada": ADA, "bob": BOB}, intent("ada"), None) == {"bob": BOB}


def test_the_first_of_two_pages_that_leaves_sees_the_other() -> None:
    assert overlay({"ada": TWO}, intent("ada"), None) == {"ada": ADA}


def test_a_page_that_leaves_need_not_be_listed() -> None:
    assert overlay({"bob": BOB}, intent("ada"), None) == {"bob": BOB}


def test_a_page_that_becomes_somebody_else_is_no_longer_who_it_was() -> None:
    assert overlay({"ada": ADA}, intent("ada"), intent("bob", ref="s")) == {"bob": Member(1, 5.0, "m")}


def test_a_page_that_goes_on_under_another_ref_is_one_connection() -> None:
    seen = overlay({"ada": TWO}, intent("ada"), intent("ada", ref="s"))
    assert seen == {"ada": Member(2, 1.0, "m")}


# Wishes


def test_another_user_or_group_is_wanted_under_another_ref() -> None:
    one = page("ada")
    assert want(one, "bob", ref="s") == Intent("s", Wish("g", "bob", "m"), True, 5.0)
    assert want(one, "bob", ref="t", key="h").ref == "t"


def test_the_same_user_keeps_their_ref_and_their_time() -> None:
    one = page("ada")
    one.want(Wish("g", "ada", "n"), False, "s", 6.0)
    assert one.wanted == Intent("r", Wish("g", "ada", "n"), False, 5.0)


def test_a_meta_that_is_shown_is_not_said_once_more() -> None:
    one = page("ada", "a", confirmed=True)
    group(one, ada=ADA)
    assert want(one, "ada", "a") == intent("ada", "a")


def test_a_meta_that_another_page_has_covered_is_said_once_more() -> None:
    one = page("ada", confirmed=True)
    group(one, ada=TWO)
    assert want(one, "ada").wish.nth == 1
    assert want(one, "ada").wish.nth == 1  # which is not confirmed


def test_another_meta_is_said_for_the_first_time() -> None:
    one = page("ada", confirmed=True)
    group(one, ada=TWO)
    assert want(one, "ada", "n") == intent("ada", "n")


def test_a_meta_is_not_covered_where_its_user_is_not_known() -> None:
    one = page("ada", confirmed=True)
    assert want(one, "ada").wish.nth == 0
    group(one)
    assert want(one, "ada").wish.nth == 0


def test_a_page_goes_on_as_the_one_before_it() -> None:
    before, after = page("ada"), page("ada", "n", "s")
    before.submitted = intent("ada")._replace(wish=Wish("g", "ada", "m", 3))
    before.confirmed = intent("ada", "a")
    after.go_on_as(before)
    assert (after.submitted, after.confirmed) == (before.submitted, before.confirmed)
    assert after.wanted == Intent("r", Wish("g", "ada", "n", 3), True, 5.0)


def test_only_a_present_page_goes_on_as_another_page() -> None:
    watcher, one = page(), page("ada", ref="s")
    watcher.go_on_as(page("ada", confirmed=True))
    one.go_on_as(page("ada"))
    assert (watcher.wanted, watcher.submitted) == (None, None)
    assert (one.wanted, one.submitted) == (intent("ada", ref="s"), None)


def test_a_confirmed_member_may_differ_once() -> None:
    one = page("ada")
    one.submitted = one.wanted
    one.confirm()
    assert (one.confirmed, one.stale) == (intent("ada"), True)
    one.take()
    one.confirm()
    assert not one.stale


# Reads


def test_a_page_of_a_known_group_is_served_from_memory() -> None:
    one, another, third = page("ada"), page(), page()
    group(one, bob=BOB)
    unknown().add(another)
    assert [one.served, another.served, third.served] == [True, False, False]
    assert one.members() == {"bob": BOB, "ada": Member(1, 5.0, "m")}
    assert one.count() == 2
    assert not one.blind


def test_a_confirmed_presence_counts_once() -> None:
    one = page("ada", "a", confirmed=True)
    group(one, ada=ADA, bob=BOB)
    assert (one.members(), one.count()) == ({"ada": ADA, "bob": BOB}, 2)
    one.wanted = None
    assert (one.members(), one.count()) == ({"bob": BOB}, 1)
    want(one, "bob", ref="s")
    assert (one.members(), one.count()) == ({"bob": Member(2, 2.0, "m")}, 1)


def test_a_mount_reads_what_it_has_looked_at() -> None:
    one = page("ada")
    audience = group(bob=BOB)
    audience.look(one)
    audience.apply(change(2, eve=ADA), 0.0)
    assert (set(one.members()), one.count(), one.blind) == ({"ada", "bob"}, 2, False)


def test_a_page_of_an_unknown_group_sees_itself_alone() -> None:
    one, another, third = page("ada"), page("ada"), page("ada")
    audience = unknown()
    audience.add(another)
    audience.add(third)
    for reads in (one, another):
        assert (set(reads.members()), reads.blind) == ({"ada"}, True)
    assert (third.count(), third.blind) == (1, True)


def test_news_are_taken_once() -> None:
    one = page()
    audience = group(one)
    audience.apply(change(1, bob=BOB), 0.0)
    audience.flush()
    assert one.take() == Refresh([JOIN])
    assert (one.take(), one.stale) == (Refresh([]), False)


# Pages that come


def test_a_page_is_not_told_what_it_has_seen_already() -> None:
    mount, live = page(), page()
    audience = group(page())
    audience.apply(change(1, bob=BOB), 0.0)
    audience.look(mount)
    audience.add(live)
    audience.flush()
    assert (mount.baseline, mount.pending, live.pending) == ({"bob": BOB}, [], [])


def test_a_mount_is_told_what_happens_after_its_look() -> None:
    one = page()
    audience = group()
    audience.look(one)
    audience.apply(change(1, bob=BOB), 0.0)
    audience.add(one)
    assert audience.flush() == [one]
    assert one.take() == Refresh([JOIN])


def test_a_page_with_news_of_its_mount_asks_for_a_refresh() -> None:
    class Page(Viewer):
        asked = False

        def refresh(self) -> None:
            self.asked = True

    one = Page()
    audience = Audience[Page]("g", showing())
    audience.look(one)
    audience.apply(change(1, bob=BOB), 0.0)
    audience.add(one)
    assert one.asked


def test_a_watcher_that_has_just_looked_is_up_to_date() -> None:
    one = page()
    audience = group(bob=BOB)
    audience.look(one)
    audience.add(one)
    assert audience.flush() == []


def test_a_watcher_that_has_not_looked_is_refreshed() -> None:
    one = page()
    audience = group(bob=BOB)
    audience.add(one)
    assert audience.flush() == [one]


def test_a_page_is_refreshed_by_its_own_join() -> None:
    one = page("ada")
    audience = group(bob=BOB)
    audience.add(one)
    assert audience.flush() == []


def test_a_page_that_read_an_unknown_group_is_refreshed_once() -> None:
    one, another = page("ada"), page("bob")
    one.members()
    audience = group()
    audience.add(one)
    audience.add(another)
    assert (audience.flush(), one.blind) == ([one], False)


def test_a_page_that_waits_for_its_group_is_refreshed_when_it_is_known() -> None:
    live, mount, joined = page(), page(), page("ada")
    audience = unknown()
    audience.add(live)
    audience.add(joined)
    audience.look(mount)
    assert (audience.flush(), mount.baseline) == ([], None)
    assert learn(audience, bob=BOB) == []
    assert (audience.flush(), mount.baseline) == ([live], {"bob": BOB})


def test_members_of_the_first_snapshot_are_not_told_to_pages_that_show_them() -> None:
    live, mount = page(), page()
    audience = unknown()
    audience.add(live)
    audience.look(mount)
    audience.replica.asked()
    audience.apply(change(2, bob=BOB), 0.0)
    assert audience.receive(snapshot(1, ada=ADA), 0.0) == [JOIN]
    audience.flush()
    assert (live.pending, mount.pending) == ([], [])
    assert mount.baseline == {"ada": ADA, "bob": BOB}


def test_a_later_snapshot_is_news() -> None:
    one = page()
    audience = group(one)
    audience.replica.ask()
    assert learn(audience, bob=BOB) == [JOIN]
    assert audience.flush() == [one]
    assert one.take() == Refresh([JOIN])


def test_a_page_that_moves_is_not_counted_where_it_comes_from() -> None:
    one, another = page("ada", confirmed=True), page("ada", confirmed=True)
    want(one, "ada", ref="s", key="h")
    audience = Audience[Viewer]("h", showing(ada=ADA))
    audience.add(one)
    assert (one.confirmed, one.members()) == (None, {"ada": Member(2, 1.0, "m")})
    group(another, ada=ADA)
    assert another.confirmed == intent("ada")


def test_a_page_that_is_removed_is_told_nothing() -> None:
    one = page()
    audience = group(one)
    audience.remove(one)
    audience.apply(change(1, bob=BOB), 0.0)
    assert (audience.flush(), audience.news, one.pending, one.served) == ([], [], [], False)


# News


def test_news_without_pages_are_not_kept() -> None:
    audience = group()
    assert audience.apply(change(1, bob=BOB), 0.0) == [JOIN]
    assert audience.news == []


def test_every_page_is_told_of_each_step_in_order() -> None:
    live, mount = page(), page()
    audience = group(live)
    audience.look(mount)
    audience.apply(change(1, bob=BOB), 0.0)
    audience.wrote(change(2, bob=None), 0.0)
    assert audience.flush() == [live]
    assert live.pending == mount.pending == [JOIN, Step("bob", BOB, None)]
    assert (live.stale, mount.stale) == (True, True)


def test_a_mount_alone_is_told() -> None:
    one = page()
    audience = group()
    audience.look(one)
    audience.apply(change(1, bob=BOB), 0.0)
    audience.flush()
    assert one.pending == [JOIN]


def test_a_broadcast_is_for_listeners() -> None:
    listener, deaf = page(), page()
    audience = group(listener, deaf)
    audience.happened(WAVE)
    assert audience.flush() == []
    listener.listens = True
    audience.happened(WAVE)
    assert audience.flush() == [listener]
    audience.apply(change(1, bob=BOB), 0.0)
    assert audience.flush() == [listener, deaf]
    assert (listener.take(), deaf.take()) == (Refresh([WAVE, JOIN]), Refresh([JOIN]))


def test_a_broadcast_that_no_view_handles_is_not_kept() -> None:
    for audience in (group(), group(page())):
        audience.happened(WAVE)
        assert audience.news == []


def test_a_broadcast_alone_is_news() -> None:
    one = page()
    audience = group(one)
    one.listens = True
    audience.happened(WAVE)
    assert audience.flush() == [one]


def test_without_stale_sessions_there_is_nothing_to_refresh() -> None:
    one, another = page(), page()
    audience = group(one, another)
    another.refresh()
    assert audience.flush() == [another]


# Pages aside


def aside(user: str = "") -> Viewer:
    """A page that is told otherwise."""
    one = page(user)
    one.aside = True
    return one


def test_a_page_aside_is_not_told() -> None:
    one, mount = aside(), page()
    audience = group(one)
    audience.apply(change(1, bob=BOB), 0.0)
    assert audience.news == []
    audience.look(mount)
    audience.apply(change(2, bob=None), 0.0)
    assert (audience.flush(), one.pending, one.served) == ([], [], True)


def test_a_page_aside_is_refreshed_when_its_group_is_known() -> None:
    watcher, joined = aside(), aside("ada")
    audience = unknown()
    audience.add(watcher)
    audience.add(joined)
    learn(audience, bob=BOB)
    assert (watcher.stale, joined.stale) == (True, False)


def test_a_group_is_empty_without_pages_of_any_kind() -> None:
    audience = group()
    assert audience.empty
    one, another, mount = page(), aside(), page()
    for live in (one, another):
        audience.add(live)
        assert (audience.empty, list(audience.live)) == (False, [live])
        audience.remove(live)
        assert audience.empty
    audience.look(mount)
    assert (audience.empty, list(audience.live)) == (False, [])


# What the replica shows


def test_an_answered_write_is_shown_when_the_replica_has_come_as_far() -> None:
    audience = group(ada=ADA)
    audience.wrote(change(3, eve=BOB), 0.0)  # with one in between that has not arrived
    assert not audience.shows(None)
    audience.apply(change(2, bob=BOB), 0.0)
    assert not audience.shows(None)
    answered(audience.replica, snapshot(3, ada=ADA, bob=BOB, eve=BOB))
    assert audience.shows(intent("eve"))


def test_a_replica_that_catches_up_shows_more_than_was_written() -> None:
    audience = group(ada=ADA)
    audience.wrote(change(2, bob=BOB), 0.0)
    audience.apply(change(9, eve=BOB), 0.0)
    assert audience.shows(intent("bob"))
    audience.replica.asked()
    audience.receive(snapshot(9, ada=ADA, bob=BOB, eve=BOB), 0.0)
    audience.apply(change(11, eve=None), 0.0)
    assert audience.shows(intent("bob"))


def test_a_write_in_another_life_of_the_group_is_not_shown_yet() -> None:
    audience = group(ada=ADA)
    audience.wrote(change(1, life="F", bob=BOB), 0.0)
    assert not audience.shows(None)


def test_a_replica_that_misses_nothing_shows_whatever_was_written() -> None:
    assert group(ada=ADA).shows(intent("ada"))


def test_an_unsure_replica_shows_nothing_for_certain() -> None:
    audience = group(ada=ADA)
    audience.wrote(change(2, bob=BOB), 0.0)
    audience.replica.ask_anew()
    assert not audience.shows(None)


def test_a_user_who_is_not_listed_is_not_shown() -> None:
    audience = group(ada=ADA)
    assert audience.shows(None)
    assert not audience.shows(intent("bob"))


def test_a_mount_hears_broadcasts_from_its_look_on() -> None:
    audience, mount = group(), page()
    mount.listens = True
    audience.look(mount)
    audience.happened(WAVE)
    audience.add(mount)
    assert audience.flush() == [mount]
    assert mount.take() == Refresh([WAVE])


def test_news_of_a_group_are_none_in_another() -> None:
    mount, before, other = page(), group(ada=ADA), Audience[Viewer]("h", showing())
    before.look(mount)
    before.apply(change(2, bob=BOB), 0.0)
    before.flush()
    assert mount.pending
    other.add(mount)
    assert mount.pending == []
