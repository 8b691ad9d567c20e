"""Groups of many thousands: what a job's join, count and first page of the list take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack

from tests.servers import ROOT, RedisServer, find_valkey_server

from ..drivers import Driver
from ..drivers.ours import Job
from .base import Case, Scenario

__all__ = ["Groups"]


class Groups(Scenario):
    name = "Large groups"
    turns = 500

    def cases(self, full: bool) -> list[Case]:
        return [
            Case(f"{size:,} members", [Job()], size, rounds=3 if full else 1)
            for size in ((100, 10_000, 100_000) if full else (100, 10_000))
        ]

    def measure(self, case: Case, driver: Driver, store: str) -> dict[str, list[float]]:
        variables = {"DJANGO_SETTINGS_MODULE": "benchmarks.sites.ours.settings", "PYTHONPATH": str(ROOT)}
        with ExitStack() as stack:
            if store == "redis":
                variables["REDIS_URL"] = stack.enter_context(RedisServer(find_valkey_server())).url()
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.groups", str(case.size), str(self.turns)],
                env=os.environ | variables,
                stdout=subprocess.PIPE,
                check=True,
                text=True,
            )
        samples: dict[str, list[float]] = json.loads(done.stdout)
        return samples
