"""With DEBUG, a page that seems to be meant otherwise says so in the log and in the browser's console."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.test import Client
from django.urls import path
from django.views.generic import FormView, TemplateView
from pytest_django import Settings

from djust_presence import LiveCursorMixin, LiveView, PresenceMixin, event_handler
from djust_presence import presence as facade
from djust_presence.live import advice
from tests.pages import site

LOAD = "{% load djust_presence %}"
TEMPLATES = {
    "count.html": "{{ online_count }} online",
    "if.html": "{% if online_count %}somebody{% endif %}",
    "part.html": LOAD + '{% live "count.html" %}',
    "child.html": '{% extends "count.html" %}',
    "list.html": "{% for one in people %}{{ one.name }}{% endfor %}",
    "filters.html": "{{ online_count|pluralize }}{{ online_count|json_script }}{% for one in online_count %}x{% endfor %}",
    "nothing.html": "nothing of presence",
    "inline.html": LOAD + "<p>{% live %}{{ online_count }}{% endlive %}</p>",
    "cursors.html": LOAD + "\n{% live_cursors %}<p></p>{% endlive_cursors %}",
    "form.html": LOAD + "{{ form.errors }}{% live %}{{ online_count }}{% endlive %}",
}


class Idle(PresenceMixin, LiveView):
    """Neither tracks nor watches."""

    template_name = "count.html"
    presence_key = "idle"

    @event_handler()
    def come(self) -> None:
        self.track_presence()


class Listing(Idle):
    template_name = "list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(people=self.list_presences(), **kwargs)


class Counting(Idle):
    async def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.count = await self.apresence_count()


class Silent(Idle):
    """Only sends."""

    template_name = "nothing.html"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.broadcast_to_presence("opened")


class Tracking(Idle):
    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()


class Untracking(Tracking):
    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        super().mount(request)
        self.untrack_presence()


class Watching(Idle):
    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.watch_presence()


class Cursors(LiveCursorMixin, LiveView):
    template_name = "cursors.html"


class NoMixin(LiveView):
    template_name = "count.html"


class Ordinary(TemplateView):
    template_name = "inline.html"


class Asking(Tracking, FormView):  # type: ignore[type-arg]
    template_name = "form.html"
    form_class = type("NameForm", (forms.Form,), {"name": forms.CharField()})


def function(request: HttpRequest) -> HttpResponse:
    return render(request, request.GET["template"])


def mail(request: HttpRequest) -> HttpResponse:
    return HttpResponse(render_to_string("inline.html"))


urlpatterns = [
    path("idle/", Idle.as_view()),
    path("if/", Idle.as_view(template_name="if.html")),
    path("filters/", Idle.as_view(template_name="filters.html")),
    path("part/", Idle.as_view(template_name="part.html")),
    path("child/", Idle.as_view(template_name="child.html")),
    path("listing/", Listing.as_view()),
    path("counting/", Counting.as_view()),
    path("nothing/", Idle.as_view(template_name="nothing.html")),
    path("silent/", Silent.as_view()),
    path("tracking/", Tracking.as_view()),
    path("untracking/", Untracking.as_view()),
    path("watching/", Watching.as_view()),
    path("cursors/", Cursors.as_view()),
    path("no-mixin/", NoMixin.as_view()),
    path("ordinary/", Ordinary.as_view()),
    path("asking/", Asking.as_view()),
    path("function/", function),
    path("mail/", mail),
]


@pytest.fixture(autouse=True)
def developing(pages: None, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in site(TEMPLATES).items():
        setattr(settings, name, value)
    settings.ROOT_URLCONF = __name__
    settings.DEBUG = True
    monkeypatch.setattr(advice, "_logged", set())


def advised(page: str, client: Client) -> list[str]:
    """Return the advice that *page* writes to the console."""
    text = client.get(page).content.decode()
    return [
        html.unescape(one)
        for one in re.findall(r'<script src="[^"]+/base.js"[^>]* data-advice="([^"]*)"', text)
    ]


@pytest.mark.parametrize("page", ["idle", "if", "part", "child", "listing", "counting"])
def test_a_page_that_shows_presence_and_neither_tracks_nor_watches_says_so(
    page: str, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    facade.count("idle")  # warns, once, of a process that serves no page
    caplog.clear()
    for _ in range(2):
        (said,) = advised(f"/{page}/", client)
        assert "shows presence, but neither tracks nor watches: call self.track_presence() in mount()" in said
    assert caplog.messages == [said]
    assert said.split()[0] in ("Idle", "Listing", "Counting")


@pytest.mark.parametrize(
    "page", ["nothing", "silent", "tracking", "untracking", "watching", "cursors", "no-mixin", "mail"]
)
def test_a_page_that_is_as_it_may_be_says_nothing(page: str, client: Client) -> None:
    assert advised(f"/{page}/", client) == []


@pytest.mark.parametrize(
    ("page", "view", "tag"),
    [
        ("ordinary/", "Ordinary", "{% live %} (inline.html:1)"),
        ("function/?template=inline.html", "function", "{% live %} (inline.html:1)"),
        ("function/?template=part.html", "function", "{% live %} (part.html:1)"),
        ("function/?template=cursors.html", "function", "{% live_cursors %} (cursors.html:2)"),
    ],
)
def test_a_live_tag_in_the_page_of_another_view_says_so(
    page: str, view: str, tag: str, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        (said,) = advised(f"/{page}", client)
        assert said.startswith(
            f"{view} is not a live view, but its template uses {tag}: its page stays as it is."
        )
    assert caplog.messages == [said]


def test_the_answer_to_an_invalid_form_says_nothing(client: Client) -> None:
    page = client.post("/asking/").content.decode()
    assert "This field is required." in page
    assert "<script" not in page


@pytest.mark.parametrize(
    "page", ["idle/", "listing/", "ordinary/", "function/?template=cursors.html", "untracking/"]
)
def test_without_debug_nothing_is_said(
    page: str, client: Client, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DEBUG = False
    facade.count("idle")
    caplog.clear()
    assert advised(f"/{page}", client) == []
    assert "CountShown" not in client.get(f"/{page}").content.decode()
    assert caplog.messages == []


def test_a_template_renders_with_and_without_debug_alike(client: Client, settings: Settings) -> None:
    settings.DEBUG = True
    assert client.get("/filters/").status_code == 200
