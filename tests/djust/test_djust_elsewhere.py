"""djust's views without a socket behind them: they read a group, and can broadcast to it."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpRequest
from django.urls import path
from djust import LiveView
from djust.decorators import event_handler
from djust.testing import LiveViewTestClient
from pytest_django import Settings

from djust_presence import PresenceKeyError, PresenceMixin
from djust_presence import presence as facade
from tests.djust.pages import DjustVisitor, djust_site

# Channels looks after database connections at every frame.
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

PAGE = "<!doctype html><html><body><div dj-root><p>{{ online_count }} here</p></div></body></html>"
INNER = "<div dj-root><i>{{ online_count }} in {{ key }}</i></div>"
OUTER = f"""{{% load live_tags %}}<!doctype html><html><body><div dj-root>
{{% live_render "{__name__}.Inner" %}}</div></body></html>"""


class Room(PresenceMixin, LiveView):
    template_name = "room.html"
    presence_key = "room:{room}"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()
        if request.method == "GET":
            self.broadcast_to_presence("mounted", self.get_presence_user_id())

    @event_handler()
    def shout(self, text: str = "", **kwargs: Any) -> None:
        self.broadcast_to_presence("shout", {"text": text})


class Inner(Room):
    template_name = "inner.html"

    def get_context_data(self, **kwargs: Any) -> Any:
        context = super().get_context_data(**kwargs)
        context["key"] = self.get_presence_key()
        return context


class Outer(LiveView):
    template_name = "outer.html"


urlpatterns = [
    path("room/<str:room>/", Room.as_view()),
    path("outer/<str:room>/", Outer.as_view()),
]


@pytest.fixture(autouse=True)
def rooms(settings: Settings) -> None:
    pages = {"room.html": PAGE, "inner.html": INNER, "outer.html": OUTER}
    for name, value in djust_site(pages).items():
        setattr(settings, name, value)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    settings.DJUST_PRESENCE = {"GRACE": 0.05}


async def test_a_view_within_another_has_the_arguments_of_the_pages_url() -> None:
    await facade.ajoin("room:50%41", "x")
    visitor = DjustVisitor("ada")
    assert "1 in room:50%41" in await visitor.get("/outer/50%2541/")
    async with visitor.opens("/outer/50%2541/") as page:
        await page.until("1 in room:50%41")


async def test_an_event_of_a_page_without_a_socket_still_reaches_the_others() -> None:
    async with (
        DjustVisitor("ada").opens("/room/a/") as one,
        DjustVisitor().opens("/room/b/") as elsewhere,
    ):
        await one.until("1 here")
        await one.until_pushed("mounted")
        grace = DjustVisitor("grace")
        await grace.get("/room/a/")
        body = {"event": "shout", "params": {"text": "hi"}}
        response = await grace.client.post("/room/a/", body, content_type="application/json")
        assert response.status_code == 200
        assert await one.until_pushed("shout") == [{"text": "hi"}]
        assert one.pushed("mounted") == ["7"]
        assert elsewhere.pushed("shout") == []
        assert await facade.acount("room:a") == 1


def test_djusts_test_client_sees_the_group_as_over_http() -> None:
    class Attribute(Room):
        def mount(self, request: HttpRequest, **kwargs: Any) -> None:
            self.room = kwargs["room"]
            super().mount(request, **kwargs)

    facade.join("room:a", "x")
    client = LiveViewTestClient(Attribute)
    client.mount(room="a")
    client.send_event("shout", text="hi")
    assert client.view_instance
    assert client.view_instance.online_count == 2
    assert [one["id"] for one in facade.list("room:a")] == ["x"]
    with pytest.raises(PresenceKeyError, match="'room'"):
        LiveViewTestClient(Room).mount(room="a")
