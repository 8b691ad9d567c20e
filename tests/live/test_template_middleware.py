"""Middleware that processes template responses: on a page over HTTP, when it goes live, and at each refresh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse, TemplateResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.views.decorators.cache import cache_page
from pytest_django import Settings

from djust_presence import LiveView, event_handler
from djust_presence.testing import LivePage
from tests.pages import site as site_with

pytestmark = pytest.mark.django_db(transaction=True)

TEMPLATES = {
    "parts.html": "<p>{{ theme }}</p>{% load djust_presence %}{% live 'part.html' %}",
    "part.html": "{{ count }} {{ theme }} {{ own }}{{ added }}",
    "inline.html": "{% load djust_presence %}{% live %}{{ count }} {{ theme }} {{ own }}{% endlive %}",
    "whole.html": "{{ count }} {{ theme }} {{ own }}",
    "odd.html": "<h1>odd</h1>{% load djust_presence %}{% live 'part.html' %}",
}
calls: list[str] = []


class Counter(LiveView):
    template_name = "parts.html"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.count = 0
        self.own = "own"

    @event_handler()
    def add(self) -> None:
        self.count += 1

    def render_to_response(self, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        response = super().render_to_response(context, **kwargs)
        assert isinstance(response, TemplateResponse)
        assert response.context_data is not None
        response.context_data["added"] = "added"  # for the page, and not for its parts
        return response


class Inline(Counter):
    template_name = "inline.html"


class Whole(Counter):
    template_name = "whole.html"


urlpatterns = [
    path("parts/", Counter.as_view()),
    path("inline/", Inline.as_view()),
    path("whole/", Whole.as_view()),
    path("cached/", cache_page(60)(Counter.as_view())),
]


class Theme:
    """Adds to the context what the page's own code does not know, and takes something out of it."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request)

    def process_template_response(
        self, request: HttpRequest, response: SimpleTemplateResponse
    ) -> SimpleTemplateResponse:
        calls.append(type(self).__name__)
        assert response.context_data is not None
        response.context_data["theme"] = f"theme{response.context_data['count']}"
        del response.context_data["own"]
        return response


class AsyncTheme(Theme):
    async def process_template_response(  # type: ignore[override]
        self, request: HttpRequest, response: SimpleTemplateResponse
    ) -> SimpleTemplateResponse:
        return super().process_template_response(request, response)


class Swap(Theme):
    """Takes another template for odd numbers, by way of another response."""

    def process_template_response(
        self, request: HttpRequest, response: SimpleTemplateResponse
    ) -> SimpleTemplateResponse:
        calls.append("Swap")
        data = response.context_data
        assert data is not None
        return TemplateResponse(request, "odd.html", data) if data["count"] % 2 else response


class Forgetful(Theme):
    def process_template_response(self, request: HttpRequest, response: SimpleTemplateResponse) -> Any:
        return None


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    for name, value in site_with(TEMPLATES).items():
        if name != "MIDDLEWARE":
            setattr(settings, name, value)
    settings.ROOT_URLCONF = __name__
    calls.clear()


@pytest.mark.parametrize("middleware", ["Theme", "AsyncTheme"])
@pytest.mark.parametrize("kind", ["parts", "inline", "whole"])
async def test_a_changed_context_is_seen_by_the_page_and_by_its_parts(
    kind: str, middleware: str, settings: Settings
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.{middleware}"]
    async with LivePage(f"/{kind}/") as page:
        assert page.html.count("0 theme0") == 1
        assert "own" not in page.html
        for count in (1, 2):
            await page.event("add")
            assert f"{count} theme{count}" in page.html
            assert "own" not in page.html
            assert "added" not in page.html
        assert len(calls) == 4  # over HTTP, on the socket, and twice for an event
        await page.event("add")
        assert page.html.count("theme") == (2 if kind == "parts" else 1)


async def test_a_template_that_middleware_swaps_is_shown_whole(settings: Settings) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.Swap", f"{__name__}.Theme"]
    async with LivePage("/parts/") as page:
        assert "<h1>" not in page.html
        await page.event("add")
        assert "<h1>odd</h1>" in page.html
        assert "1 theme1" in page.html
        await page.event("add")
        assert "<h1>" not in page.html
        assert "2 theme2" in page.html
    assert calls[:2] == ["Theme", "Swap"]  # the last one first, as in Django


def test_it_is_run_once_over_http(settings: Settings, client: Client) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.Swap", f"{__name__}.Theme"]
    for url in ("/parts/", "/cached/", "/cached/"):
        calls.clear()
        response = client.get(url)
        assert calls == ["Theme", "Swap"]
        assert response.content.count(b"presence.js") == 1
        assert response.context["theme"] == "theme0"


async def test_middleware_that_returns_nothing_is_named(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.Forgetful"]
    response = await AsyncClient(raise_request_exception=False).get("/parts/")
    assert response.status_code == 500
    assert "Forgetful.process_template_response() has returned None" in caplog.text
