"""Next steps of a process, where the exploration and the timed histories would miss a wrong one."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from djust_presence.state.keeper import Call, Keeper, Timing
from djust_presence.state.outbox import Outbox, Wish
from djust_presence.state.records import Change, Join, Snapshot
from djust_presence.state.replica import Replica
from djust_presence.state.store import Store

from .pieces import carry_out

TIMING = Timing.of(30.0)
ADA, BOB = Wish("g", "ada", "a"), Wish("g", "bob", "b")
ids = map(str, itertools.count())


@dataclass
class Desk:
    """A Keeper, and the store that it keeps its lease in."""

    store: Store = field(default_factory=Store)
    now: float = 100.0
    chance: float = 1.0

    def __post_init__(self) -> None:
        self.replicas: dict[str, Replica] = {}
        self.outbox = Outbox(lambda: next(ids), lambda key, user: self.store.member(key, user))
        self.keeper = Keeper(self.outbox, self.replicas, TIMING, lambda: next(ids), lambda: self.chance)

    def next(self) -> Call:
        call = self.keeper.next(self.now)
        assert call
        return call

    def end(self, call: Call) -> list[Change]:
        """Carry *call* out, and say so."""
        return list(self.keeper.answered(call, carry_out(self.store, *call[:2], self.now), self.now))

    def fail(self) -> Call:
        call = self.next()
        self.keeper.failed(call, self.now)
        return call

    def rest(self) -> list[str]:
        """Do all that is due, and return the verbs."""
        verbs = []
        while call := self.keeper.next(self.now):
            verbs.append(call.verb)
            self.end(call)
            assert len(verbs) < 100, "there is no end of it"
        return verbs

    def wait(self, seconds: float) -> list[str]:
        """Let time pass, doing what is due when it is."""
        verbs, end = [], self.now + seconds
        while self.keeper.due <= end:
            self.now = max(self.now, self.keeper.due)
            verbs += self.rest()
            assert self.keeper.due > self.now, "it would be asked over and over"
        self.now = end
        return verbs


def desk(**wishes: Wish) -> Desk:
    """One that has opened its lease, and told the store of *wishes*."""
    one = Desk()
    one.keeper.start()
    for ref, wish in wishes.items():
        one.outbox.want(ref, wish)
    one.rest()
    return one


def test_a_reap_that_a_clean_stop_overtakes_is_answered_all_the_same() -> None:
    one = desk(r=ADA)
    one.store.open("dead", 30.0, one.now)
    one.store.write("dead", [Join(1, "g", "s", "bob", "b", next(ids), next(ids))], one.now)
    one.store.leases["dead"].expiry = one.now
    one.now += TIMING.renew
    assert [one.end(one.next()), one.end(one.next())] == [[], []]  # the renewal, the claim
    reap = one.next()
    one.keeper.retire([], 15.0)
    (change,) = one.end(reap)
    assert (reap.verb, change.records) == ("reap", {"bob": None})
    assert one.rest() == ["drain"]


def test_a_write_under_way_does_not_cost_the_lease() -> None:
    one = desk(r=ADA)
    lease = one.outbox.lease
    one.outbox.want("s", BOB)
    carry_out(one.store, *one.fail()[:2], one.now)  # the answer got lost
    one.now += TIMING.renew
    assert one.rest() == ["renew", "write", "write"]  # it may not be there any more, so it joins again
    assert one.outbox.lease == lease


def test_a_presence_that_is_lost_while_a_write_goes_unanswered_waits_its_turn() -> None:
    one = desk(r=ADA)
    one.outbox.want("s", BOB)
    assert one.fail().verb == "write"
    one.store = Store()
    one.now += TIMING.renew
    one.end(one.next())
    assert one.keeper.next(one.now) is None
    assert one.keeper.due > one.now
    assert one.wait(1.0) == ["open", "write"]
    assert one.store.snapshot("g").members.keys() == {"ada", "bob"}


def test_a_presence_that_a_write_finds_lost_waits_its_turn() -> None:
    one = desk(**{f"r{i}": ADA for i in range(399)})
    one.store = Store()
    one.outbox.want("s", BOB)
    assert one.rest() == ["write"]
    assert one.keeper.due == one.now + 2.0  # 400 of them, 200 in a second


def test_a_lease_counts_from_when_its_opening_was_sent_first() -> None:
    one = Desk()
    one.keeper.start()
    one.outbox.want("r", ADA)
    opening = one.fail()  # it was carried out, and the answer got lost, as was that to a late renewal
    carry_out(one.store, *opening[:2], one.now)
    one.store.leases[opening.args[0]].expiry += TIMING.ttl
    one.now += TIMING.ttl
    assert one.rest() == ["open", "renew", "write"]
    one.outbox.drop("r")
    assert one.rest() == []


def test_a_renewal_is_due_by_when_the_last_was_sent_however_late_its_answer() -> None:
    one = desk(r=ADA)
    one.now += TIMING.renew
    renewal = one.next()
    reply = carry_out(one.store, *renewal[:2], one.now)
    one.now += TIMING.ttl
    one.keeper.answered(renewal, reply, one.now)
    assert one.next().verb == "renew"


def test_after_a_renewal_what_dead_processes_left_is_due_at_once() -> None:
    one = desk(r=ADA)
    one.now += TIMING.renew
    one.end(one.next())
    assert one.keeper.due <= one.now
    assert one.rest() == ["claim"]
    assert one.keeper.due > one.now


def test_leaves_go_out_at_once_in_peace() -> None:
    one = desk(r=ADA, s=BOB)
    for ref in ("r", "s"):
        one.outbox.drop(ref)
        assert one.rest() == ["write"]


def test_after_a_failure_leaves_wait_for_two_renewals_on_time() -> None:
    one = desk(r=ADA)
    one.outbox.want("s", BOB)
    one.fail()
    one.outbox.drop("r")
    assert one.wait(TIMING.renew - 0.1) == ["write"]
    assert one.wait(2 * TIMING.renew) == ["renew", "renew", "write", "claim"]


def test_leaves_wait_no_longer_than_a_lease_lasts_if_replies_get_lost_now_and_then() -> None:
    one = desk(r=ADA)
    one.outbox.want("s", BOB)
    for _ in range(2):
        one.fail()
        one.now = one.keeper.due
    one.rest()
    one.outbox.drop("r")
    end = one.now + TIMING.ttl
    while one.keeper.due < end - 0.1:
        one.now = one.keeper.due
        assert one.fail().verb == "renew"
        one.now = one.keeper.due
        assert one.rest() == ["renew"]
    one.now = end
    assert one.rest() == ["write"]


def test_after_two_failures_in_a_row_leaves_wait_again() -> None:
    one = desk(r=ADA)
    one.outbox.want("s", BOB)
    for _ in range(2):
        one.fail()
        one.now = one.keeper.due
    one.rest()
    one.outbox.drop("r")
    one.now += TIMING.ttl - 1
    for _ in range(2):
        assert one.fail().verb == "renew"
        one.now = one.keeper.due
    one.now += 1
    assert one.rest() == ["renew"]


def test_a_replica_that_differs_is_looked_at_again_after_a_while_and_no_sooner() -> None:
    one = desk(r=ADA)
    replica = one.replicas["g"] = Replica(15.0)
    replica.asked()
    replica.receive(Snapshot(None, {}), one.now)  # of before
    assert one.wait(TIMING.renew) == ["renew", "claim"]
    assert not replica.asks
    assert one.wait(0.3) == []
    assert replica.asks


def test_a_clean_stop_takes_out_leaving_users_and_drains_the_lease() -> None:
    one = desk(r=ADA, s=BOB)
    lease = str(one.outbox.lease)
    one.keeper.retire(["s"], 15.0)
    assert [call.verb for call in one.keeper.ends] == one.rest() == ["write", "drain"]
    assert one.store.snapshot("g").members.keys() == {"ada"}
    assert one.store.leases[lease].expiry == one.now + 15.0
    assert one.keeper.due == float("inf")
