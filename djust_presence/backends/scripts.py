"""What each verb says to Redis and how the answers read, without any I/O."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any, Generic, NamedTuple, TypeVar

from ..state.records import Change, Join, Member, Op, Place, Renewal, Reply, Snapshot, Status, Work

T = TypeVar("T")

Command = tuple[str, ...]

CHUNK = 1000  # so many fields of a hash are asked for in one command


class Script(NamedTuple):
    """A script's text, and the name under which a server that knows it runs it."""

    text: str
    sha: str


@cache
def load(name: str) -> Script:
    """The script *name* of the folder ``lua``, with what all of them share in front."""
    folder = files(__package__) / "lua"
    text = "".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("prelude", name))
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """Commands that go out together in one round trip, and how their replies read."""

    commands: list[Command]
    parse: Callable[[list[Any]], T]
    scripts: tuple[Script, ...] = ()
    reading: bool = False

    def talk(self, unknown: type[Exception]) -> Generator[list[Command], list[Any], T]:
        """Yield the commands of each round trip, take their replies, and return the answer.

        Raises the first reply that is an error. A server that does not know a script (error *unknown*) is told all of
        them, and what came before is not asked again. What came after it is: there, a write that ran all the same
        found a gap in the numbers and did nothing, or was seen before.
        """
        replies = yield self.commands
        for at, reply in enumerate(replies):
            if isinstance(reply, unknown):
                accepted((yield [("SCRIPT", "LOAD", script.text) for script in self.scripts]))
                replies = replies[:at] + (yield self.commands[at:])
                break
        return self.parse(accepted(replies))


def accepted(replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def member(text: str) -> Member:
    connections, joined_at, meta = text.split(":", 2)
    return Member(int(connections), float(joined_at), meta)


def place(text: str | None) -> Place | None:
    if text is None:
        return None
    epoch, version, tag = text.split(":", 2)
    return Place(epoch, int(version), tag)


def change(key: str, tag: str, reply: list[Any]) -> Change | None:
    """The Change in what ``finish`` of the prelude says."""
    if len(reply) < 4:
        return None
    epoch, version, prev, count, *records = reply
    return Change(
        key,
        Place(epoch, version, tag),
        prev,
        {user: text and member(text) for user, text in zip(records[::2], records[1::2], strict=True)},
        count,
    )


def answer(op: Op, reply: list[Any]) -> Reply:
    status, *rest = reply
    if status != Status.OK:
        return Reply(Status(status))
    return Reply(Status.OK, rest[0] if isinstance(op, Join) else "", change(op.key, op.tag, rest))


def number(seconds: float) -> str:
    return f"{seconds:.6f}"


class Scripts:
    """The verbs as requests. Every key that they touch carries the hash tag of *prefix*."""

    def __init__(self, prefix: str) -> None:
        self.prefix = f"{{{prefix}}}:"

    def _call(self, script: str, *arguments: str) -> Command:
        return ("EVALSHA", load(script).sha, "1", self.prefix, *arguments)

    def _ask(self, script: str, *arguments: str, parse: Callable[[Any], T]) -> Request[T]:
        return Request([self._call(script, *arguments)], lambda replies: parse(replies[0]), (load(script),))

    def _fields(self, row: str, names: Sequence[str]) -> list[Command]:
        """Commands for the fields *names* of a hash."""
        return [
            ("HMGET", self.prefix + row, *names[start : start + CHUNK])
            for start in range(0, len(names), CHUNK)
        ]

    # Leases

    def open(self, lease: str, ttl: float) -> Request[None]:
        return self._ask("open", lease, number(ttl), parse=lambda reply: None)

    def renew(self, lease: str, seq: int, keys: Sequence[str]) -> Request[Renewal]:
        def parse(replies: list[Any]) -> Renewal:
            status, *late = replies[0]
            if status != Status.OK:
                return Renewal(Status(status))
            texts = [text for chunk in replies[1:] for text in chunk]
            return Renewal(
                Status.OK, late == [1], {key: place(text) for key, text in zip(keys, texts, strict=True)}
            )

        places = self._fields("V", keys)
        return Request([self._call("renew", lease, str(seq)), *places], parse, (load("renew"),))

    def drain(self, lease: str, grace: float) -> Request[None]:
        return self._ask("drain", lease, number(grace), parse=lambda reply: None)

    def claim(self, own: str | None, limit: int, lag: float) -> Request[list[Work] | None]:
        def parse(reply: list[list[str]] | None) -> list[Work] | None:
            if reply is None:
                return None
            work: dict[tuple[str, str], list[str]] = {}
            for lease, *some in reply:
                for text in some:
                    ref, key = text.split(":", 1)
                    work.setdefault((lease, key), []).append(ref)
            return [Work(lease, key, refs) for (lease, key), refs in work.items()]

        return self._ask("claim", own or "", str(limit), number(lag), parse=parse)

    def reap(self, lease: str, key: str, refs: Sequence[str], tag: str) -> Request[Change | None]:
        return self._ask("reap", lease, key, tag, *refs, parse=lambda reply: change(key, tag, reply))

    # Writes

    def write(self, lease: str, ops: Sequence[Op]) -> Request[list[Reply]]:
        def call(op: Op) -> Command:
            if isinstance(op, Join):
                joined_at = "" if op.joined_at is None else number(op.joined_at)
                return self._call(
                    "join", lease, str(op.seq), op.key, op.ref, op.user, op.meta, op.epoch, op.tag, joined_at
                )
            return self._call("leave", lease, str(op.seq), op.key, op.ref, op.tag)

        return Request(
            [call(op) for op in ops],
            lambda replies: [answer(op, reply) for op, reply in zip(ops, replies, strict=True)],
            (load("join"), load("leave")),
        )

    # Jobs

    def beat(self, key: str, ref: str) -> Request[bool]:
        return self._ask("beat", key, ref, parse=bool)

    def release(self, key: str, ref: str, tag: str) -> Request[Change | None]:
        return self._ask("release", key, ref, tag, parse=lambda reply: change(key, tag, reply))

    # Reads

    def snapshots(self, keys: Sequence[str]) -> Request[list[Snapshot]]:
        def snapshot(reply: list[Any]) -> Snapshot:
            where, members = reply
            return Snapshot(
                place(where),
                {user: member(text) for user, text in zip(members[::2], members[1::2], strict=True)},
            )

        return Request(
            [self._call("snapshot", key) for key in keys],
            lambda replies: [snapshot(reply) for reply in replies],
            (load("snapshot"),),
            reading=True,
        )

    def counts(self, keys: Sequence[str]) -> Request[list[int]]:
        return Request(
            [("HLEN", self.prefix + "u:" + key) for key in keys],
            lambda replies: [int(reply) for reply in replies],
            reading=True,
        )

    def members(self, key: str, users: Sequence[str]) -> Request[list[Member | None]]:
        return Request(
            self._fields("u:" + key, users),
            lambda replies: [text and member(text) for chunk in replies for text in chunk],
            reading=True,
        )
