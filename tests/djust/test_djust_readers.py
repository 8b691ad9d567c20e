"""The HTML of a djust page counts its reader, as the page will when its socket is open."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpRequest
from django.urls import path
from djust import LiveView
from djust.decorators import event_handler
from pytest_django import Settings

from djust_presence import PresenceMixin
from djust_presence import presence as facade
from tests.djust.pages import DjustVisitor, djust_site

# Channels looks after database connections at every frame.
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

ROOM = """<!doctype html><html><body><div dj-root>
<p>{{ online_count }} here:{% for p in presences %} [{{ p.name }} {{ p.color }} x{{ p.connections }}]{% endfor %}</p>
</div></body></html>"""


class Room(PresenceMixin, LiveView):
    template_name = "room.html"
    presence_key = "room:{room}"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence({"color": "red"})

    def get_context_data(self, **kwargs: Any) -> Any:
        context = super().get_context_data(**kwargs)
        context["presences"] = self.list_presences()
        return context

    @event_handler()
    def paint(self, color: str = "", **kwargs: Any) -> None:
        self.update_presence(color=color)

    @event_handler()
    def leave(self, **kwargs: Any) -> None:
        self.untrack_presence()


class EachTab(Room):
    presence_unique_per_connection = True


class Updated(Room):
    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        super().mount(request, **kwargs)
        self.update_presence(color="green")


class Untracked(Room):
    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        super().mount(request, **kwargs)
        self.untrack_presence()


class Watching(Room):
    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.watch_presence()


VIEWS = [Room, EachTab, Updated, Untracked, Watching]
urlpatterns = [path(f"{view.__name__}/<str:room>/", view.as_view()) for view in VIEWS]


@pytest.fixture(autouse=True)
def rooms(settings: Settings) -> None:
    for name, value in djust_site({"room.html": ROOM}).items():
        setattr(settings, name, value)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    settings.DJUST_PRESENCE = {"GRACE": 0.05}


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("Room", "1 here: [ada red x1]"),
        ("EachTab", "1 here: [ada red x1]"),
        ("Updated", "1 here: [ada green x1]"),
        ("Untracked", "0 here:"),
        ("Watching", "0 here:"),
    ],
)
async def test_the_html_is_the_page_as_it_will_be(page: str, said: str) -> None:
    ada = DjustVisitor("ada")
    assert f"{said}</p>" in await ada.get(f"/{page}/a/")
    assert await facade.alist("room:a") == []
    async with ada.opens(f"/{page}/a/") as socket:
        assert said in socket.html


@pytest.mark.parametrize("page", ["Room", "EachTab"])
async def test_a_visitor_is_counted_beside_the_others(page: str) -> None:
    await facade.ajoin("room:a", "x")
    visitor = DjustVisitor()
    assert "2 here: [Guest x1] [Guest red x1]" in await visitor.get(f"/{page}/a/")
    async with visitor.opens(f"/{page}/a/") as socket:
        assert "2 here" in socket.html


async def test_a_reader_with_another_tab_is_not_counted_twice() -> None:
    ada = DjustVisitor("ada")
    async with ada.opens("/Room/a/") as page:
        await page.until("1 here")
        while await facade.acount("room:a") != 1:
            await page.frame()
        assert "1 here: [ada red x2]" in await ada.get("/Room/a/")


async def test_an_event_without_a_socket_updates_what_the_page_has_tracked() -> None:
    ada = DjustVisitor("ada")

    async def post(page: str, event: str, **params: Any) -> Any:
        body = {"event": event, "params": params}
        return await ada.client.post(f"/{page}/a/", body, content_type="application/json")

    for page in ("Room", "Watching"):
        await ada.get(f"/{page}/a/")
    assert "[ada blue x1]" in str((await post("Room", "paint", color="blue")).json())
    left = str((await post("Room", "leave")).json())
    assert "0 here" in left
    assert "[ada" not in left
