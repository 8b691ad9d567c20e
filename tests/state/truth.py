"""The true state of a World, and the invariants that follow from it (I1 to I13)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from djust_presence.state.records import Change, Member, Place, Step
from djust_presence.state.store import Store

from .sessions import Session
from .words import TTL

if TYPE_CHECKING:
    from .world import World

Who = tuple[str, str]  # a group, and a user of it


class Broken(Exception):
    """An invariant does not hold."""


class Truth:
    """The people who are really here, by what they did and not by what any piece says.

    In a *calm* world nobody may be told that a user left who is still here. A process that stood still or crashed, or
    a store that came back from an old copy, would be an excuse. In an *exact* world the order in which metas were said
    is known to those who said them: no lost reply is followed by a loss of what the store did.
    """

    def __init__(self, calm: bool, exact: bool) -> None:
        self.calm = calm
        self.exact = exact
        self.missed: set[Who] = set()  # who was here while the store, having lost them, did not list them
        self.tracked: set[str] = set()  # refs that the store took once
        self.away: dict[
            str, tuple[Who, float]
        ] = {}  # ref -> who is between two pages, and until when at most
        self._steady: dict[Who, bool] = {}  # who is here: ever since they came first?
        self._met: set[Who] = set()
        self._lives: Counter[Who] = Counter()  # how often they came to the store
        self._refs: dict[Who, set[str]] = {}  # all that they ever had
        self._said: dict[
            tuple[str, str], int
        ] = {}  # ref, meta -> place in the order in which metas were said

    # The store

    def step(
        self,
        verb: str,
        before: Mapping[str, tuple[Place, dict[str, Member]]],
        store: Store,
        changes: Iterable[Change],
    ) -> None:
        """A verb was carried out. Its Changes must say exactly what it did, and each must follow the last."""
        told = {change.key: change for change in changes}
        for key in {*before, *store.groups}:
            place, was = before.get(key, (None, {}))
            now = store.snapshot(key).members
            records = {user: now.get(user) for user in {*was, *now} if was.get(user) != now.get(user)}
            self._lives.update((key, user) for user in records.keys() - was.keys())
            change = told.get(key)
            if (dict(change.records) if change else {}) != records:
                raise Broken(f"I3 {verb} turned {was} into {now}, and tells {change}")
            if change:
                last = place or change.place._replace(version=0, tag="")
                if change.prev != last.tag or change.place[:2] != (last.epoch, last.version + 1):
                    raise Broken(f"I3 {change} does not follow {place}")
                if change.place != (store.place(key) or change.place):
                    raise Broken(f"I3 {change} led to {store.place(key)}")
                if change.count != len(now):
                    raise Broken(f"I1 {change} counts {change.count} of {now}")

    def said(self, ref: str, meta: str) -> None:
        """The store has taken a join: its meta is said if it is another than before."""
        self._said.setdefault((ref, meta), len(self._said))

    def check(self, store: Store) -> None:
        hanging = []
        for key, group in store.groups.items():
            counts = Counter(row.user for row in group.rows.values())
            if counts != {user: member.connections for user, member in group.users.items()}:
                raise Broken(f"I1 {key} counts {group.users}, its rows are {group.rows}")
            if not group.rows:
                raise Broken(f"I8 {key} is empty and still there")
            for ref, row in group.rows.items():
                hanging.append((row.lease, key, ref))
                self._refs.setdefault((key, row.user), set()).add(ref)
                if row.lease not in store.leases and row.lease not in store.dead:
                    raise Broken(f"I2 {ref} hangs on nothing")
        indexed = [(lease, *where) for lease, refs in store.index.items() for where in refs]
        if sorted(indexed) != sorted(hanging):
            raise Broken(f"I2 the index has {indexed}, the rows are {hanging}")

    def look(self, world: World) -> None:
        """See who is here by now, and whether they have been so all the time since they came first."""
        here = {
            (session.key, str(session.user))
            for process in world.processes.values()
            for session in process.sessions
            if session.ref in self.tracked
        }
        here |= {who for who, job in world.jobs.items() if world.now < job.beaten + TTL}
        here |= {who for who, until in self.away.values() if world.now < until}
        for who in here | self._steady.keys():
            self._steady[who] = who in here and self._steady.get(who, who not in self._met)
        self._met = set(self._lives)
        self.missed |= {(key, user) for key, user in here if world.store.member(key, user) is None}

    # A session

    def welcomed(self, process: str, session: Session) -> None:
        """It has got its baseline, in which its own coming must not be."""
        if session.user and session.user in (session.told or ()):
            if self._refs[session.key, session.user] == {session.ref}:
                raise Broken(f"I4 a session of {process} will not be told of its own coming")

    def told(self, process: str, session: Session, step: Step) -> None:
        """It gets to know of a transition."""
        told, user, who = session.told, step.user, (session.key, step.user)
        if told is None or told.get(user) != step.before:
            raise Broken(f"I4 a session of {process} was told {step}, and knew {told}")
        if step.after is None:
            # Who came to be seen after the store had lost them may have other tabs that are not back yet.
            del told[user]
            if self.calm and self._steady.get(who) and user not in session.late:
                raise Broken(f"I12 a session of {process} was told that {user} left, who is still here")
            session.late.discard(user)
            return
        told[user] = step.after
        if step.before is None:
            if who in self.missed:
                session.late.add(user)
            session.joins[user] += 1
            if self.calm and session.joins[user] > self._lives[who]:
                raise Broken(f"I13 a session of {process} was told that {user} came, who did not once more")

    def refreshed(self, process: str, session: Session) -> None:
        """It has been told everything."""
        if session.audience and session.served and session.told != session.audience.replica.shown():
            raise Broken(f"I14 a session of {process} was told {session.told}, and sees {session.shown}")

    def pages(self, world: World) -> None:
        """Check that each page shows the true state, or is about to."""
        for process in world.processes.values():
            for session in process.sessions:
                if not session.served:
                    continue
                members = session.members()
                if session.count() != len(members):
                    raise Broken(f"I1 a session of {process.name} counts {session.count()} of {members}")
                if session.user and session.user not in members and self.calm:
                    raise Broken(f"I17 a session of {process.name} does not see itself in {members}")
                due = session.stale or process.audiences[session.key].news
                if session.shown is not None and not due and session.shown != members:
                    raise Broken(f"I14 a page of {process.name} shows {session.shown}, there are {members}")

    # The end

    def end(self, world: World) -> None:
        """Everything has come to rest: the store has the true state, and every page shows it."""
        store = world.store
        listed = {
            (key, ref): row.user for key, group in store.groups.items() for ref, row in group.rows.items()
        }
        sessions = [session for process in world.processes.values() for session in process.sessions]
        here = {(session.key, session.ref): session.user for session in sessions if session.user}
        here |= {(key, f"job of {user}"): user for key, user in world.jobs}
        if listed != here:
            raise Broken(f"I11 the store has {listed}, really here are {here}")
        if store.dead or store.index.keys() - store.leases.keys():
            raise Broken(f"I2 left over: {store.dead} {store.index}")
        for name, process in world.processes.items():
            for key, replica in process.replicas.items():
                members = store.snapshot(key).members
                if replica.shown() != members or replica.count != len(members):
                    raise Broken(f"I11 {name} shows {replica.shown()}, the store has {members}")
        for session in sessions:
            members = store.snapshot(session.key).members
            if not session.told == session.members() == members:
                raise Broken(
                    f"I4 a session was told {session.told}, sees {session.members()}, there are {members}"
                )
            if session.user and (session.key, session.user) not in world.jobs:
                tabs = [one for one in sessions if (one.key, one.user) == (session.key, session.user)]
                last = max(tabs, key=lambda one: self._said[one.ref, one.meta])
                if (len(tabs) == 1 or self.exact) and members[session.user].meta != last.meta:
                    raise Broken(f"I11 {session.user} said {last.meta} last, and has {members[session.user]}")
