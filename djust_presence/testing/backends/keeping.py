"""Values come back unchanged, and nothing is left in the end."""

from __future__ import annotations

import itertools
import json
import threading
import time
from typing import Any
from uuid import uuid4

import pytest

from ...backends.base import Backend
from ...state.records import (
    Snapshot,
)
from .base import BOUND, GONE, LONG, BackendSuite, done, join, leave

__all__ = ["KeepingContract"]

METAS: list[dict[str, Any]] = [
    {},
    {"name": "Zoë 🎉", "empty": "", "quote": '"\\/\b\f\n\r\t\x00\x7f\u2028'},
    {"int": 0, "negative": -7, "big": 2**63, "float": 0.1, "tiny": 1e-300, "huge": 1.7976931348623157e308},
    {"true": True, "false": False, "null": None},
    {"list": [], "nested": [[[]], {}, [1, [2, {"three": [3]}]]], "object": {"": {"a.b": {":": 0}}}},
    {"like a member": "1:2.0:{}", "like a row": "lease 4 user {}", "%s": "%d"},
]

NAMES = [
    "a",
    "1",
    "-1",
    " ",
    "a b",
    "a:b",
    ":",
    "::",
    "{a}",
    "}{",
    "{djp}:u:x",
    "line\nbreak",
    "tab\tand\rmore",
    "*",
    "a?[b]^",
    "ünïcødé",
    "名前",
    "👩‍👩‍👧",
    "e\u0301",
    "\u00e9",
    "\x00",
    "%2F/..",
    "x" * 255,
    "ж" * 255,
]


class KeepingContract(BackendSuite):
    @pytest.mark.parametrize("end", ["leave", "reap", "release"])
    def test_nothing_is_left_in_the_end(self, verbs: Backend, backend: Backend, end: str) -> None:
        verbs.open("reaper", LONG)
        verbs.open("one", LONG)
        verbs.open("two", LONG)
        verbs.open("job:1", LONG)
        verbs.open("job:2", LONG)
        verbs.write("one", [join(1, "a"), join(2, "b", "bob"), join(3, "a", key="hall")])
        verbs.write("two", [join(1, "b", "bob"), join(2, "c", "carol", meta='{"a":1}')])
        verbs.write("job:1", [join(1, "d", "bot")])
        verbs.write("job:2", [join(1, "d", "bot")])
        if end == "leave":
            verbs.write("one", [leave(4, "a"), leave(5, "a", key="hall")])
            verbs.write("two", [leave(3, "b"), leave(4, "c")])
        if end == "release":
            for key, ref in [("room", "a"), ("room", "b"), ("room", "c"), ("hall", "a")]:
                assert verbs.release(key, ref, uuid4().hex)
        for lease in ("one", "two", "job:2"):
            verbs.drain(lease, GONE)
        list(self.reaped(verbs, "reaper", 2))
        verbs.drain("reaper", GONE)
        assert verbs.claim(None, 500, 0) == []
        assert verbs.count("room") == verbs.count("hall") == 0
        assert list(self.stored(backend)) == []

    @pytest.mark.parametrize("meta", METAS, ids=lambda meta: next(iter(meta), "empty"))
    def test_metas_come_back_as_they_were(self, verbs: Backend, meta: dict[str, Any]) -> None:
        text = json.dumps(meta, ensure_ascii=False, separators=(",", ":"))
        verbs.open("lease", LONG)
        replies = verbs.write("lease", [join(1, meta=text), join(2, meta='{"other":0}'), join(3, meta=text)])
        for reply in (replies[0], replies[2]):
            member = done(reply).records["user"]
            assert member is not None
            assert member.meta == text
        member = verbs.member("room", "user")
        assert member is not None
        assert member == verbs.snapshots(["room"])[0].members["user"]
        assert member.meta == text

    def test_any_text_names_a_group_or_a_user(self, verbs: Backend) -> None:
        verbs.open("one", LONG)
        verbs.open("two", LONG)
        seq = 0
        for key in NAMES:
            for user in NAMES:
                seq += 1
                assert done(verbs.write("one", [join(seq, "r1", user, key, joined_at=1.0)])[0]).key == key
                if seq % 5 == 0:  # the users of a group take turns; some of them stay
                    verbs.write("two", [join(seq // 5, f"s{seq}", user, key, joined_at=1.0)])
        for key, snapshot in zip(NAMES, verbs.snapshots(NAMES), strict=True):
            assert NAMES[-1] in snapshot.members
            assert verbs.count(key) == len(snapshot.members)
            assert verbs.members(key, NAMES) == [snapshot.members.get(user) for user in NAMES]
        assert verbs.renew("one", seq, NAMES).places.keys() == set(NAMES)
        verbs.open("reaper", LONG)
        verbs.drain("one", GONE)
        verbs.drain("two", GONE)
        assert list(self.reaped(verbs, "reaper", 500))
        assert verbs.snapshots(NAMES) == [Snapshot(None, {})] * len(NAMES)

    def test_no_process_sees_half_a_step(self, backend: Backend) -> None:
        """While users come and go, each snapshot is of one place in the group's history."""
        seen: dict[tuple[str, int], set[str]] = {}
        stop = threading.Event()

        def watch() -> None:
            while not stop.is_set():
                place, members = backend.snapshots(["room"])[0]
                if place:
                    seen[place.epoch, place.version] = set(members)

        watcher = threading.Thread(target=watch)
        watcher.start()
        backend.open("lease", LONG)
        expected: dict[tuple[str, int], set[str]] = {}
        present: set[str] = set()
        deadline = time.monotonic() + BOUND
        for seq in itertools.count(1):
            user = f"user{seq * 7 % 11}"
            op = leave(seq, user) if user in present else join(seq, user, user)
            present ^= {user}
            place = done(backend.write("lease", [op])[0]).place
            expected[place.epoch, place.version] = set(present)
            if len(seen) >= 20 or time.monotonic() > deadline:
                break
        stop.set()
        watcher.join(BOUND)
        backend.close()
        assert seen
        assert all(expected[at] == users for at, users in seen.items())
