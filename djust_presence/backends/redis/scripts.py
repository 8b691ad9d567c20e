"""The verbs as Redis commands, and the reading of their replies, without any I/O."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any, Generic, NamedTuple, TypeVar

from ...errors import PresenceUnavailable
from ...state.order import Spot
from ...state.records import (
    SCHEMA,
    Change,
    Join,
    Member,
    Op,
    Place,
    Renewal,
    Reply,
    Snapshot,
    Status,
    Work,
)

__all__ = ["Request", "Scripts"]

T = TypeVar("T")

Command = tuple[str, ...]

CHUNK = 1000  # fields of a hash that one command asks for, at most
MENDED_GROUPS = 100  # groups of a process that each renewal looks through
MENDED_ROWS = 100  # rows in all of them


class Script(NamedTuple):
    """A script's text, and the name under which a server that knows it runs it."""

    text: str
    sha: str


@cache
def load(name: str) -> Script:
    """Return the script *name* of the folder ``lua``, with the prelude in front."""
    folder = files(__package__) / "lua"
    text = "".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("prelude", name))
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """Commands that go out together in one round trip, and the function that reads their replies."""

    commands: list[Command]
    parse: Callable[[list[Any]], T]
    scripts: tuple[Script, ...] = ()
    reading: bool = False

    def talk(self, unknown: type[Exception]) -> Generator[list[Command], list[Any], T]:
        """Yield the commands of each round trip, take their replies, and return the answer.

        Raises the first reply that is an error; in a read, a row of the wrong type is None. A server that does not know
        a script (error *unknown*) is sent all of them. Commands before that one are not repeated, later ones are: a
        write among them that ran all the same found a gap in the numbers or an unknown lease, or is answered SEEN.
        """
        replies = yield self.commands
        for at, reply in enumerate(replies):
            if isinstance(reply, unknown):
                accepted((yield [("SCRIPT", "LOAD", script.text) for script in self.scripts]))
                replies = replies[:at] + (yield self.commands[at:])
                break
        return self.parse(accepted(replies, self.reading))


def accepted(replies: list[Any], reading: bool = False) -> list[Any]:
    found = [None if reading and is_wrong_type(reply) else reply for reply in replies]
    for reply in found:
        if isinstance(reply, Exception):
            raise reply
    return found


def is_wrong_type(reply: Any) -> bool:
    return isinstance(reply, Exception) and str(reply).startswith("WRONGTYPE")


def member(text: str | None) -> Member | None:
    """Return the member in a row; None if there is no row, or it cannot be read."""
    try:
        connections, joined_at, _, meta = (text or "").split(":", 3)
        return Member(int(connections), float(joined_at), meta)
    except ValueError:
        return None


def place(text: str | None) -> Place | None:
    try:
        epoch, version, tag = (text or "").split(":", 2)
        return Place(epoch, int(version), tag)
    except ValueError:
        return None


def members(rows: Sequence[str]) -> dict[str, Member]:
    """Read the users of a group from an HGETALL, without those whose row cannot be read."""
    found = {user: member(text) for user, text in zip(rows[::2], rows[1::2], strict=True)}
    return {user: one for user, one in found.items() if one}


def change(key: str, tag: str, reply: list[Any]) -> Change | None:
    """Return the Change in a reply of ``finish`` in the prelude."""
    if len(reply) < 4:
        return None
    epoch, version, prev, count, *users = reply
    return Change(
        key,
        Place(epoch, version, tag),
        prev,
        {user: member(text) for user, text in zip(users[::3], users[1::3], strict=True)},
        count,
        {user: member(text) for user, text in zip(users[::3], users[2::3], strict=True)},
    )


def answer(op: Op, reply: list[Any]) -> Reply:
    status, *rest = reply
    if status != Status.OK:
        return Reply(Status(status))
    if isinstance(op, Join):
        said, *rest = rest
        return Reply(Status.OK, rest[0], change(op.key, op.tag, rest), float(said))
    return Reply(Status.OK, change=change(op.key, op.tag, rest))


def number(seconds: float) -> str:
    return f"{seconds:.6f}"


