"""Two server processes of the example project on one real Redis."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.servers import RedisServer, SiteServer, find_valkey_server

LEASE_TTL = 3  # the shortest that is allowed: who crashes is gone after that and one renewal

StartSite = Callable[..., SiteServer]
StartPair = Callable[..., tuple[SiteServer, SiteServer]]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A server of this test's own, to be flushed, frozen and killed."""
    with RedisServer(find_valkey_server()) as server:
        yield server


@pytest.fixture
def start_site(redis: RedisServer, tmp_path: Path) -> Iterator[StartSite]:
    """Starts server processes that share the Redis, the users and the sessions."""
    with ExitStack() as stack:

        def start(
            server: str = "uvicorn",
            port: int | None = None,
            settings: str = "tests.site_settings",
            **presence: object,
        ) -> SiteServer:
            variables = {
                "DB": str(tmp_path / "db.sqlite3"),
                "REDIS_URL": redis.url(),
                "DJANGO_SETTINGS_MODULE": settings,
                "PRESENCE": json.dumps({"LEASE_TTL": LEASE_TTL, **presence}),
            }
            return stack.enter_context(SiteServer(variables, server=server, port=port))

        yield start


@pytest.fixture
def start_pair(start_site: StartSite) -> StartPair:
    """Starts two server processes of the same kind, at the same time."""

    def start(server: str = "uvicorn", **options: Any) -> tuple[SiteServer, SiteServer]:
        with ThreadPoolExecutor() as pool:
            a, b = (pool.submit(start_site, server, **options) for _ in range(2))
            return a.result(), b.result()

    return start


@pytest.fixture
def sites(start_pair: StartPair) -> tuple[SiteServer, SiteServer]:
    return start_pair()
