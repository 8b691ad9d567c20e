"""The leases of jobs, which beat and are released."""

from __future__ import annotations

from ...backends.base import Backend
from ...state.records import Member, Reply, Status
from .base import GONE, LONG, BackendSuite, done, join, leave

__all__ = ["JobsContract"]


class JobsContract(BackendSuite):
    def test_a_beat_extends_a_job(self, verbs: Backend) -> None:
        self.lives_for_its_ttl(verbs, "job:", lambda lease, ref: verbs.beat("room", ref))

    def test_a_beat_finds_no_job_that_is_gone_or_claimed_or_a_process(self, verbs: Backend) -> None:
        verbs.open("process", LONG)
        verbs.write("process", [join(1, "connection")])
        verbs.open("job:1", GONE)
        verbs.write("job:1", [join(1)])
        assert verbs.beat("room", "connection") is False
        assert verbs.beat("room", "unknown") is False
        assert verbs.beat("nowhere", "ref") is False
        assert verbs.claim("process", 500, 0)
        assert verbs.beat("room", "ref") is False

    def test_a_job_that_joins_again_hangs_on_its_new_lease(self, verbs: Backend, backend: Backend) -> None:
        verbs.open("job:1", LONG)
        verbs.write("job:1", [join(1, joined_at=1.0)])
        verbs.open("job:2", LONG)
        assert verbs.write("job:2", [join(1)])[0].change is None
        assert verbs.renew("job:1", 1, []).status is Status.DEAD
        assert verbs.renew("job:2", 1, []).status is Status.OK
        assert not [name for name in self.stored(backend) if "job:1" in name]

    def test_a_lease_is_opened_and_written_to_at_once(self, verbs: Backend) -> None:
        ops = [join(1, user="bot", joined_at=5.0), join(2, "ref2", "bot"), leave(3)]
        replies = verbs.open_and_write("job:1", LONG, ops)
        assert [done(reply).records["bot"] for reply in replies] == [
            Member(1, 5.0, "{}"),
            Member(2, 5.0, "{}"),
            Member(1, 5.0, "{}"),
        ]
        assert verbs.renew("job:1", 3, []).status is Status.OK
        assert verbs.open_and_write("job:1", LONG, ops) == [Reply(Status.SEEN)] * 3
        assert verbs.open_and_write("job:2", LONG, []) == []
        assert verbs.open("job:3", LONG) == "job:1"

    def test_a_job_that_opened_and_wrote_at_once_lives_for_its_ttl(self, verbs: Backend) -> None:
        verbs.open_and_write("job:1", GONE, [join(1)])
        assert verbs.claim(None, 500, 0)
        assert verbs.open_and_write("job:1", LONG, [join(2)]) == [Reply(Status.DEAD)]

    def test_a_job_ends_with_its_last_ref_and_not_before(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        verbs.open("job:1", LONG)
        verbs.write("job:1", [join(1, "a"), join(2, "b"), leave(3, "a")])
        assert verbs.renew("job:1", 3, []).status is Status.OK
        verbs.write("lease", [join(1, "b", "somebody else")])
        assert verbs.renew("job:1", 3, []).status is Status.DEAD
        assert verbs.snapshots(["room"])[0].members.keys() == {"somebody else"}

    def test_releasing_takes_a_ref_from_any_lease(self, verbs: Backend) -> None:
        verbs.open("lease", LONG)
        verbs.open("job:1", LONG)
        verbs.write("lease", [join(1, "a", tag="t1")])
        verbs.write("job:1", [join(1, "b", "bot", tag="t2")])
        change = verbs.release("room", "b", "t3")
        assert change is not None
        assert (change.records, change.prev, change.place.tag) == ({"bot": None}, "t2", "t3")
        assert verbs.beat("room", "b") is False
        assert verbs.renew("job:1", 1, []).status is Status.DEAD
        assert verbs.release("room", "b", "t4") is None
        last = verbs.release("room", "a", "t5")
        assert last is not None
        assert last.count == 0
        assert verbs.renew("lease", 1, []).status is Status.OK