class Scripts:
    """The verbs as requests. Every key that they touch carries the hash tag of *prefix*, and the schema's number."""

    def __init__(self, prefix: str) -> None:
        self.prefix = f"{{{prefix}}}:{SCHEMA}:"

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

    def open(self, lease: str, ttl: float, unheard: float = 0, pause: float = 0) -> Request[str]:
        return self._ask("open", lease, number(ttl), number(unheard), number(pause), parse=str)

    def renew(self, lease: str, seq: int, keys: Sequence[str], ahead: int = 0) -> Request[Renewal]:
        def parse(replies: list[Any]) -> Renewal:
            status, *late_and_time = replies[0]
            del replies[1]  # of mending
            if status != Status.OK:
                return Renewal(Status(status))
            late, at = late_and_time
            texts = [text for chunk in replies[1:] for text in chunk]
            places = {key: place(text) for key, text in zip(keys, texts, strict=True)}
            return Renewal(Status.OK, late == 1, places, float(at))

        some = random.sample(keys, min(len(keys), MENDED_GROUPS))
        return Request(
            [
                self._call("renew", lease, str(seq), str(ahead)),
                self._call("mend", lease, str(MENDED_ROWS), *some),
                *self._fields("V", keys),
            ],
            parse,
            (load("renew"), load("mend")),
        )

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
                times = ("" if at is None else number(at) for at in (op.joined_at, op.said))
                return self._call(
                    "join", lease, str(op.seq), op.key, op.ref, op.user, op.meta, op.epoch, op.tag, *times
                )
            by = "" if op.by is None else number(op.by)
            return self._call("leave", lease, str(op.seq), op.key, op.ref, op.tag, by)

        return Request(
            [call(op) for op in ops],
            lambda replies: [answer(op, reply) for op, reply in zip(ops, replies, strict=True)],
            (load("join"), load("leave")),
        )

    def open_and_write(self, lease: str, ttl: float, ops: Sequence[Op]) -> Request[list[Reply]]:
        opening, write = self.open(lease, ttl), self.write(lease, ops)
        return Request(
            [*opening.commands, *write.commands],
            lambda replies: write.parse(replies[1:]),
            (*opening.scripts, *write.scripts),
        )

    # Jobs

    def beat(self, key: str, ref: str) -> Request[bool]:
        return self._ask("beat", key, ref, parse=bool)

    def release(self, key: str, ref: str, tag: str) -> Request[Change | None]:
        return self._ask("release", key, ref, tag, parse=lambda reply: change(key, tag, reply))

    # Reads

    def snapshots(self, keys: Sequence[str]) -> Request[list[Snapshot]]:
        return Request(
            [self._call("snapshot", key) for key in keys],
            lambda replies: [
                Snapshot(place(where), members(rows)) for where, rows in map(self._of_group, replies)
            ],
            (load("snapshot"),),
            reading=True,
        )

    def page(
        self, key: str, limit: int | None = None, after: Spot | None = None
    ) -> Request[dict[str, Member]]:
        spot = () if after is None else (repr(float(after[0])), after[1])
        return Request(
            [self._call("page", key, "" if limit is None else str(limit), *spot)],
            lambda replies: members(json.loads(self._of_group(replies[0]) or "[]")),
            (load("page"),),
            reading=True,
        )

    def _of_group(self, reply: Any) -> Any:
        """Return *reply*, of a script that reads a group: such scripts discard all rows of a wrong type but V."""
        if reply is None:
            raise PresenceUnavailable(f"The key {self.prefix}V in Redis is not a hash.")
        return reply

    def counts(self, keys: Sequence[str]) -> Request[list[int]]:
        return Request(
            [("HLEN", self.prefix + "u:" + key) for key in keys],
            lambda replies: [reply or 0 for reply in replies],
            reading=True,
        )

    def members(self, key: str, users: Sequence[str]) -> Request[list[Member | None]]:
        def parse(replies: list[Any]) -> list[Member | None]:
            if None in replies:
                return [None] * len(users)
            return [member(text) for chunk in replies for text in chunk]

        return Request(
            self._fields("u:" + key, users),
            parse,
            reading=True,
        )

    def count_and_member(self, key: str, user: str) -> Request[tuple[int, Member | None]]:
        of_group, of_user = self.counts([key]), self.members(key, [user])
        return Request(
            [*of_group.commands, *of_user.commands],
            lambda replies: (of_group.parse(replies[:1])[0], of_user.parse(replies[1:])[0]),
            reading=True,
        )
