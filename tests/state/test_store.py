"""The store's verbs. What a backend must do as well stands in the contract suite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from djust_presence.state.records import Change, Join, Leave, Member, Op, Renewal, Reply, Status, Work
from djust_presence.state.store import Store

from .truth import Truth

LEASES, KEYS, REFS, USERS = "LMN", "gh", "rst", "uv"
lease_ids = st.sampled_from([*LEASES, "job:1", "job:2"])


def join(
    seq: int,
    ref: str = "r",
    user: str = "u",
    meta: str = "{}",
    at: float | None = None,
    key: str = "g",
    said: float | None = None,
) -> Join:
    return Join(seq, key, ref, user, meta, f"life {seq}", f"tag {seq}", at, said)


def opened(*leases: str, ttl: float = 10.0) -> Store:
    store = Store()
    for lease in leases:
        store.open(lease, ttl, now=0.0)
    return store


def write(store: Store, lease: str, *ops: Op, now: float = 1.0) -> list[Reply]:
    return store.write(lease, ops, now)


class Verbs(RuleBasedStateMachine):
    """Any verbs in any order: each tells exactly its own changes, and the indexes stay consistent."""

    def __init__(self) -> None:
        super().__init__()
        self.store, self.truth, self.now, self.ids = Store(), Truth(calm=False, exact=False), 0.0, 0
        self.work: list[Work] = []

    def fresh(self) -> str:
        self.ids += 1
        return f"id {self.ids}"

    def verb(self, name: str, *args: Any) -> Any:
        before = {key: (group.place, dict(group.users)) for key, group in self.store.groups.items()}
        answer = getattr(self.store, name)(*args)
        changes: Sequence[Change] = [answer] if isinstance(answer, Change) else []
        if name == "write":
            changes = [reply.change for reply in answer if reply.change]
        self.truth.step(name, before, self.store, changes)
        return answer

    @rule(seconds=st.sampled_from([0.5, 2.0, 5.0]))
    def time_goes_on(self, seconds: float) -> None:
        self.now += seconds

    @rule(lease=lease_ids)
    def open(self, lease: str) -> None:
        self.verb("open", lease, 4.0, self.now)

    @rule(lease=lease_ids, right=st.booleans())
    def renew(self, lease: str, right: bool) -> None:
        held = self.store.leases.get(lease)
        answer = self.verb("renew", lease, held.seq + (not right) if held else 0, KEYS, self.now)
        assert (answer.status is Status.OK) == (held is not None and right)
        assert answer.places == (
            {key: self.store.place(key) for key in KEYS} if answer.status is Status.OK else {}
        )

    @rule(lease=lease_ids)
    def drain(self, lease: str) -> None:
        self.verb("drain", lease, 1.0, self.now)

    @rule(
        lease=lease_ids,
        key=st.sampled_from(KEYS),
        ref=st.sampled_from(REFS),
        user=st.sampled_from(USERS),
        meta=st.sampled_from("01"),
        late=st.sampled_from([0, 0, 0, -1, 1]),
        at=st.none() | st.just(-1.0),
        said=st.none() | st.sampled_from([0.0, 1.0]),
    )
    def join(
        self,
        lease: str,
        key: str,
        ref: str,
        user: str,
        meta: str,
        late: int,
        at: float | None,
        said: float | None,
    ) -> None:
        held = self.store.leases.get(lease)
        seq = (held.seq if held else 0) + 1 + late
        (reply,) = self.verb(
            "write", lease, [Join(seq, key, ref, user, meta, self.fresh(), self.fresh(), at, said)], self.now
        )
        if reply.status is Status.OK:
            assert self.store.groups[key].rows[ref] == (lease, user, meta, reply.said)
            place = self.store.place(key)
            assert place is not None
            assert place.epoch == reply.epoch

    @rule(lease=lease_ids, key=st.sampled_from(KEYS), ref=st.sampled_from(REFS))
    def leave(self, lease: str, key: str, ref: str) -> None:
        held = self.store.leases.get(lease)
        (reply,) = self.verb(
            "write", lease, [Leave((held.seq if held else 0) + 1, key, ref, self.fresh())], self.now
        )
        assert reply.status is (Status.OK if held else Status.DEAD)

    @rule(own=st.none() | lease_ids, limit=st.integers(1, 4))
    def claim(self, own: str | None, limit: int) -> None:
        work = self.verb("claim", own, limit, 6.0, self.now)
        held = self.store.leases.get(own) if own is not None else None
        assert (work is None) == (own is not None and (held is None or held.expiry <= self.now))
        assert sum(len(one.refs) for one in work or ()) <= limit
        self.work += work or ()

    @precondition(lambda self: self.work)
    @rule(data=st.data())
    def reap(self, data: st.DataObject) -> None:
        self.verb("reap", *data.draw(st.sampled_from(self.work)), self.fresh())

    @rule(key=st.sampled_from(KEYS), ref=st.sampled_from(REFS))
    def beat(self, key: str, ref: str) -> None:
        self.verb("beat", key, ref, self.now)

    @rule(key=st.sampled_from(KEYS), ref=st.sampled_from(REFS))
    def release(self, key: str, ref: str) -> None:
        self.verb("release", key, ref, self.fresh())

    @invariant()
    def all_hangs_together(self) -> None:
        self.truth.check(self.store)
        for key in KEYS:
            assert self.store.count(key) == len(self.store.snapshot(key).members)

    def teardown(self) -> None:
        """Stop all joins: everything that is left expires, and goes."""
        self.now += 100.0
        self.verb("open", "reaper", 1.0, self.now)
        for _ in range(50):
            for work in self.verb("claim", "reaper", 2, 0.0, self.now):
                self.verb("reap", *work, self.fresh())
        assert not self.store.groups
        assert not self.store.index
        assert not self.store.dead
        assert self.store.leases.keys() == {"reaper"}


TestVerbs = Verbs.TestCase
TestVerbs.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


@given(st.lists(st.tuples(st.sampled_from(REFS), st.sampled_from(USERS), st.booleans()), max_size=20))
def test_the_count_is_of_users_and_not_of_connections(steps: list[tuple[str, str, bool]]) -> None:
    store, rows = opened("L"), {}
    for seq, (ref, user, comes) in enumerate(steps, 1):
        write(store, "L", join(seq, ref, user) if comes else Leave(seq, "g", ref, f"tag {seq}"))
        if comes:
            rows[ref] = user
        else:
            rows.pop(ref, None)
    assert store.count("g") == len(set(rows.values()))


@given(st.permutations([1, 1, 2, 2, 3, 3]))
def test_each_write_runs_at_most_once_and_in_its_order(seqs: list[int]) -> None:
    store = opened("L")
    ran = [seq for seq in seqs if write(store, "L", join(seq, f"r{seq}"))[0].status is Status.OK]
    assert ran == list(range(1, len(ran) + 1))
    assert len(store.groups["g"].rows) == len(ran)


def test_a_second_tab_that_comes_last_says_what_the_user_is() -> None:
    store = opened("L")
    write(store, "L", join(1, "r", meta="1"), join(2, "s", meta="2"))
    assert store.member("g", "u") == Member(2, 1.0, "2")


def test_a_repeated_meta_does_not_take_back_a_later_one_of_another_tab() -> None:
    store = opened("L", "M")
    write(store, "L", join(1, "r", meta="1"), join(2, "s", meta="2"))
    (again,) = write(store, "M", join(1, "r", meta="1", said=0.0))
    assert again.change is None
    assert store.member("g", "u") == Member(2, 1.0, "2")


def test_a_joined_at_that_is_given_back_counts_if_it_is_earlier() -> None:
    store = opened("L")
    write(
        store,
        "L",
        join(1, "r", at=50.0),
        join(2, "s", at=40.0),
        join(3, "t", at=60.0),
        join(4, "w"),
        now=70.0,
    )
    assert store.member("g", "u") == Member(4, 40.0, "{}")


def test_a_ref_that_changes_its_user_is_one_step() -> None:
    store = opened("L")
    write(store, "L", join(1, "r", "u"))
    (reply,) = write(store, "L", join(2, "r", "v"))
    assert reply.change
    assert reply.change.records == {"u": None, "v": Member(1, 1.0, "{}")}


def test_a_ref_that_changes_lease_and_user_leaves_nothing_behind() -> None:
    store = opened("L", "M")
    write(store, "L", join(1, "r", "u"))
    write(store, "M", join(1, "r", "v"))
    assert store.index == {"M": {("g", "r"): None}}


def test_a_lease_that_has_expired_is_renewed_as_long_as_nobody_claimed_it() -> None:
    store = opened("L")
    assert store.renew("L", 0, ["g"], now=10.0) == Renewal(Status.OK, True, {"g": None}, 10.0)
    assert store.renew("L", 0, [], now=19.0) == Renewal(Status.OK, False, {}, 19.0)


def test_a_renewal_that_misses_writes_is_dead() -> None:
    store = opened("L")
    assert store.renew("L", 1, [], now=1.0).status is Status.DEAD
    write(store, "L", join(1))
    assert store.renew("L", 0, [], now=1.0).status is Status.DEAD
    assert store.renew("L", 1, [], now=1.0).status is Status.OK


def test_a_draining_lease_is_not_extended_and_still_takes_writes() -> None:
    store = opened("L", "M", ttl=100.0)
    write(store, "L", join(1))
    store.drain("L", 5.0, now=0.0)
    assert store.renew("L", 1, [], now=1.0).status is Status.OK
    assert write(store, "L", join(2))[0].status is Status.OK
    assert store.claim("M", 9, 0.0, now=4.9) == []
    assert store.claim("M", 9, 0.0, now=5.0) == [Work("L", "g", ["r"])]
    assert write(store, "L", join(3))[0].status is Status.DEAD


def test_a_drained_lease_on_which_nothing_hangs_is_forgotten() -> None:
    store = opened("L")
    store.drain("L", 50.0, now=4.0)
    assert not store.leases


def test_a_drained_lease_has_its_grace_whatever_was_left() -> None:
    store = opened("L", ttl=3.0)
    write(store, "L", join(1))
    store.drain("L", 50.0, now=4.0)
    assert store.leases["L"].expiry == 54.0


def test_a_process_whose_own_lease_has_expired_claims_nothing() -> None:
    store = opened("L", "M")
    assert store.claim("L", 9, 0.0, now=10.0) is None
    assert store.claim("unknown", 9, 0.0, now=0.0) is None
    assert store.leases.keys() == {"L", "M"}


def test_without_a_lease_only_long_dead_processes_are_claimed() -> None:
    store = opened("L", "job:1")
    assert store.claim(None, 9, lag=100.0, now=50.0) == []
    assert store.leases.keys() == {"L"}
    store.claim(None, 9, lag=100.0, now=110.0)
    assert not store.leases


def test_a_reaper_spares_a_user_who_has_come_back_under_another_lease() -> None:
    store = opened("L")
    write(store, "L", join(1, "r", "u"), join(2, "s", "v"))
    store.open("M", 100.0, now=20.0)
    assert store.claim("M", 9, 0.0, now=20.0) == [Work("L", "g", ["r", "s"])]
    write(store, "M", join(1, "r", "u"), now=20.0)
    change = store.reap("L", "g", ["r", "s"], "reaped")
    assert change
    assert change.records == {"v": None}
    assert store.reap("L", "g", ["r", "s"], "again") is None
    assert not store.dead


def test_a_lease_that_was_claimed_is_not_opened_again() -> None:
    store = opened("L")
    write(store, "L", join(1))
    store.open("M", 100.0, now=20.0)
    store.claim("M", 0, 0.0, now=20.0)
    store.open("L", 100.0, now=20.0)
    assert "L" not in store.leases


def test_a_group_that_empties_leaves_nothing_and_begins_a_new_life() -> None:
    store = opened("L")
    first, last, again = write(store, "L", join(1), Leave(2, "g", "r", "tag 2"), join(3))
    assert first.change
    assert last.change
    assert again.change
    assert (last.change.count, last.change.records) == (0, {"u": None})
    assert [first.epoch, again.epoch] == ["life 1", "life 3"]
    assert (again.change.place.version, again.change.prev) == (1, "")


@pytest.mark.parametrize("end", ["release", "rejoin"])
def test_a_job_lease_ends_with_its_ref(end: str) -> None:
    store = opened("job:1", "job:2")
    write(store, "job:1", join(1))
    if end == "release":
        store.release("g", "r", "tag 2")
    else:
        write(store, "job:2", join(1))
    assert "job:1" not in store.leases
    assert "job:1" not in store.index


def test_a_sign_of_life_is_for_jobs_only() -> None:
    store = opened("L", "job:1", ttl=10.0)
    write(store, "L", join(1, "r"))
    write(store, "job:1", join(1, "s"))
    assert not store.beat("g", "r", now=5.0)
    assert not store.beat("g", "unknown", now=5.0)
    assert store.beat("g", "s", now=12.0)  # it had expired, and nobody claimed it
    assert store.leases["job:1"].expiry == 22.0
