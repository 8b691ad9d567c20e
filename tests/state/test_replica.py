"""A process's copy of a group, whatever reaches it, and in whatever order."""

from __future__ import annotations

import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from djust_presence.state.records import NOWHERE, Change, Join, Leave, Member, Op, Place, Snapshot, Step
from djust_presence.state.replica import LIVES, Replica
from djust_presence.state.store import Store

from .groups import HOLD, NOTHING, answered, change, showing, snapshot

ADA, BOB = Member(1, 1.0, "{}"), Member(1, 2.0, "{}")


# Changes


def test_nothing_is_told_before_the_first_snapshot() -> None:
    replica = Replica(HOLD)
    assert replica.apply(change(1, ada=ADA), 0.0) == []
    assert (replica.ready, replica.count) == (False, 0)
    assert answered(replica, snapshot(1, ada=ADA)) == []
    assert replica.shown() == {"ada": ADA}


def test_a_change_that_follows_is_taken_in_at_once() -> None:
    replica = showing(ada=ADA)
    assert replica.apply(change(2, bob=BOB), 0.0) == [Step("bob", None, BOB)]
    assert (replica.count, replica.member("bob"), replica.asks) == (2, BOB, False)
    assert replica.apply(change(3, ada=None), 0.0) == [Step("ada", ADA, None)]


def test_an_update_is_a_step_and_no_coming() -> None:
    replica = showing(ada=ADA, bob=BOB)
    two = ADA._replace(connections=2)
    assert replica.apply(change(2, ada=two), 0.0) == [Step("ada", ADA, two)]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_known_member_is_no_news(version: int) -> None:
    replica = showing(3, ada=ADA)
    assert replica.apply(change(version, ada=None), 0.0) == []
    assert not replica.asks


@pytest.mark.parametrize(
    "strange",
    [
        change(5, bob=BOB),
        change(4, prev="other", bob=BOB),
        change(3, tag="other", bob=BOB),
        change(1, life="F", bob=BOB),
        change(2, life="F", bob=BOB),
    ],
    ids=["a gap", "another history", "another change of this number", "another life", "inside another life"],
)
def test_a_change_that_does_not_follow_asks_for_a_snapshot(strange: Change) -> None:
    replica = showing(3, ada=ADA)
    assert replica.apply(strange, 0.0) == []
    assert replica.asks
    assert replica.shown() == {"ada": ADA}


def test_an_empty_group_begins_a_new_life_with_the_first_change_of_it() -> None:
    replica = showing(ada=ADA)
    replica.apply(change(2, ada=None), 0.0)
    assert replica.apply(change(1, life="F", bob=BOB), 0.0) == [Step("bob", None, BOB)]


@pytest.mark.parametrize("lives", [1, LIVES - 1])
def test_an_old_life_does_not_begin_again(lives: int) -> None:
    replica = showing()
    for life in range(lives + 1):
        replica.apply(change(1, life=f"E{life}", ada=ADA), 0.0)
        replica.apply(change(2, life=f"E{life}", ada=None), 0.0)
    assert replica.apply(change(1, life="E0", ada=ADA), 0.0) == []
    assert replica.count == 0


# Snapshots


def test_changes_that_come_while_a_snapshot_is_under_way_are_taken_in_after_it() -> None:
    replica = Replica(HOLD)
    replica.asked()
    replica.apply(change(3, ada=None), 0.0)
    replica.apply(change(2, bob=BOB), 0.0)
    assert replica.receive(snapshot(1, ada=ADA), 0.0) == [Step("bob", None, BOB), Step("ada", ADA, None)]
    assert replica.shown() == {"bob": BOB}


def test_a_snapshot_that_changes_have_overtaken_is_asked_for_again() -> None:
    replica = showing(ada=ADA)
    replica.ask()
    replica.asked()
    replica.apply(change(2, bob=BOB), 0.0)
    assert replica.receive(snapshot(1, ada=ADA), 0.0) == []
    assert replica.asks
    assert replica.count == 2


