"""Expired leases are claimed, and what they have left behind is reaped."""

from __future__ import annotations

import threading
import time
from uuid import uuid4

from ...backends.base import Backend
from ...state.records import (
    Change,
    Member,
    Renewal,
    Reply,
    Snapshot,
    Status,
    Work,
)
from .base import BOUND, GONE, LONG, BackendSuite, join, leave

__all__ = ["ReapingContract"]


class ReapingContract(BackendSuite):
    def test_what_expired_is_claimed_with_its_work(self, verbs: Backend) -> None:
        verbs.open("reaper", LONG)
        verbs.open("dead", GONE)
        verbs.open("alive", LONG)
        verbs.write("dead", [join(1, "a"), join(2, "b"), join(3, "c", key="hall")])
        verbs.write("alive", [join(1, "d")])
        work = verbs.claim("reaper", 500, LONG)
        assert work is not None
        assert self.sorted(work) == [("dead", "hall", ["c"]), ("dead", "room", ["a", "b"])]
        assert self.sorted(verbs.claim("reaper", 500, LONG) or []) == self.sorted(work)

    def test_a_claimed_lease_never_writes_again(self, verbs: Backend) -> None:
        verbs.open("reaper", LONG)
        verbs.open("lease", GONE)
        verbs.write("lease", [join(1)])
        assert verbs.claim("reaper", 500, 0)
        before = verbs.snapshots(["room"])
        for _ in range(2):
            assert verbs.renew("lease", 1, ["room"]) == Renewal(Status.DEAD)
            late = [leave(1), leave(2), join(2, "ref2", "ghost")]
            assert verbs.write("lease", late) == [Reply(Status.DEAD)] * 3
            verbs.drain("lease", LONG)
            verbs.open("lease", LONG)
        assert verbs.snapshots(["room"]) == before

    def test_reaping_removes_what_hangs_on_the_lease_and_only_once(self, verbs: Backend) -> None:
        verbs.open("reaper", LONG)
        verbs.open("dead", GONE)
        verbs.write("dead", [join(1, "a", "alice"), join(2, "b", "bob")])
        verbs.write("reaper", [join(1, "c", "carol")])
        assert verbs.claim("reaper", 500, 0)
        change = verbs.reap("dead", "room", ["a", "b", "c", "unknown"], "reaped")
        assert change is not None
        assert change.records == {"alice": None, "bob": None}
        assert (change.place.version, change.place.tag, change.count) == (4, "reaped", 1)
        assert verbs.reap("dead", "room", ["a", "b"], "again") is None
        assert verbs.claim("reaper", 500, 0) == []
        assert verbs.snapshots(["room"])[0].members.keys() == {"carol"}

    def test_reaping_the_last_of_a_group_ends_it(self, verbs: Backend) -> None:
        verbs.open("reaper", LONG)
        verbs.open("dead", GONE)
        verbs.write("dead", [join(1)])
        verbs.claim("reaper", 500, 0)
        change = verbs.reap("dead", "room", ["ref"], "reaped")
        assert change is not None
        assert (change.records, change.count) == ({"user": None}, 0)
        assert verbs.snapshots(["room"]) == [Snapshot(None, {})]

    def test_only_a_claimed_lease_is_reaped(self, verbs: Backend) -> None:
        verbs.open("lease", GONE)
        verbs.write("lease", [join(1)])
        assert verbs.reap("lease", "room", ["ref"], "tag") is None
        assert verbs.reap("unknown", "room", ["ref"], "tag") is None
        assert verbs.count("room") == 1

    def test_what_has_moved_to_another_lease_survives_the_reap(self, verbs: Backend) -> None:
        verbs.open("reaper", LONG)
        verbs.open("dead", GONE)
        verbs.write("dead", [join(1, "moved", joined_at=1.0), join(2, "lost")])
        assert verbs.claim("reaper", 500, 0)
        assert verbs.write("reaper", [join(1, "moved")])[0].change is None
        change = verbs.reap("dead", "room", ["moved", "lost"], "tag")
        assert change is not None
        assert change.records == {"user": Member(1, 1.0, "{}")}
        assert verbs.claim("reaper", 500, 0) == []

    def test_work_is_given_out_in_bounded_pieces(self, verbs: Backend) -> None:
        verbs.open("reaper", LONG)
        for lease in ("one", "two"):
            verbs.open(lease, GONE)
            verbs.write(lease, [join(n, f"{lease}{n}", f"{lease}{n}") for n in range(1, 8)])
        for _ in range(14):
            work = verbs.claim("reaper", 3, 0)
            assert work is not None
            if not verbs.count("room"):
                break
            assert 1 <= sum(len(refs) for _, _, refs in work) <= 3
            for lease, key, refs in work:
                assert verbs.reap(lease, key, refs, uuid4().hex)
        assert verbs.count("room") == 0

    def test_who_has_expired_or_is_unknown_claims_nothing(self, verbs: Backend) -> None:
        verbs.open("dead", GONE)
        verbs.write("dead", [join(1)])
        verbs.open("expired", GONE)
        assert verbs.claim("expired", 500, 0) is None
        assert verbs.claim("unknown", 500, 0) is None
        assert verbs.renew("dead", 1, []).status is Status.OK

    def test_without_a_lease_jobs_are_claimed_at_once_and_processes_after_a_lag(self, verbs: Backend) -> None:
        verbs.open("process", GONE)
        verbs.open("job:1", GONE)
        verbs.open("job:2", LONG)
        verbs.write("process", [join(1, "a")])
        verbs.write("job:1", [join(1, "b")])
        verbs.write("job:2", [join(1, "c")])
        assert verbs.claim(None, 500, LONG) == [Work("job:1", "room", ["b"])]
        assert verbs.renew("process", 1, []).status is Status.OK
        assert self.sorted(verbs.claim(None, 500, 0) or []) == [
            ("job:1", "room", ["b"]),
            ("process", "room", ["a"]),
        ]

    def test_a_lease_is_claimed_if_the_store_was_heard_from_long_enough(self, verbs: Backend) -> None:
        unheard = 0.5
        check = self.claims_nothing(verbs, "reaper", unheard)
        verbs.open("reaper", LONG, unheard, LONG)
        verbs.open("dead", GONE, unheard, LONG)
        verbs.write("dead", [join(1)])
        check()
        time.sleep(unheard + 0.1)
        assert verbs.claim("reaper", 500, 0) == [Work("dead", "room", ["ref"])]

    def test_after_a_silence_everybody_has_their_turn(self, verbs: Backend) -> None:
        """A pause in which no live process could renew is not a reason to claim."""
        unheard = pause = 0.5
        verbs.open("reaper", LONG, unheard, pause)
        verbs.open("late", GONE, unheard, pause)
        verbs.write("late", [join(1)])
        time.sleep(pause + 0.2)
        assert verbs.claim("reaper", 500, 0) == []  # the store was not heard from up to this moment
        check = self.claims_nothing(verbs, "reaper", unheard)
        assert verbs.renew("reaper", 0, []).status is Status.OK
        check()
        verbs.renew("late", 1, [])  # its ttl is 0, so it has expired again at once
        deadline = time.monotonic() + BOUND
        while not (work := verbs.claim("reaper", 500, 0)) and time.monotonic() < deadline:
            time.sleep(pause / 5)
            verbs.renew("reaper", 0, [])
        assert work == [Work("late", "room", ["ref"])]

    def test_a_draining_lease_has_a_pause_as_its_turn_and_not_more(self, verbs: Backend) -> None:
        """Its owner is not waited for, but its users may have moved to another process."""
        pause = 0.5
        check = self.claims_nothing(verbs, "reaper", pause)
        verbs.open("reaper", LONG, LONG, pause)
        verbs.open("draining", LONG, LONG, pause)
        verbs.open("late", GONE, LONG, pause)
        for lease in ("draining", "late"):
            verbs.write(lease, [join(1, lease)])
        verbs.drain("draining", GONE)
        check()
        deadline = time.monotonic() + BOUND
        while not (work := verbs.claim("reaper", 500, 0)) and time.monotonic() < deadline:
            time.sleep(pause / 5)
            verbs.renew("reaper", 0, [])
        assert work == [Work("draining", "room", ["draining"])]

    def test_a_silence_protects_no_job_and_nobody_from_those_without_a_lease(self, verbs: Backend) -> None:
        verbs.open("reaper", LONG, LONG, LONG)
        verbs.open("job:1", GONE)
        verbs.open("process", GONE, LONG, LONG)
        verbs.write("job:1", [join(1, "a")])
        verbs.write("process", [join(1, "b")])
        assert verbs.claim("reaper", 500, 0) == [Work("job:1", "room", ["a"])]
        assert verbs.claim(None, 500, LONG) == [Work("job:1", "room", ["a"])]
        assert self.sorted(verbs.claim(None, 500, 0) or []) == [
            ("job:1", "room", ["a"]),
            ("process", "room", ["b"]),
        ]

    def test_two_reapers_make_one_change_of_each_connection(self, backend: Backend) -> None:
        users = [f"user{number}" for number in range(40)]
        backend.open("dead", GONE)
        backend.write("dead", [join(n, f"ref{n}", user) for n, user in enumerate(users, 1)])
        changes: list[Change] = []
        start = threading.Barrier(2)

        def reap(own: str) -> None:
            backend.open(own, LONG)
            start.wait(BOUND)
            changes.extend(self.reaped(backend, own, 5))

        reapers = [threading.Thread(target=reap, args=(own,)) for own in ("one", "two")]
        for reaper in reapers:
            reaper.start()
        for reaper in reapers:
            reaper.join(BOUND)
        backend.close()
        assert backend.count("room") == 0
        assert sorted(user for change in changes for user in change.records) == sorted(users)
        assert all(member is None for change in changes for member in change.records.values())
        changes.sort(key=lambda change: change.place.version)
        assert [change.place.version for change in changes] == list(range(41, 41 + len(changes)))
        assert [change.prev for change in changes[1:]] == [change.place.tag for change in changes[:-1]]
