"""The tags on live pages of the built-in host: their elements stay what the page's script has made of them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

import pytest
from django.http import HttpRequest
from django.urls import path
from django.views.generic import TemplateView
from pytest_django import Settings

from djust_presence import LiveView, PresenceMixin, event_handler
from djust_presence import presence as facade
from djust_presence.testing import presence
from tests.feed.site import attributes
from tests.feed.site import urlpatterns as feed
from tests.pages import Visitor, site

pytestmark = pytest.mark.urls(__name__)

ELEMENTS = (
    '{% presence_count "site" %}{% presence_avatars "site" %}{% presence_dot 7 "site" %}{% presence "site" meta=meta %}'
    "{% presence_count_many keys as counts %}<i>{{ counts.site }} {{ clicks }}</i>"
)
PAGE = "{% load djust_presence %}<head>{% presence_script %}</head>"


class Page(PresenceMixin, LiveView):
    template_name = "page.html"
    presence_key = "page"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.clicks = 0
        self.keys, self.meta = ["site"], {"team": "red"}
        self.track_presence()

    @event_handler()
    def click(self) -> None:
        self.clicks += 1


class Bare(Page):
    template_name = "bare.html"


class Region(Page):
    template_name = "region.html"


urlpatterns = [
    *feed,
    path("whole/", Page.as_view()),
    path("region/", Region.as_view()),
    path(
        "ordinary/", TemplateView.as_view(template_name="page.html", extra_context={"keys": [], "meta": None})
    ),
]


@pytest.fixture(autouse=True)
def page_site(settings: Settings) -> None:
    templates = {
        "page.html": PAGE + ELEMENTS,
        "region.html": f"{PAGE}{{% live %}}{ELEMENTS}{{% endlive %}}",
        "bare.html": PAGE,
    }
    for name, value in site(templates).items():
        setattr(settings, name, value)


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    async with presence():
        yield


def elements(html: str) -> list[str]:
    return re.findall(r"<presence-.*</presence-[^>]*>", html, re.DOTALL)


def without_tickets(elements: list[str]) -> list[str]:
    """The same, as the clock may be in another minute."""
    return [re.sub(' ticket="[^"]*"', "", one) for one in elements]


@pytest.mark.parametrize("path", ["/whole/", "/region/"])
async def test_elements_stay_the_same_while_the_page_is_open(path: str) -> None:
    ada = Visitor("ada")
    over_http = elements(await ada.get(path))
    assert over_http[0].count(" room=") == 4
    async with ada.opens(path) as page:
        await page.until("<i>0 0</i>")
        assert without_tickets(elements(page.html)) == without_tickets(over_http)
        before = elements(page.html)
        await facade.ajoin("site", "8")
        await page.call("click")
        await page.until("<i>1 1</i>")
        assert elements(page.html) == before
    await facade.aleave("site", "8")


async def test_a_page_opened_later_shows_who_has_come() -> None:
    ada = Visitor("ada")
    await facade.ajoin("site", "8")
    async with ada.opens("/whole/") as page:
        await page.until("<presence-count", ">2</presence-count>")
    await facade.aleave("site", "8")


async def test_the_script_is_beside_that_of_the_live_page() -> None:
    for where, others in (
        ("/whole/", ["patch.js", "base.js", "forms.js", "presence.js"]),
        ("/ordinary/", []),
    ):
        scripts = attributes(await Visitor().get(where), "script")
        names = [(one["src"] or "").rpartition("/")[2] for one in scripts]
        assert names == ["client.js", *others]


async def test_a_live_page_of_a_project_without_the_urls_has_only_its_own_scripts(settings: Settings) -> None:
    urls = ModuleType("without_the_urls")
    urls.urlpatterns = [path("live/", Bare.as_view())]  # type: ignore[attr-defined]
    settings.ROOT_URLCONF = urls
    assert "client.js" not in await Visitor().get("/live/")
