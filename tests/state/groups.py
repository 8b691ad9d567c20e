"""Changes, snapshots and replicas of a small group."""

from __future__ import annotations

from djust_presence.state.records import Change, Member, Place, Snapshot, Step
from djust_presence.state.replica import Replica

HOLD = 10.0
NOTHING = Snapshot(None, {})


def change(
    version: int, *, life: str = "E", prev: str | None = None, tag: str = "", **records: Member | None
) -> Change:
    before = f"{life}{version - 1}" if version > 1 else ""
    place = Place(life, version, tag or f"{life}{version}")
    return Change("g", place, before if prev is None else prev, records, 0)


def snapshot(version: int, *, life: str = "E", tag: str = "", **members: Member) -> Snapshot:
    return Snapshot(Place(life, version, tag or f"{life}{version}"), members)


def answered(replica: Replica, answer: Snapshot, now: float = 0.0) -> list[Step]:
    assert replica.asks
    replica.asked()
    return replica.receive(answer, now)


def showing(version: int = 1, /, **members: Member) -> Replica:
    replica = Replica(HOLD)
    answered(replica, Snapshot(Place("E", version, f"E{version}"), members) if members else NOTHING)
    return replica