def test_a_snapshot_counts_even_if_its_version_is_lower() -> None:
    replica = showing(5, ada=ADA, bob=BOB)
    replica.ask()
    changed = ADA._replace(meta="[]")
    assert answered(replica, snapshot(4, ada=changed, bob=BOB)) == [Step("ada", ADA, changed)]
    assert replica.place == Place("E", 4, "E4")


def test_a_snapshot_that_was_not_answered_is_asked_for_again() -> None:
    replica = Replica(HOLD)
    replica.asked()
    assert not replica.asks
    replica.failed()
    assert replica.asks


def test_an_answer_to_nothing_is_nothing() -> None:
    replica = showing(ada=ADA)
    assert replica.receive(NOTHING, 0.0) == []
    assert replica.count == 1


def test_the_old_copy_of_a_group_is_not_taken_for_what_is_here() -> None:
    replica = showing(ada=ADA)
    replica.ask()
    answered(replica, NOTHING)
    assert replica.compare(Place("E", 1, "E1"), 0.0)


# What may be missing


def test_a_replica_that_may_miss_something_is_unsure_until_a_snapshot_is_there() -> None:
    replica = showing(ada=ADA)
    assert not replica.unsure
    replica.ask_anew()
    assert replica.unsure
    answered(replica, snapshot(1, ada=ADA))
    assert (replica.unsure, replica.asks) == (False, False)


def test_a_snapshot_that_is_only_wanted_serves_a_repeated_request() -> None:
    replica = showing(ada=ADA)
    replica.ask()
    replica.ask_anew()
    answered(replica, snapshot(1, ada=ADA))
    assert (replica.unsure, replica.asks) == (False, False)


def test_a_snapshot_under_way_is_too_old_for_a_repeated_request() -> None:
    replica = showing(ada=ADA)
    replica.ask()
    replica.asked()
    replica.ask_anew()
    assert not replica.asks
    assert replica.receive(snapshot(2, ada=ADA, bob=BOB), 0.0) == [Step("bob", None, BOB)]
    assert (replica.unsure, replica.asks) == (True, True)
    answered(replica, snapshot(2, ada=ADA, bob=BOB))
    assert (replica.unsure, replica.asks) == (False, False)


def test_the_first_snapshot_may_be_too_old_as_well() -> None:
    replica = Replica(HOLD)
    replica.asked()
    replica.ask_anew()
    replica.receive(snapshot(1, ada=ADA), 0.0)
    assert (replica.ready, replica.unsure, replica.asks) == (True, True, True)


def test_a_replica_stays_unsure_while_snapshots_fail_or_are_overtaken() -> None:
    replica = showing(ada=ADA)
    replica.ask_anew()
    replica.asked()
    replica.failed()
    assert (replica.unsure, replica.asks) == (True, True)
    replica.asked()
    replica.apply(change(2, bob=BOB), 0.0)
    replica.receive(snapshot(1, ada=ADA), 0.0)
    assert (replica.unsure, replica.asks) == (True, True)
    answered(replica, snapshot(2, ada=ADA, bob=BOB))
    assert (replica.unsure, replica.asks) == (False, False)


def test_changes_do_not_make_a_replica_sure() -> None:
    replica = showing(ada=ADA)
    replica.ask_anew()
    replica.apply(change(2, bob=BOB), 0.0)
    replica.compare(Place("E", 2, "E2"), 0.0)
    assert replica.unsure


# The hold


def lost(now: float = 0.0) -> Replica:
    """Ada and Bob were here; the store came back with Bob alone."""
    replica = showing(3, ada=ADA, bob=BOB)
    replica.ask()
    assert answered(replica, snapshot(1, life="F", bob=BOB), now) == []
    return replica


def test_a_user_who_is_missing_after_a_loss_stays_until_the_last_snapshot_after_the_hold() -> None:
    replica = lost()
    assert replica.count == 2
    replica.compare(Place("F", 1, "F1"), HOLD - 1)
    assert not replica.asks
    replica.compare(Place("F", 1, "F1"), HOLD)
    assert answered(replica, snapshot(1, life="F", bob=BOB), HOLD) == [Step("ada", ADA, None)]
    assert replica.shown() == {"bob": BOB}


