"""Server processes, polling pages and their store in time: outages, and people who stay all the same."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

from djust_presence.state.audience import Audience
from djust_presence.state.keeper import Call, Timing
from djust_presence.state.outbox import Wish
from djust_presence.state.records import Change, Join, Member, Snapshot, Status, Step
from djust_presence.state.replica import Replica

from .pieces import REAL, AnyViewer, Pieces, carry_out

TTL = 30.0
TIMING = Timing.of(TTL)
TIMEOUT, READ_TIMEOUT = TTL / 12, 1.0
GRACE = 2.0
REFRESH_INTERVAL = 0.05
MOUNT = 0.4  # seconds between the look of a page and its being live, at most
POLL_TTL, LONGEST_POLL = 90.0, 66.0
KINDS = ("refused", "silent", "lost")
CUT = TTL / 2  # seconds for which one process alone is cut off: no lease expires by that
KEYS = ("g", "h")
SETTLED = 2 * TTL + 2 * LONGEST_POLL  # seconds after the last fault


class Wrong(Exception):
    """Something was shown or told that is not so."""


class Outage(NamedTuple):
    """Of the store, for all, or for *one* process. *kind*: calls are refused, swallowed, or done without an answer."""

    begin: float
    end: float
    kind: str
    one: str = ""

    def concerns(self, name: str, now: float) -> bool:
        return self.begin <= now < self.end and self.one in ("", name)


class Page(AnyViewer):
    """An open page. *told*: the members by its news; None: no news yet."""

    def __init__(self, process: Process, key: str, user: str, ref: str) -> None:
        super().__init__()
        self.process, self.key, self.user = process, key, user
        self.told: dict[str, Member] | None = None
        self.over = False
        self.want(Wish(key, user, "{}"), not user.startswith("visitor"), ref, process.world.now)

    @property
    def ref(self) -> str:
        return self.wanted.ref if self.wanted else ""

    def know(self, members: Mapping[str, Member]) -> None:
        super().know(members)
        self.told = dict(members)

    def refresh(self) -> None:
        super().refresh()
        self.process.flush_soon(self.key)


class Process:
    """A server process: the real pieces, and just what carries their calls out."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.replicas: dict[str, Replica] = {}
        self.audiences: dict[str, Audience[Page]] = {}
        self.pages: list[Page] = []
        self.flushing: set[str] = set()
        self.outbox = world.pieces.outbox(world.fresh, self.shown)
        self.keeper = world.pieces.keeper(
            self.outbox, self.replicas, TIMING, world.fresh, world.chance.random
        )
        self.submissions = world.pieces.submissions(self.outbox)
        self.waiting = False  # whether a call is under way
        self.killed = False
        self.reading: set[str] = set()
        self.failures: Counter[str] = Counter()
        self.turn_at = 0.0

    def shown(self, key: str, user: str) -> Any:
        replica = self.replicas.get(key)
        return replica.member(user) if replica else None

    # Pages

    def look(self, page: Page) -> None:
        """The page is being mounted, and reads its group; it is live a little later."""
        if page.key not in self.replicas:
            self.replicas[page.key] = self.world.pieces.replica(TTL / 2)
            self.audiences[page.key] = self.world.pieces.audience(page.key, self.replicas[page.key])
        self.audiences[page.key].look(page)
        self.read()

    def open(self, page: Page) -> None:
        if self.killed or page.over:
            return
        self.pages.append(page)
        taken_over = self.submissions.take_over(page)
        if taken_over and page.ref in self.world.listed:
            self.world.unlisted.pop(page.user, None)
        self.audiences[page.key].add(page)
        self.keeper.start()
        self.welcome(page)

    def welcome(self, page: Page) -> None:
        if page.served and page.told is None:
            page.told = self.replicas[page.key].shown()
        self.submissions.submit(page)
        self.turn()

    def close(self, page: Page) -> None:
        self.pages.remove(page)
        self.audiences[page.key].remove(page)
        self.submissions.end(page, GRACE, self.world.now)
        self.world.at(self.world.now + GRACE, self.expire)
        self.turn()

    def expire(self) -> None:
        if not self.killed:
            self.submissions.expire(self.world.now)
            self.turn()

    def kill(self) -> None:
        self.killed = True
        self.pages.clear()
        self.replicas.clear()
        self.audiences.clear()

    def flush_soon(self, key: str) -> None:
        if key not in self.flushing and not self.killed:
            self.flushing.add(key)
            self.world.at(self.world.now + REFRESH_INTERVAL, lambda: self.flush(key))

    def flush(self, key: str) -> None:
        self.flushing.discard(key)
        for page in self.audiences[key].flush() if key in self.audiences else ():
            for step in page.take().entries:
                assert isinstance(step, Step)
                self.world.told(page, step)
            if page.served and page.told != self.replicas[key].shown():
                raise Wrong(f"a page of {self.name} was told {page.told}, and sees {page.members()}")

    # Calls

    def turn(self) -> None:
        """Make the next call, if one is due, or come back when one is."""
        self.read()
        if self.waiting or self.killed:
            return
        self.submissions.settle()
        call = self.keeper.next(self.world.now)
        self.keeper.touched.clear()
        self.read()
        if call:
            self.waiting = True
            self.world.call(call.verb, call.args, TIMEOUT, lambda reply: self.done(call, reply), self.name)
        elif self.world.now < self.keeper.due < 1e9:
            self.world.at(self.keeper.due, self.turn)

    def done(self, call: Call, reply: Any) -> None:
        if self.killed:
            return
        self.waiting = False
        if reply is None:
            self.keeper.failed(call, self.world.now)
        else:
            for change in self.keeper.answered(call, reply[0], self.world.now):
                if change.key in self.audiences:
                    self.audiences[change.key].wrote(change, self.world.now)
                    self.flush_soon(change.key)
                self.world.publish(self, change)
        self.turn()

    def take(self, change: Change) -> None:
        if change.key in self.audiences:
            self.audiences[change.key].apply(change, self.world.now)
            self.flush_soon(change.key)
            self.read()

    def read(self) -> None:
        for key, replica in self.replicas.items():
            if replica.asks and key not in self.reading:
                self.reading.add(key)
                pause = min(TIMING.backoff, 0.1 * 2 ** self.failures[key]) if self.failures[key] else 0.0
                self.world.at(self.world.now + pause, lambda key=key: self.ask(key))  # type: ignore[misc]

    def ask(self, key: str) -> None:
        if self.killed:
            return
        self.replicas[key].asked()
        self.world.call("snapshot", (key,), READ_TIMEOUT, lambda reply: self.got(key, reply), self.name)

    def got(self, key: str, reply: tuple[Snapshot] | None) -> None:
        self.reading.discard(key)
        if self.killed:
            return
        replica = self.replicas[key]
        if reply is None:
            self.failures[key] += 1
            replica.failed()
        else:
            self.failures[key] = 0
            first = not replica.ready
            self.audiences[key].receive(reply[0], self.world.now)
            self.flush_soon(key)
            for page in tuple(self.audiences[key].viewers) if first else ():
                self.welcome(page)
        self.submissions.settle()
        self.read()


