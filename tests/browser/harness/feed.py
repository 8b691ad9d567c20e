"""The server's part for a page whose elements and scripts are in rooms, by socket or by polling."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.async_api import Page

import djust_presence
from tests.browser.harness.pages import eventually
from tests.browser.harness.polling import BOUND
from tests.browser.harness.site import POLICY, Message, Receive, Send, Site, Wire

FEED_STATE = "document.documentElement.dataset.presenceFeed"
STRICT = f"{POLICY}; require-trusted-types-for 'script'; trusted-types 'none'"
CLIENT = Path(djust_presence.__path__[0], "static/djust_presence/client.js")
ADA = {"id": "ada", "name": "Ada", "joined_at": 1.0}
BOB = {"id": "bob", "name": "Bob", "joined_at": 2.0}
EVE = {"id": "eve", "name": "Eve", "joined_at": 3.0}
COUNT = '<presence-count room="r" ticket="t">7</presence-count>'
AVATARS = (
    '<presence-avatars room="r" ticket="t" max="2" data-guest="Gast" data-more="+{}">'
    '<span class="presence-list"></span></presence-avatars>'
)


class Poll:
    """One poll of a page, which waits for its answer."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self.answered: asyncio.Future[tuple[int, dict[str, str], Any]] = asyncio.Future()

    def answer(self, rooms: dict[str, Any] | None = None, every: float = 30, **fields: Any) -> None:
        self.answered.set_result((200, {}, {"seq": "s", "every": every, "rooms": rooms or {}, **fields}))

    def refuse(self, status: int, **headers: str) -> None:
        self.answered.set_result((status, headers, {}))


class FeedSite(Site):
    """A site of pages with the client's script, whose sockets and polls the test answers."""

    def __init__(self, times: Mapping[str, float] | None = None, *, sockets: bool = True) -> None:
        super().__init__()
        self.policy = STRICT
        self.static["client.js"] = CLIENT
        self.static["copy.js"] = CLIENT  # the same under another name
        self.tickets: dict[str, Any] = {}  # key → answer, or the status of a refusal
        self.polls: asyncio.Queue[Poll] = asyncio.Queue()
        self.goodbyes: list[dict[str, Any]] = []
        self.script = self.tag({"open": 2, "person": 0, **(times or {})}, sockets=sockets)

    def tag(self, times: Mapping[str, float], *, sockets: bool = True) -> str:
        """The script's tag, for `script`: braces are doubled."""
        socket = 'data-socket="/ws/presence/" ' if sockets else ""
        tag = (
            f'<script type="module" src="/static/client.js" data-feed="/presence/" {socket}'
            f'data-ticket="/presence/ticket/" data-anonymous="browser" data-guest="Guest" data-debug '
            f"data-times='{json.dumps(dict(times))}'></script>"
        )
        return tag.replace("{", "{{").replace("}", "}}")

    async def poll(self) -> Poll:
        """The next poll of a page."""
        return await asyncio.wait_for(self.polls.get(), BOUND)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/presence/"):
            self.requests.append(f"{scope['method']} {scope['path']}?{scope['query_string'].decode()}")
            status, headers, answer = await self._answer(scope, receive)
            fields = {"content-type": "application/json", **headers}
            raw = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
            await send({"type": "http.response.start", "status": status, "headers": raw})
            await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
        else:
            await super().__call__(scope, receive, send)

    async def _answer(self, scope: Message, receive: Receive) -> tuple[int, dict[str, str], Any]:
        if scope["method"] == "GET":
            granted = self.tickets.get(scope["query_string"].decode(), 403)
            return (granted, {}, {}) if isinstance(granted, int) else (200, {}, granted)
        text = b""
        while True:
            message = await receive()
            text += message.get("body", b"")
            if not message.get("more_body"):
                break
        body = json.loads(text)
        if body.get("bye"):
            self.goodbyes.append(body)
            return 200, {}, {}
        poll = Poll(body)
        self.polls.put_nowait(poll)
        return await asyncio.wait_for(poll.answered, BOUND)


async def open_feed(site: FeedSite, page: Page, html: str = COUNT, path: str = "/") -> Wire:
    """Open a page, and make its socket ready; the next frame is the page's first."""
    site.body = html
    await page.goto(site.url + path, wait_until="domcontentloaded")
    return await ready(site, page)


async def ready(site: FeedSite, page: Page) -> Wire:
    """Accept the next socket of the page, and read its greeting."""
    wire = await site.wire()
    await wire.ready()
    await eventually(page, FEED_STATE, "live")
    assert (await wire.read())["type"] == "hello"
    return wire


async def let_in(
    wire: Wire, *members: dict[str, Any], count: int | None = None, **fields: Any
) -> dict[str, Any]:
    """Answer the page's next join, which is returned, with a state."""
    join = await wire.read()
    assert join["type"] == "join", join
    await wire.send("joined", room=join["room"], **fields)
    await wire.send(
        "state", room=join["room"], count=len(members) if count is None else count, members=[*members]
    )
    return join
