"""The least that a list costs which differs from page to page: the template is rendered for each socket, and sent."""

from __future__ import annotations

import json
from typing import Any

import django
from django.template import loader

from .bare import Send, serve

django.setup()
template = loader.get_template("ours/list_of_mine_part.html")


async def tell(sends: dict[int, Send]) -> None:
    people = [{"id": one, "name": f"Visitor {n}", "color": "teal"} for n, one in enumerate(sends)]
    for me, send in tuple(sends.items()):
        shown = template.render({"online_count": len(people), "presences": people, "me": me})
        text = json.dumps({"type": "render", "regions": {"live-1": shown}})
        await send({"type": "websocket.send", "text": text})


async def application(scope: dict[str, Any], receive: Any, send: Send) -> None:
    await serve(scope, receive, send, tell)