@dataclass(slots=True)
class Poller:
    """A page that polls: a lease of its own, which it renews when it polls, at most after its *pause*."""

    lease: str
    pause: float
    seq: int = 0


class World:
    """One history. *seed* decides everything."""

    def __init__(self, seed: int, pieces: Pieces = REAL, processes: int = 3, pollers: int = 3) -> None:
        self.pieces = pieces
        self.page: type[Page] = type("Page", (Page, pieces.viewer), {})
        self.chance = random.Random(seed)
        self.now = 0.0
        self.store = pieces.store()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self.outages = tuple(self._plan())
        self.faults_end = self.outages[-1].end + 5
        self.lossy = self.chance.random() < 0.5  # every tenth reply is lost
        self.slow_bus, self.slow_store = self.chance.choice([(0.01, 0.05), (0.3, 0.02), (0.02, 0.3)])
        self.processes = [Process(self, name) for name in "ABCD"[:processes]]
        self.stayers: dict[str, Page] = {}
        self.listed: set[str] = set()  # refs that the store has taken once
        self.unlisted: dict[str, float] = {}  # who is between two processes, and since when
        self.hiccups: list[float] = []  # when a reply was lost, but by an outage
        self.excused: set[str] = set()
        for n, process in enumerate(self.processes):
            for key in KEYS:  # somebody is on every process, from the start
                self.at(self.chance.uniform(0, 5), self._arrival(process, key, f"stayer {n}{key}"))
        for n in range(pollers):
            poller = Poller(f"poller {n}", self.chance.choice([5.0, 13.0, 60.0]))
            self.at(self.chance.uniform(0, 20), lambda poller=poller: self.begin_polling(poller))  # type: ignore[misc]
        self.at(10.0, self.churn)
        if processes > 1 and self.chance.random() < 0.5:
            self.at(self.chance.uniform(20, self.faults_end), self.kill)

    def _plan(self) -> Iterator[Outage]:
        at = 40.0
        for _ in range(2):
            length = self.chance.choice(
                [self.chance.uniform(TTL / 2, 3 * TTL), self.chance.uniform(TTL - 6, TTL + 6)]
            )
            begin = at + self.chance.uniform(0, 30)
            yield Outage(begin, begin + length, self.chance.choice(KINDS))
            at = begin + length + self.chance.uniform(30, 120)
            begin, length = begin + length + self.chance.uniform(15, 60), self.chance.uniform(2, CUT)
            yield Outage(begin, begin + length, self.chance.choice(KINDS), "A")
            at = max(at, begin + length + 15)

    # Time and chance

    def fresh(self) -> str:
        return f"{self.chance.getrandbits(48):012x}"

    def at(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (when, next(self._numbers), act))

    def run(self) -> None:
        end = self.faults_end + SETTLED
        while self._queue and self._queue[0][0] < end:
            self.now, _, act = heapq.heappop(self._queue)
            act()
        self.compare()

    # The store and the bus

    def call(
        self,
        verb: str,
        args: tuple[Any, ...],
        timeout: float,
        done: Callable[[Any], None],
        name: str = "a page",
    ) -> None:
        """Carry *verb* out for *name*, and call *done* with the reply in a tuple, or with None if there is none."""
        outage = next((one for one in self.outages if one.concerns(name, self.now)), None)
        kind = outage.kind if outage else ""
        if not kind and self.lossy and self.now < self.faults_end and self.chance.random() < 0.1:
            kind = "lost"
        if kind == "lost" and (outage is None or self.now <= outage.begin + TIMEOUT):
            self.hiccups.append(self.now)
        if kind == "refused":
            self.at(self.now + 0.001, lambda: done(None))
            return
        there, back = (self.chance.uniform(0.0005, self.slow_store) for _ in range(2))
        if kind != "silent":

            def carry_out() -> None:
                reply = self.verb(verb, *args)
                if kind != "lost":
                    self.at(self.now + back, lambda: done((reply,)))

            self.at(self.now + there, carry_out)
        if kind:
            self.at(self.now + timeout, lambda: done(None))

    def verb(self, verb: str, *args: Any) -> Any:
        if verb == "write":
            for op in args[1]:
                self._notice(op)
        return carry_out(self.store, verb, args, self.now)

    def publish(self, sender: Process, change: Change) -> None:
        for process in self.processes:
            if process is not sender and self.chance.random() > 0.05:
                delay = self.chance.uniform(0.0005, self.slow_bus)
                self.at(self.now + delay, lambda process=process: process.take(change))  # type: ignore[misc]

    def kill(self) -> None:
        """One process dies, and who was on it does not come back."""
        victim = self.processes.pop()
        for user, page in list(self.stayers.items()):
            if page.process is victim:
                del self.stayers[user]
                self.excused.add(user)
        victim.kill()

    # People

    def _arrival(self, process: Process, key: str, user: str) -> Callable[[], None]:
        def arrive() -> None:
            if process.killed:
                self.excused.add(user)
                return
            page = self.stayers[user] = self.page(process, key, user, self.fresh())
            process.look(page)
            self.at(self.now + self.chance.uniform(0, MOUNT), lambda: process.open(page))

        return arrive

    def churn(self) -> None:
        """Somebody comes, goes, or moves to another process, which may be while the store is away."""
        if self.now < self.faults_end:
            self.at(self.now + self.chance.expovariate(1.0), self.churn)
            here = sorted(user for user, page in self.stayers.items() if page in page.process.pages)
            if self.chance.random() < 0.4 and here:
                self.move(self.chance.choice(here))
            else:
                self.visit(self.chance.choice(self.processes))

    def move(self, user: str) -> None:
        old = self.stayers.pop(user)
        if old.ref in self.listed:
            self.unlisted[user] = self.now
        self.shut(old)
        elsewhere = self.chance.choice(self.processes)
        self.at(self.now + self.chance.uniform(0.1, 0.6), self._arrival(elsewhere, old.key, user))

    def visit(self, process: Process) -> None:
        page = self.page(process, self.chance.choice(KEYS), f"visitor {self.fresh()}", self.fresh())
        process.look(page)
        self.at(self.now + self.chance.uniform(0, MOUNT), lambda: process.open(page))
        self.at(self.now + MOUNT + self.chance.uniform(0.5, 20), lambda: self.shut(page))

    def shut(self, page: Page) -> None:
        page.over = True
        if page in page.process.pages:
            page.process.close(page)

    def begin_polling(self, poller: Poller) -> None:
        def opened(reply: Any) -> None:
            if reply is None:
                self.at(self.now + 5, lambda: self.begin_polling(poller))
                return
            op = Join(1, KEYS[0], f"ref of {poller.lease}", poller.lease, "{}", self.fresh(), self.fresh())
            self.call("write", (poller.lease, [op]), TIMEOUT, joined)

        def joined(reply: Any) -> None:
            if reply is None or reply[0][0].status is Status.SEEN:
                self.at(self.now + 5, lambda: opened((None,)) if reply is None else self.poll(poller))
                return
            poller.seq = 1
            self.at(self.now + poller.pause, lambda: self.poll(poller))

        self.call("open", (poller.lease, POLL_TTL, LONGEST_POLL, TTL / 2), TIMEOUT, opened)

    def poll(self, poller: Poller) -> None:
        def polled(reply: Any) -> None:
            if reply and reply[0].status is Status.DEAD:
                raise Wrong(f"{poller.lease} was claimed, and polls")
            pause = poller.pause if reply else min(10.0, poller.pause)
            self.at(self.slept(self.now + pause * self.chance.uniform(0.9, 1.1)), lambda: self.poll(poller))

        poller.seq = 1
        self.call("renew", (poller.lease, 1, [], 0), TIMEOUT, polled)

    def slept(self, until: float) -> float:
        """Return when a page polls that is due at *until*: it may sleep through an outage, and then for its longest pause."""
        for one in self.outages:
            if one.concerns("a page", until) and one.kind != "lost" and self.chance.random() < 0.5:
                return one.end + self.chance.uniform(0, LONGEST_POLL - TIMEOUT)
        return until

    # What must hold

    def _notice(self, op: Any) -> None:
        if isinstance(op, Join) and (page := self.stayers.get(op.user)) and page.ref == op.ref:
            self._excuse(op.user)
            self.unlisted.pop(op.user, None)
            self.listed.add(op.ref)

    def _excuse(self, user: str) -> None:
        """Excuse a user who has changed servers while the new one is held up for longer than GRACE.

        A lost reply holds it up, or an outage whose end it notices late.
        """
        since = self.unlisted.get(user, self.now)
        lost = any(since - TIMEOUT < at < self.now for at in self.hiccups)
        cut = any(
            one.one and one.begin < self.now and since < one.end + TIMEOUT + TIMING.backoff
            for one in self.outages
        )
        if self.now - since > GRACE and (lost or cut):
            self.excused.add(user)

    def told(self, page: Page, step: Step) -> None:
        if page.told is None or page.told.get(step.user) != step.before:
            raise Wrong(f"a page of {page.process.name} was told {step}, and knew {page.told}")
        if step.after:
            page.told[step.user] = step.after
            return
        del page.told[step.user]
        self._excuse(step.user)
        if not step.user.startswith("visitor") and step.user not in self.excused:
            raise Wrong(f"a page of {page.process.name} was told that {step.user} left")

    def compare(self) -> None:
        for key in KEYS:
            listed = {user: member.connections for user, member in self.store.snapshot(key).members.items()}
            here = Counter(
                page.user for process in self.processes for page in process.pages if page.key == key
            )
            here.update({user: 1 for user in listed if user.startswith("poller")})
            if listed != here:
                raise Wrong(f"the store lists {listed}, here are {dict(here)}")
            for process in self.processes:
                if (replica := process.replicas.get(key)) and replica.shown() != self.store.snapshot(
                    key
                ).members:
                    raise Wrong(f"{process.name} shows {sorted(replica.shown())}, here are {sorted(here)}")


def explore(pieces: Pieces, seeds: range, **arguments: Any) -> str | None:
    """Run a history for each seed; what went wrong in the first that did."""
    for seed in seeds:
        world = World(seed, pieces, **arguments)
        try:
            world.run()
        except Wrong as wrong:
            return f"seed {seed} at {world.now:.2f} s, {world.outages}: {wrong}"
    return None
