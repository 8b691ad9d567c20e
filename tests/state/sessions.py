"""The pages of a process: real viewers and audiences, and what each page has been told and shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from typing import TYPE_CHECKING

from djust_presence.state.outbox import Outbox, Wish
from djust_presence.state.records import Change, Member, Snapshot, Step
from djust_presence.state.replica import Replica

from .pieces import AnyViewer
from .words import HOLD

if TYPE_CHECKING:
    from .world import World


class Session(AnyViewer):
    """A page. *told*: the members by its news; None: no news yet. *shown*: what it shows, if that has presence."""

    def __init__(self, key: str, user: str | None, meta: str, missed: Set[tuple[str, str]]) -> None:
        super().__init__()
        self.key, self.user, self.meta, self.missed = key, user, meta, missed
        self.told: dict[str, Member] | None = None
        self.late: set[str] = set()  # users that the store had lost before they came to be seen
        self.shown: Mapping[str, Member] | None = None
        self.joins: Counter[str] = Counter()

    @property
    def ref(self) -> str:
        return self.wanted.ref if self.wanted else ""

    def know(self, members: Mapping[str, Member]) -> None:
        super().know(members)
        self.begin(members)

    def begin(self, members: Mapping[str, Member]) -> None:
        """Its news go on from *members*."""
        self.told = dict(members)
        self.late = {user for user in members if (self.key, user) in self.missed}

    def render(self) -> None:
        self.shown = dict(self.members())


class Sessions:
    """The pages of the process *name*, with the pieces that serve them."""

    def __init__(self, world: World, name: str) -> None:
        pieces = world.pieces
        self.world, self.name = world, name
        self.replicas: dict[str, Replica] = {}
        self.audiences = {}  # type: ignore[var-annotated]  # by key; of the pieces' kind
        self.outbox: Outbox = pieces.outbox(
            world.fresh, lambda key, user: self.replicas[key].member(user) if key in self.replicas else None
        )
        self.submissions = pieces.submissions(self.outbox)
        self.mounting: list[Session] = []
        self.sessions: list[Session] = []

    def serve(self, key: str) -> None:
        if key not in self.replicas:
            self.replicas[key] = self.world.pieces.replica(HOLD)
            self.audiences[key] = self.world.pieces.audience(key, self.replicas[key])

    def look(self, session: Session) -> None:
        """It is being mounted, and reads its group."""
        self.serve(session.key)
        self.mounting.append(session)
        self.audiences[session.key].look(session)

    def attach(self, session: Session) -> None:
        """It is live."""
        self.serve(session.key)
        self.sessions.append(session)
        session.baseline = None
        taken_over = self.submissions.take_over(session)
        self.audiences[session.key].add(session)
        self.welcome(session, taken_over)
        if taken_over:
            session.refresh()
            self.world.truth.away.pop(session.ref, None)

    def detach(self, session: Session) -> None:
        self.sessions.remove(session)
        self.audiences[session.key].remove(session)

    def welcome(self, session: Session, back: bool = False) -> None:
        """Note the baseline of its news, once there is one."""
        if session.served and session.told is None:
            session.begin(self.replicas[session.key].shown())
        if session.served and not back:
            self.world.truth.welcomed(self.name, session)
        self.submissions.submit(session)

    def wish(self, session: Session) -> None:
        """Be who *session* says, which shows at once."""
        if session.user:
            wish, lasting = Wish(session.key, session.user, session.meta), session.user in self.world.users
            session.want(wish, lasting, self.world.fresh(), self.world.now)
        else:
            session.wanted = None

    def take(self, change: Change) -> None:
        if change.key in self.audiences:
            self.audiences[change.key].apply(change, self.world.now)

    def wrote(self, change: Change) -> None:
        if change.key in self.audiences:
            self.audiences[change.key].wrote(change, self.world.now)

    def receive(self, key: str, snapshot: Snapshot) -> None:
        first = not self.replicas[key].ready
        self.audiences[key].receive(snapshot, self.world.now)
        for session in self.audiences[key].viewers if first else ():
            self.welcome(session)

    def untold(self, key: str) -> bool:
        """Return whether some page has not been told something, or may show something else."""
        audience = self.audiences[key]
        return bool(audience.news) or any(session.stale for session in audience.viewers)

    def tell(self, key: str) -> None:
        """Let the pages of a group take in their news, and show what is so."""
        for session in self.audiences[key].flush():
            for step in session.take().entries:
                assert isinstance(step, Step)
                self.world.truth.told(self.name, session, step)
            session.render()
            self.world.truth.refreshed(self.name, session)
