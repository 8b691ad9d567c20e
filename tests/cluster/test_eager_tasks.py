"""Two real servers whose loops start every task at once (``asyncio.eager_task_factory``): all goes on as ever."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.conftest import LEASE_TTL
from tests.cluster.test_chat_consumers import enter
from tests.live_pages import LivePage, Person
from tests.servers import RedisServer, SiteServer
from tests.until import until

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="Python has had such a factory since 3.12")


class EagerServer(SiteServer):
    application = "tests.cluster.eager_app:application"


@pytest.fixture
def eager(redis: RedisServer, tmp_path: Path) -> Iterator[tuple[SiteServer, SiteServer]]:
    variables = {
        "DB": str(tmp_path / "db.sqlite3"),
        "REDIS_URL": redis.url(),
        "DJANGO_SETTINGS_MODULE": "tests.cluster.rooms_settings",
        "PRESENCE": json.dumps({"LEASE_TTL": LEASE_TTL, "GRACE": 0.1, "REAUTH_INTERVAL": 0.5}),
    }
    with ExitStack() as stack:
        a, b = (stack.enter_context(EagerServer(variables)) for _ in range(2))
        yield a, b


def drawn_at(page: LivePage, x: int) -> bool:
    return any(x in move for frame in page.frames for move in frame.get("moves", []))


async def test_pages_go_live_and_hear_of_each_other(eager: tuple[SiteServer, SiteServer]) -> None:
    a, b = eager
    a.allow("has no event handler 'unknown'")
    here = LivePage(a, "/desk/1/?user=ada", Person(a))
    there = LivePage(b, "/desk/1/?user=grace", Person(b))
    async with here, there:
        await here.until_online(2)
        await there.until_online(2)
        await here.send(type="event", ref=1, name="say", params={"status": "away"})
        await there.until(lambda: "away" in str(there.regions))
        await there.send(type="event", ref=1, name="call", params={"text": "hello"})
        await here.until(lambda: any(frame.get("event") == "call" for frame in here.frames))
        await here.send(type="event", ref=2, name="unknown", params={})
        await here.until(lambda: any(frame.get("code") == "unknown-event" for frame in here.frames))
        await there.send(type="cursors")
        for x in (101, 102, 103):
            await here.send(type="cursor", x=x, y=1)
            await there.until(partial(drawn_at, there, x))
        await here.close()
        await there.until_online(1)
        await here.open()
        await there.until_online(2)


@pytest.mark.parametrize("kind", ["chat", "sync"])
async def test_consumers_hear_of_each_other(kind: str, eager: tuple[SiteServer, SiteServer]) -> None:
    a, b = eager
    ada = await enter(a, kind, "ada")
    await ada.until("join", "ada")
    grace = await enter(b, kind, "grace")
    await ada.until("join", "grace")
    for text in ("hello", "again"):
        await ada.socket.send(json.dumps(text))
        for member in (ada, grace):
            await member.until("said", text)
    await grace.socket.close()
    await ada.until("leave", "grace")
    await ada.socket.close()
    await until(lambda: ada.reader.done())