def test_a_visitor_who_comes_back_in_the_hold_was_never_away() -> None:
    replica = lost()
    assert replica.apply(change(2, life="F", ada=ADA), 1.0) == []
    replica.compare(Place("F", 2, "F2"), HOLD)
    assert not replica.asks
    assert replica.shown() == {"ada": ADA, "bob": BOB}


def test_a_leave_in_the_hold_is_not_let_out() -> None:
    replica = lost()
    assert replica.apply(change(2, life="F", bob=None), 1.0) == []
    replica.compare(None, HOLD)
    left = answered(replica, NOTHING, HOLD)
    assert sorted(left) == [Step("ada", ADA, None), Step("bob", BOB, None)]


def test_a_leave_is_not_let_out_before_a_renewal_on_time_ends_the_hold() -> None:
    replica = lost()
    assert replica.apply(change(2, life="F", bob=None), 2 * HOLD) == []
    replica.restart_hold(2 * HOLD)
    replica.compare(None, 2 * HOLD + 1)
    assert not replica.asks
    assert replica.count == 2


def test_a_snapshot_from_before_the_end_of_the_hold_is_not_the_last() -> None:
    replica = lost()
    replica.ask()
    replica.asked()
    replica.compare(Place("F", 1, "F1"), HOLD)
    assert replica.receive(snapshot(1, life="F", bob=BOB), HOLD) == []
    assert replica.count == 2
    replica.compare(Place("F", 1, "F1"), HOLD + 1)
    assert answered(replica, snapshot(1, life="F", bob=BOB), HOLD + 1) == [Step("ada", ADA, None)]


def test_a_hold_that_begins_again_takes_back_the_last_snapshot() -> None:
    replica = lost()
    replica.compare(Place("F", 1, "F1"), HOLD)
    replica.asked()
    replica.restart_hold(HOLD)
    assert replica.receive(snapshot(1, life="F", bob=BOB), HOLD) == []
    assert replica.settling == 2 * HOLD


def test_a_hold_that_is_over_does_not_begin_again() -> None:
    replica = lost()
    replica.apply(change(2, life="F", ada=ADA), 1.0)
    replica.compare(Place("F", 2, "F2"), HOLD)
    replica.restart_hold(HOLD + 1)
    assert replica.apply(change(3, life="F", ada=None), HOLD + 2) == [Step("ada", ADA, None)]


def test_a_held_user_goes_even_if_the_store_no_longer_knows_the_group() -> None:
    replica = showing(ada=ADA)
    replica.ask()
    assert answered(replica, NOTHING) == []
    assert not replica.compare(None, HOLD)
    assert answered(replica, NOTHING, HOLD) == [Step("ada", ADA, None)]
    assert not replica.compare(None, HOLD + 1)
    assert not replica.asks


def test_a_group_that_has_emptied_is_no_loss() -> None:
    replica = showing(ada=ADA)
    replica.apply(change(2, ada=None), 0.0)
    replica.ask()
    answered(replica, NOTHING)
    replica.apply(change(1, life="F", bob=BOB), 1.0)
    assert replica.apply(change(2, life="F", bob=None), 2.0) == [Step("bob", BOB, None)]


# Renewals


def test_a_difference_that_stands_asks_for_a_snapshot() -> None:
    replica = showing(ada=ADA)
    assert replica.compare(Place("E", 2, "E2"), 0.0)
    assert not replica.asks
    replica.doubt()
    assert replica.asks


def test_a_difference_that_a_change_explains_does_not() -> None:
    replica = showing(ada=ADA)
    assert replica.compare(Place("E", 2, "E2"), 0.0)
    replica.apply(change(2, bob=BOB), 0.0)
    replica.doubt()
    assert not replica.asks


