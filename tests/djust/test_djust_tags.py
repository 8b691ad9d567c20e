"""The tags of presence on any page, on pages of djust's views."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.urls import path
from django.views.generic import TemplateView
from djust import LiveView, event_handler
from pytest_django import Settings

from djust_presence import PresenceMixin
from djust_presence import presence as facade
from djust_presence.testing import presence
from tests.djust.pages import DjustVisitor, djust_site
from tests.feed.site import attributes
from tests.feed.site import urlpatterns as feed

# Channels looks after database connections at every frame
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

PAGE = """{% load djust_presence %}<html><head>{% presence_script %}</head><body>
<div dj-root>{% load djust_presence %}{% presence_count "site" %}{% presence_dot 7 "site" %}
{% presence_avatars "site" max=3 %}<i>{{ clicks }}</i></div></body></html>"""


class Page(PresenceMixin, LiveView):
    login_required = False
    template_name = "page.html"
    presence_key = "page"
    clicks = 0

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.clicks = 0
        self.track_presence()

    @event_handler()
    def click(self, **kwargs: Any) -> None:
        self.clicks += 1


urlpatterns = [
    *feed,
    path("page/", Page.as_view()),
    path("template/", TemplateView.as_view(template_name="page.html")),
]


@pytest.fixture(autouse=True)
def page_site(settings: Settings) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    for name, value in djust_site({"page.html": PAGE}).items():
        setattr(settings, name, value)


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    async with presence():
        yield


async def test_a_page_of_djust_gets_both_scripts_and_another_only_its_own() -> None:
    ada = DjustVisitor("ada")
    scripts = {
        path: [
            one["src"]
            for one in attributes(await ada.get(path), "script")
            if "djust_presence" in (one.get("src") or "")
        ]
        for path in ("/page/", "/template/")
    }
    client = "/static/djust_presence/client.js"
    assert scripts == {
        "/page/": ["/static/djust_presence/base.js", "/static/djust_presence/djust.js", client],
        "/template/": [client],
    }


async def test_elements_stay_the_same_when_djust_renders_the_page_again() -> None:
    ada = DjustVisitor("ada")
    async with ada.opens("/page/") as page:

        def elements() -> list[str]:
            return re.findall(r"<presence-.*</presence-[^>]*>", page.html, re.DOTALL)

        await page.until("0</i>")
        before = elements()
        assert before[0].count(' room="') == 3
        await facade.ajoin("site", "8")
        await page.call("click")
        await page.until("1</i>")
        assert elements() == before
    await facade.aleave("site", "8")
