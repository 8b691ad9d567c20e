"""Signals of several processes: each change is told once, by the process that wrote it."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import websockets

from tests.cluster.conftest import LEASE_TTL
from tests.servers import ROOT, RedisServer, SiteServer

COMINGS = 500  # and as many goings
AT_ONCE = 12
ROOMS = 3
JOB = """
import django; django.setup()
from djust_presence import presence
for n in range(60):
    presence.join("room:0", f"job {n % 4}", {"name": "Importer"})
    presence.leave("room:0", f"job {n % 4}")
"""


class Told(NamedTuple):
    what: str
    pid: int
    key: str
    record: dict[str, Any]


class Signals:
    """The signals that the receivers of all processes have written down."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._told: list[Told] = []
        self._ids: set[str] = set()
        self._read = 0  # bytes of the file

    def __call__(self) -> list[Told]:
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._read)
                lines, end, _ = file.read().rpartition(b"\n")
            self._read += len(lines + end)
            told = [Told(*json.loads(line)) for line in lines.splitlines()]
            self._told += told
            self._ids |= {one.record["id"] for one in told}
        return self._told

    def mention(self, user: str) -> bool:
        self()
        return user in self._ids

    def of(self, what: str) -> list[Told]:
        return [one for one in self() if one.what == what]

    async def until(self, condition: Callable[[], bool], patience: float = 30.0) -> None:
        async with asyncio.timeout(patience):
            while not condition():
                await asyncio.sleep(0.05)


def sites_of(
    redis: RedisServer, tmp_path: Path, lease_ttl: int = LEASE_TTL
) -> tuple[dict[str, str], Signals]:
    signals = Signals(tmp_path / "signals")
    presence = {"LEASE_TTL": lease_ttl, "GRACE": 0}
    return {
        "DB": str(tmp_path / "db.sqlite3"),
        "REDIS_URL": redis.url(),
        "DJANGO_SETTINGS_MODULE": "tests.cluster.signal_site",
        "PRESENCE": json.dumps(presence),
        "SIGNALS": str(signals.path),
    }, signals


async def visit(site: SiteServer, room: int, user: str) -> websockets.ClientConnection:
    """Open a page; return when it is live."""
    socket = await websockets.connect(
        f"{site.url.replace('http', 'ws', 1)}/room/{room}/?user={user}",
        origin=websockets.Origin(site.url),
        compression=None,
    )
    while "online" not in str(await socket.recv()):
        pass
    return socket


async def come_and_go(
    sites: Sequence[SiteServer], signals: Signals, name: str, times: int, seed: int
) -> None:
    """Visits that are long enough to reach the store: others never were."""
    chance = random.Random(seed)
    for n in range(times):
        socket = await visit(chance.choice(sites), chance.randrange(ROOMS), f"{name}-{n}")
        await signals.until(lambda user=f"{name}-{n}": signals.mention(user))  # type: ignore[misc]
        await socket.close()


async def test_each_of_a_thousand_changes_is_told_once(redis: RedisServer, tmp_path: Path) -> None:
    # A write whose answer comes too late may cost its signal: with this TTL that is after five seconds.
    variables, signals = sites_of(redis, tmp_path, lease_ttl=60)
    with SiteServer(variables) as a, SiteServer(variables) as b:
        job = await asyncio.create_subprocess_exec(
            sys.executable, "-c", JOB, cwd=ROOT, env={**a.environment(), **variables}, stderr=subprocess.PIPE
        )
        each = COMINGS // AT_ONCE
        await asyncio.gather(*(come_and_go([a, b], signals, f"visitor{n}", each, n) for n in range(AT_ONCE)))
        _, errors = await job.communicate()
        assert job.returncode == 0, errors.decode()
        came = [f"visitor{who}-{n}" for who in range(AT_ONCE) for n in range(each)]
        jobs = [f"job {n % 4}" for n in range(60)]
        await signals.until(lambda: len(signals.of("left")) >= len(came) + len(jobs))
        told = signals()
        for what in ("joined", "left"):
            assert sorted(one.record["id"] for one in told if one.what == what) == sorted(came + jobs)
        assert {one.what for one in told} == {"joined", "left"}
        for one in told:
            if one.record["id"].startswith("visitor"):
                assert one.record["name"] == f"The {one.record['id']}"
                assert one.record["connections"] == 1
        assert len({one.pid for one in told}) == 3
        for n in range(4):  # the job's own are in order
            assert [one.what for one in told if one.record["id"] == f"job {n}"] == ["joined", "left"] * 15


async def test_a_process_that_is_killed_makes_none_come_twice(redis: RedisServer, tmp_path: Path) -> None:
    variables, signals = sites_of(redis, tmp_path)
    with SiteServer(variables) as a, SiteServer(variables) as b:
        stayers = [await visit(b, n % ROOMS, f"stayer-{n}") for n in range(20)]
        watcher = await visit(a, 0, "watcher")
        await signals.until(lambda: len(signals.of("joined")) == 21)
        coming = asyncio.create_task(come_and_go([b], signals, "churner", 1000, 1))
        await asyncio.sleep(1)
        b.kill()
        coming.cancel()
        await asyncio.wait([coming])

        def stayers_of(what: str) -> int:
            return len([one for one in signals.of(what) if "stayer" in one.record["id"]])

        await signals.until(lambda: stayers_of("left") == 20)
        b.start()
        back = [await visit(b, n % ROOMS, f"stayer-{n}") for n in range(20)]
        await signals.until(lambda: stayers_of("joined") == 40)
        for socket in (*back, watcher):
            await socket.close()
        await signals.until(lambda: stayers_of("left") == 40)
        await asyncio.sleep(LEASE_TTL / 3)  # nothing comes after that
        told = signals()
        for user in {one.record["id"] for one in told}:
            whats = [one.what for one in told if one.record["id"] == user]
            if "stayer" in user:
                assert whats == ["joined", "left", "joined", "left"]
            else:  # a kill may lose what was on its way to the receivers
                assert whats in (["joined", "left"], ["joined"], ["left"])
        for socket in stayers:
            await socket.close()
