"""The landing page's ways in, in one group."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio
from channels.testing import WebsocketCommunicator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import include, path
from pytest_django import Settings

from djust_presence.testing import presence
from tests.markdown import blocks
from tests.pages import Visitor, site


@pytest_asyncio.fixture
async def nothing_is_left() -> AsyncIterator[None]:
    async with presence():
        yield


def ways() -> dict[str, str]:
    """The code of each way in; a live view has a template too."""
    text = [block.text for block in blocks("docs/index.md", "Four ways in")]
    return dict(zip(["tag", "view", "template", "consumer", "script"], text, strict=True))


def with_tags(request: HttpRequest) -> HttpResponse:
    return render(request, "tags.html")


@pytest.mark.usefixtures("nothing_is_left", "db")
async def test_the_ways_in_of_the_landing_page_are_one_group(settings: Settings) -> None:
    scope: dict[str, Any] = {"__name__": "landing"}
    for way in ("view", "consumer"):
        exec(compile(ways()[way], "docs/index.md", "exec"), scope)
    for name, value in site({"tags.html": ways()["tag"], "document.html": ways()["template"]}).items():
        setattr(settings, name, value)
    urls = ModuleType("landing_urls")
    urls.urlpatterns = [  # type: ignore[attr-defined]
        path("document/<int:doc_id>/", scope["DocumentView"].as_view()),
        path("tags/", with_tags),
        path("presence/", include("djust_presence.urls")),
    ]
    settings.ROOT_URLCONF = urls
    async with Visitor().opens("/document/42/") as page:
        await page.until("1 online")
        consumer = WebsocketCommunicator(scope["Chat"].as_asgi(), "/")
        await consumer.connect()
        assert await consumer.receive_json_from(timeout=5) == {"joined": "Guest"}
        await page.until("2 online")
        html = await Visitor("ada").get("/tags/")
        assert re.search(r"<presence-count[^>]*>3</presence-count> online", html)
        await consumer.disconnect()
        await page.until("1 online")
