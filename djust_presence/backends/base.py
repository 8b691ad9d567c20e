"""The contract of a backend: the meaning of each verb."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.core.checks import CheckMessage

from ..state.order import Order, Spot
from ..state.records import Change, Member, Op, Renewal, Reply, Snapshot, Work

__all__ = ["Backend"]

P = ParamSpec("P")
T = TypeVar("T")


def in_thread(verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
    """Await a blocking verb without holding up the loop."""
    return sync_to_async(verb, thread_sensitive=False)(*args, **kwargs)


class Backend:
    """The only truth about who is present.

    A verb is one atomic step: nobody ever sees half of it. Groups are named by presence keys (text), connections by
    refs and processes by leases (both random; no ref, epoch or tag has a colon, no lease a space). Metas are opaque
    text. The time is the backend's own, in epoch seconds; it decides when a lease has expired and stands in
    ``joined_at``.

    A verb that cannot be carried out, or whose answer got lost, raises ``PresenceUnavailable``; it may have happened
    all the same, and every verb can be repeated as it was.

    A lease is **open** until it is **claimed**, which only happens once it has expired; in between it can still be
    renewed. Writes go through a gate: the one numbered ``last + 1`` runs; a number that was used already answers
    SEEN, and a gap, a claimed or an unknown lease answers DEAD, both without effect. So a write that was delayed,
    doubled, or sent to a store which has lost its memory leaves nothing behind.

    A **Change** is every visible difference of a user's record. The version rises by one with each, its tag is the
    caller's, ``prev`` is the tag before, and ``before`` has the records that these users had until then: signals are made
    from them. A write that changes nothing makes no Change. A group begins with a join, which gives it its epoch, and ends,
    leaving no row, with its last leave.

    Third parties may write the blocking verbs only: the ``a``-twins then run them in a thread.
    """

    #: True if other processes see what is written here. If not, no channel layer is needed.
    shared: ClassVar[bool] = True

    def __init__(self, location: str, options: Mapping[str, Any]) -> None:
        """*location* and *options* are the settings LOCATION and OPTIONS; unknown options are a ``TypeError``."""

    @property
    def namespace(self) -> str:
        """A name that tells this store from others whose processes use the same channel layer or cache."""
        return ""

    def check(self) -> list[CheckMessage]:
        """Return the faults of the configuration, found without any I/O."""
        return []

    def close(self) -> None:
        """Close connections. A later use of the backend opens them again."""

    async def aclose(self) -> None:
        """Close the connections of the running loop."""

    # Leases

    def open(self, lease: str, ttl: float, unheard: float = 0, pause: float = 0) -> str:
        """Begin *lease*, with no write under it yet; do nothing if it is known or claimed.

        While all is well its owner writes or renews at least every *unheard* seconds; 0 if it makes no such promise. The store
        notes since when it has been heard from (by openings and renewals of leases with such a promise) without a
        silence longer than *pause*, the shortest in which a lease of somebody alive may expire: see :meth:`claim`.

        Return the birth of the store, which is the first lease that was opened in it: another one than before means
        that the store has lost everything meanwhile. A lease whose id begins with ``job:`` is kept alive by :meth:`beat`, not by renewals, and ends with its ref.
        """
        raise NotImplementedError

    def renew(self, lease: str, seq: int, keys: Sequence[str], ahead: int = 0) -> Renewal:
        """Extend *lease* by its ttl, unless it is draining, and say where the groups *keys* stand.

        DEAD if the lease is unknown or claimed, or *seq* is not the number of its last write. *ahead* more
        writes are under way, and may have been carried out.
        """
        raise NotImplementedError

    def drain(self, lease: str, grace: float) -> None:
        """Let *lease* expire in *grace* seconds, whatever was left of it; it cannot be extended after that.

        A lease without refs is forgotten at once.
        """
        raise NotImplementedError

    def claim(self, own: str | None, limit: int, lag: float) -> list[Work] | None:
        """Claim expired leases, some of them at least, and return work that claimed leases have left, *limit* refs at most.

        A lease with a promise (*unheard*) is claimed only if the store has been heard from, up to this moment and
        without a pause, for at least that long; for a draining one, its *pause* is enough: users who have moved to
        another process are known there by then. So after an outage every live process has renewed before any lease is
        claimed. Without *own* this rule does not apply.

        None if the lease *own* is unknown or has itself expired. Without *own*, expired job leases are claimed, and
        others only when they expired *lag* seconds ago. The same work may be given out more than once.
        """
        raise NotImplementedError

    def reap(self, lease: str, key: str, refs: Sequence[str], tag: str) -> Change | None:
        """Remove the connections *refs* that still hang on the claimed *lease*."""
        raise NotImplementedError

    # Writes

    def write(self, lease: str, ops: Sequence[Op]) -> list[Reply]:
        """Carry out *ops* one after the other, in one round trip, and answer each.

        A join hangs its ref on this lease from here on. Joining again with the same ref is an update. A user has the
        meta that was said last by one of their connections. A meta is said with its join, later than all others of
        the user, unless *said* is given: that counts if the ref is new or had another meta, or is later than what it
        had. A ``joined_at`` that is given counts if it is earlier than the user's. Leaving with an unknown ref is
        nothing, and so is a leave after its ``by``, which is answered LATE.
        """
        raise NotImplementedError

    def open_and_write(self, lease: str, ttl: float, ops: Sequence[Op]) -> list[Reply]:
        """:meth:`open` and :meth:`write`. A store that is asked over a network does both in one round trip."""
        self.open(lease, ttl)
        return self.write(lease, ops)

    # Jobs

    def beat(self, key: str, ref: str) -> bool:
        """Extend the job lease on which *ref* hangs by its ttl; False if it is gone or claimed."""
        raise NotImplementedError

    def release(self, key: str, ref: str, tag: str) -> Change | None:
        """Remove *ref*, whichever lease it hangs on."""
        raise NotImplementedError

    # Reads

    def snapshots(self, keys: Sequence[str]) -> list[Snapshot]:
        """Return the groups *keys*, each as of one moment, in one round trip."""
        raise NotImplementedError

    def page(self, key: str, limit: int | None = None, after: Spot | None = None) -> dict[str, Member]:
        """Return members of a group in order: by ``joined_at``, and where that is equal by their users' code points.

        At most *limit* of them, and only those *after* a spot in this order: a ``joined_at`` and a user, who need not
        be a member. This default reads the whole group; override it in a store that can read a part.
        """
        members = self.snapshots([key])[0].members
        return {user: members[user] for user in Order.of(members).part(limit, after)}

    def counts(self, keys: Sequence[str]) -> list[int]:
        """Return the number of users in each of the groups *keys*, in one round trip and constant time for each.

        In the order of *keys*, which may be none, thousands, or the same again.
        """
        raise NotImplementedError

    def members(self, key: str, users: Sequence[str]) -> list[Member | None]:
        """Return the member for each of *users*, None for those who are not in the group, in one round trip.

        In the order of *users*, who may be none, thousands, or the same again.
        """
        raise NotImplementedError

    def count(self, key: str) -> int:
        """:meth:`counts` of one group."""
        return self.counts([key])[0]

    def member(self, key: str, user: str) -> Member | None:
        """:meth:`members` for one user."""
        return self.members(key, [user])[0]

    def count_and_member(self, key: str, user: str) -> tuple[int, Member | None]:
        """:meth:`count` and :meth:`member`. A store that is asked over a network answers both in one round trip."""
        return self.count(key), self.member(key, user)

    # The same, awaited

    async def aopen(self, lease: str, ttl: float, unheard: float = 0, pause: float = 0) -> str:
        return await in_thread(self.open, lease, ttl, unheard, pause)

    async def arenew(self, lease: str, seq: int, keys: Sequence[str], ahead: int = 0) -> Renewal:
        return await in_thread(self.renew, lease, seq, keys, ahead)

    async def adrain(self, lease: str, grace: float) -> None:
        await in_thread(self.drain, lease, grace)

    async def aclaim(self, own: str | None, limit: int, lag: float) -> list[Work] | None:
        return await in_thread(self.claim, own, limit, lag)

    async def areap(self, lease: str, key: str, refs: Sequence[str], tag: str) -> Change | None:
        return await in_thread(self.reap, lease, key, refs, tag)

    async def awrite(self, lease: str, ops: Sequence[Op]) -> list[Reply]:
        return await in_thread(self.write, lease, ops)

    async def aopen_and_write(self, lease: str, ttl: float, ops: Sequence[Op]) -> list[Reply]:
        await self.aopen(lease, ttl)
        return await self.awrite(lease, ops)

    async def abeat(self, key: str, ref: str) -> bool:
        return await in_thread(self.beat, key, ref)

    async def arelease(self, key: str, ref: str, tag: str) -> Change | None:
        return await in_thread(self.release, key, ref, tag)

    async def asnapshots(self, keys: Sequence[str]) -> list[Snapshot]:
        return await in_thread(self.snapshots, keys)

    async def apage(self, key: str, limit: int | None = None, after: Spot | None = None) -> dict[str, Member]:
        return await in_thread(self.page, key, limit, after)

    async def acounts(self, keys: Sequence[str]) -> list[int]:
        return await in_thread(self.counts, keys)

    async def amembers(self, key: str, users: Sequence[str]) -> list[Member | None]:
        return await in_thread(self.members, key, users)

    async def acount(self, key: str) -> int:
        return (await self.acounts([key]))[0]

    async def amember(self, key: str, user: str) -> Member | None:
        return (await self.amembers(key, [user]))[0]

    async def acount_and_member(self, key: str, user: str) -> tuple[int, Member | None]:
        return await self.acount(key), await self.amember(key, user)
