"""The work of one poll in the store. Each polling page has its own lease, and keeps the lease's seq."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import nsmallest
from typing import Any, NamedTuple
from uuid import uuid4

from ..backends.base import Backend
from ..keys import opaque_id
from ..presence.store import publish, reap
from ..state.records import Join, Leave, Member, Op, Place, Snapshot, Status
from .frames import Wants
from .people import person
from .polls import LeaseState, Mark, Times, digest, ref_of

__all__ = ["LONGEST", "Lost", "Visit", "Wish", "end", "visit"]

LONGEST = 500  # people; a longer list is cut to those who have been there longest, and the page's own user
NO_GROUP = "-"  # the tag of an empty group


class Lost(Exception):
    """The store does not have the page's state: the page has to join again."""


class Wish(NamedTuple):
    """A page's wish for the group *key*: to see it, and with a *meta* to be present in it as *user*.

    *told* is the group's state as last sent to the page.
    """

    room: str
    key: str
    user: str
    meta: str | None
    wants: Wants
    told: Mark = Mark()

    @property
    def joined(self) -> str:
        return "" if self.meta is None else digest(self.meta)

    @property
    def wanted(self) -> str:
        wants = self.wants
        return digest(f"{wants.people}{wants.number}", *sorted(wants.some), "", *sorted(wants.fields))


class Visit(NamedTuple):
    """The outcome of a poll: the page's state after it, and the news of each room that has some."""

    state: LeaseState
    news: dict[str, dict[str, Any]]
    in_company: bool  # True if a list of the page has others in it


def visit(
    backend: Backend,
    times: Times,
    state: LeaseState,
    wishes: Sequence[Wish],
    leaving: Mapping[str, str],
    *,
    first: bool,
    reaps: bool,
) -> Visit:
    """Carry out a poll of a page in *state*; *leaving* has the keys of rooms that it leaves.

    *first*: this is the page's first poll, which opens its lease. *reaps*: remove expired presences before
    the groups are read, as on a site without open sockets nothing but polls does so.

    A later poll with nothing to write and no news is one round trip.

    Raises ``Lost`` and ``PresenceUnavailable``.
    """
    # The page has to name every room in which it takes part, so that its right to each is checked.
    if state.joined - leaving.keys() - {wish.room for wish in wishes}:
        raise Lost
    if first:
        backend.open(state.lease, times.ttl, times.unheard, times.pause)
    if reaps:
        reap(backend, state.lease)
    places: dict[str, Place | None] = {}
    if not first:
        renewal = backend.renew(state.lease, state.seq, [wish.key for wish in wishes])
        if renewal.status is not Status.OK:
            raise Lost
        places.update(renewal.places)
    ops = [*_ops(state, wishes, leaving)]
    if ops:
        places |= _write(backend, state.lease, ops)
    joined = frozenset(wish.room for wish in wishes if wish.meta is not None)
    news, marks = _read(backend, wishes, places)
    return Visit(
        LeaseState(state.seq + len(ops), state.lease, joined),
        news,
        any(mark.in_company for mark in marks),
    )


def end(backend: Backend, state: LeaseState, keys: Mapping[str, str]) -> None:
    """Take the page out of all groups at once; *keys* are those of its rooms, as far as they are known."""
    ops = [*_ops(state, (), keys)]
    if ops:
        _publish(backend, backend.write(state.lease, ops))
    backend.drain(state.lease, 0.0)


def _ops(state: LeaseState, wishes: Iterable[Wish], leaving: Mapping[str, str]) -> Iterable[Op]:
    seq = state.seq
    gone = dict(leaving)
    for wish in wishes:
        if wish.meta is None:
            gone[wish.room] = wish.key
        elif wish.room not in state.joined or wish.told.joined != wish.joined:
            seq += 1
            ref, epoch, tag = ref_of(state.lease, wish.key), uuid4().hex, uuid4().hex
            yield Join(seq, wish.key, ref, wish.user, wish.meta, epoch, tag)
    for room in gone.keys() & state.joined:
        seq += 1
        yield Leave(seq, gone[room], ref_of(state.lease, gone[room]), uuid4().hex)


def _write(backend: Backend, lease: str, ops: Sequence[Op]) -> dict[str, Place]:
    """Write *ops*; return the places of the groups that this has changed."""
    replies = backend.write(lease, ops)
    _publish(backend, replies)
    if any(reply.status is not Status.OK for reply in replies):
        raise Lost
    return {reply.change.key: reply.change.place for reply in replies if reply.change}


def _publish(backend: Backend, replies: Iterable[Any]) -> None:
    for reply in replies:
        publish(backend, reply.change)


def _read(
    backend: Backend, wishes: Iterable[Wish], places: Mapping[str, Place | None]
) -> tuple[dict[str, dict[str, Any]], list[Mark]]:
    """Read the groups whose state differs from the page's; return their news, and the marks of all groups."""
    marks = {wish.room: wish.told for wish in wishes}
    stale = [wish for wish in wishes if _is_stale(wish, places)]
    whole = [wish for wish in stale if wish.wants.people or wish.wants.some]
    counted = [wish for wish in stale if wish.wants.number and wish not in whole]
    snapshots = backend.snapshots([wish.key for wish in whole]) if whole else []
    counts = backend.counts([wish.key for wish in counted]) if counted else []
    news: dict[str, dict[str, Any]] = {wish.room: {} for wish in stale}
    tags = {wish.room: _tag(places[wish.key]) if wish.key in places else "" for wish in stale}
    for wish, snapshot in zip(whole, snapshots, strict=True):
        news[wish.room] = _state(wish, snapshot)
        tags[wish.room] = _tag(snapshot.place)
    for wish, count in zip(counted, counts, strict=True):
        news[wish.room] = {"count": count}
    for wish in stale:
        others = news[wish.room].get("count", 0) - (wish.meta is not None)
        mark = Mark(tags[wish.room], wish.joined, wish.wanted, wish.wants.people and others > 0)
        me = {} if wish.meta is None else {"me": opaque_id(wish.key, wish.user)}
        news[wish.room] |= {"tag": mark.text, **me}
        marks[wish.room] = mark
    return news, [*marks.values()]


def _is_stale(wish: Wish, places: Mapping[str, Place | None]) -> bool:
    if (wish.told.joined, wish.told.wanted) != (wish.joined, wish.wanted):
        return True
    return wish.wants.any and (wish.key not in places or wish.told.tag != _tag(places[wish.key]))


def _tag(place: Place | None) -> str:
    return place.tag if place else NO_GROUP


def _state(wish: Wish, snapshot: Snapshot) -> dict[str, Any]:
    wants, members = wish.wants, snapshot.members
    shown: dict[str, Member] = {}
    if wants.people:
        shown = dict(nsmallest(LONGEST, members.items(), key=lambda item: (item[1].joined_at, item[0])))
    partial = {"partial": True} if wants.people and len(members) > len(shown) else {}
    if wants.some:
        shown |= {user: one for user, one in members.items() if opaque_id(wish.key, user) in wants.some}
    if wants.people and wish.meta is not None and wish.user in members:
        shown[wish.user] = members[wish.user]
    ordered = sorted(shown.items(), key=lambda item: (item[1].joined_at, item[0]))
    people = [person(wish.key, user, member, wants.fields) for user, member in ordered]
    return {"count": len(members), "members": people, **partial}