@pytest.mark.parametrize("place", [Place("E", 1, "E1"), None], ids=["a place", "nobody"])
def test_identical_states_have_no_reason(place: Place | None) -> None:
    replica = showing(ada=ADA) if place else showing()
    assert not replica.compare(place, 0.0)
    replica.doubt()
    assert not replica.asks


# Altogether


def history(ops: list[tuple[str, str, bool]]) -> tuple[Store, list[Change]]:
    store, changes = Store(), []
    store.open("L", 1e9, 0.0)
    for seq, (ref, user, comes) in enumerate(ops, 1):
        op: Op = (
            Join(seq, "g", ref, user, "{}", f"E{seq}", f"t{seq}")
            if comes
            else Leave(seq, "g", ref, f"t{seq}")
        )
        (reply,) = store.write("L", [op], 0.0)
        changes += [reply.change] if reply.change else []
    return store, changes


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("rst"), st.sampled_from("uvw"), st.booleans()), max_size=15),
    st.data(),
)
def test_any_changes_in_any_order_end_in_the_state_of_the_store(
    ops: list[tuple[str, str, bool]], data: st.DataObject
) -> None:
    store, changes = history(ops)
    replica = showing()
    heard = data.draw(st.lists(st.sampled_from(changes), max_size=2 * len(changes))) if changes else []
    there: set[str] = set()

    def take(steps: list[Step]) -> None:
        for step in steps:
            assert (step.before is None) == (step.user not in there)
            if step.after:
                there.add(step.user)
            else:
                there.remove(step.user)
        assert there == replica.shown().keys()

    for one in heard:
        take(replica.apply(one, 0.0))
        if replica.asks and data.draw(st.booleans()):
            replica.asked()
            late = data.draw(st.integers(0, len(changes)))
            for more in changes[late:]:
                take(replica.apply(more, 0.0))
            take(replica.receive(store.snapshot("g"), 0.0))
    for renewal in (1, 2, 3, 4):
        replica.compare(store.place("g"), renewal * HOLD)
        replica.doubt()
        for _ in range(2):
            if replica.asks:
                replica.asked()
                take(replica.receive(store.snapshot("g"), renewal * HOLD))
    assert replica.shown() == store.snapshot("g").members
    assert replica.place == (store.place("g") or replica.place)
    assert not replica.compare(store.place("g"), 5 * HOLD)


def test_the_members_are_one_object_until_they_change() -> None:
    replica = Replica(HOLD)
    answered(replica, snapshot(1, ada=ADA))
    first = replica.shown()
    assert replica.shown() is first
    replica.apply(change(2, bob=BOB), 0.0)
    second = replica.shown()
    assert (first, second) == ({"ada": ADA}, {"ada": ADA, "bob": BOB})
    assert replica.shown() is second
    replica.ask()
    answered(replica, snapshot(3, ada=ADA))
    assert replica.shown() == {"ada": ADA}


def test_reads_from_another_thread_see_whole_steps() -> None:
    crowd = {f"user {n}": BOB for n in range(50)}
    replica = Replica(HOLD)
    answered(replica, Snapshot(Place("E0", 1, "E01"), {"ada": ADA, **crowd}))
    stop, seen = threading.Event(), set()

    def read() -> None:
        while not stop.is_set():
            seen.add((replica.count, len(replica.shown()), replica.member("ada") is not None))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        for life in range(80):
            for version in range(2, 50):
                replica.apply(change(version, life=f"E{life}", ada=ADA._replace(connections=version)), 0.0)
            replica.ask()
            answered(replica, snapshot(1, life=f"E{life + 1}", ada=ADA))  # and the crowd is held
    finally:
        stop.set()
        reader.join()
        sys.setswitchinterval(interval)
    assert replica.shown().keys() == crowd.keys() | {"ada"}
    assert seen == {(51, 51, True)}


def test_nothing_is_known_at_first() -> None:
    replica = Replica(HOLD)
    assert (replica.place, replica.count, replica.shown(), replica.member("ada")) == (NOWHERE, 0, {}, None)
    assert replica.asks
