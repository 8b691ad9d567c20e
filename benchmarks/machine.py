"""Resources that processes have used, as the operating system counts them (Linux), and a description of the machine."""

from __future__ import annotations

import os
import platform
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.servers import ROOT, Server

__all__ = ["cpu", "end_politely", "facts", "ports", "raise_limit", "resident"]

PACKAGES = ("django", "channels", "channels-redis", "redis", "uvicorn", "websockets")


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            found += tree(int(child))
    return found


def cpu(servers: Iterable[Server]) -> float:
    """The seconds of processors that these servers, their children included, have taken so far, to the microsecond."""
    total = 0
    for server in servers:
        for pid in tree(server.pid):
            for schedstat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                try:
                    total += int(schedstat.read_text().split()[0])
                except OSError:  # the thread has ended
                    continue
    return total / 1e9


def resident(servers: Iterable[Server]) -> int:
    """The memory of these servers, in KiB."""
    found = 0
    for server in servers:
        for pid in tree(server.pid):
            status = Path(f"/proc/{pid}/status").read_text()
            found += int(status.split("VmRSS:")[1].split()[0])
    return found


def ports(server: Server) -> set[int]:
    """The local ports of the TCP connections that a server has."""
    inodes = set()
    for file in Path(f"/proc/{server.pid}/fd").iterdir():
        with suppress(OSError):  # it has been closed
            inodes.add(os.readlink(file).removeprefix("socket:[").rstrip("]"))
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(fields[1].partition(":")[2], 16) for fields in lines if fields[9] in inodes}


def end_politely() -> None:
    """Take SIGTERM as Ctrl-C, so that servers end with what has started them."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def raise_limit(files: int) -> int:
    """Let this process and its children open as many files as *files* and the hard limit allow; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, files if hard == resource.RLIM_INFINITY else min(files, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def facts() -> dict[str, Any]:
    """The machine, and the software that was measured."""
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "processor": model[1] if model else platform.machine(),
        "processors": os.cpu_count(),
        "memory_gib": round(int(memory[1]) / 2**20, 1) if memory else None,
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "packages": {name: version(name) for name in PACKAGES},
        "commit": commit.stdout.strip() or None,
        "load_before": round(os.getloadavg()[0], 2),
    }
