"""The identity of visitors on djust's views who are not logged in, however they reached the page."""

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
from djust_presence.guests import guest_of
from tests.djust.pages import DjustPage, DjustVisitor, djust_site
from tests.until import until_equal

# Channels looks after database connections at every frame.
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]

PAGE = "<!doctype html><html><body><div dj-root><p>{{ online_count }} here</p></div></body></html>"


class Plain(LiveView):
    """Knows nothing of presence."""

    template_name = "room.html"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        pass

    @event_handler()
    def go(self, to: str = "", **kwargs: Any) -> None:
        self.live_redirect(to)


class Room(PresenceMixin, Plain):
    presence_key = "room:{room}"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()

    def handle_presence_leave(self, presence: dict[str, Any]) -> None:
        self.push_event("leave", presence["id"])

    def handle_presence_join(self, presence: dict[str, Any]) -> None:
        self.push_event("join", presence["id"])


class EachTab(Room):
    presence_unique_per_connection = True


class Later(Room):
    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.watch_presence()

    @event_handler()
    async def come(self, **kwargs: Any) -> None:
        self.track_presence()


urlpatterns = [
    path("plain/", Plain.as_view()),
    path("room/<str:room>/", Room.as_view()),
    path("tabs/<str:room>/", EachTab.as_view()),
    path("later/<str:room>/", Later.as_view()),
]


@pytest.fixture(autouse=True)
def rooms(settings: Settings) -> None:
    for name, value in djust_site({"room.html": PAGE}).items():
        setattr(settings, name, value)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    settings.DJUST_PRESENCE = {"GRACE": 0.05}
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"


async def redirected(page: DjustPage, to: str) -> None:
    before = len(page.of("mount"))
    await page.call("go", to=to)
    await page.send_json_to({"type": "live_redirect_mount", "view": page.view, "url": to, "params": {}})
    while len(page.of("mount")) == before:
        await page.frame()


async def present(key: str, *connections: int) -> list[str]:
    """Return the ids that are present, once they have so many connections each."""

    async def here() -> list[int]:
        return [one["connections"] for one in await facade.alist(key)]

    await until_equal(here, list(connections), 5)
    return [one["id"] for one in await facade.alist(key)]


async def test_a_tab_that_was_redirected_live_and_one_that_was_loaded_are_one_visitor() -> None:
    visitor = DjustVisitor()
    async with visitor.opens("/plain/") as one:
        await redirected(one, "/room/a/")
        (id,) = await present("room:a", 1)
        assert not id.startswith("anon_conn_")
        assert visitor.client.cookies["sessionid"].value not in id
        async with visitor.opens("/room/a/"):
            assert await present("room:a", 2) == [id]
            await redirected(one, "/room/a/")
            assert await present("room:a", 2) == [id]
    async with visitor.socket("/room/a/", f"{__name__}.Room") as page:
        await page.mount()
        assert await present("room:a", 1) == [id]


async def test_a_visitor_whose_first_page_was_one_with_presence_stays_the_same() -> None:
    visitor = DjustVisitor()
    async with visitor.opens("/room/a/") as one:
        (id,) = await present("room:a", 1)
        await redirected(one, "/plain/")
        await redirected(one, "/room/b/")
        assert await present("room:b", 1) == [id]
        async with visitor.opens("/room/b/"):
            assert await present("room:b", 2) == [id]


@pytest.mark.parametrize("before", ["/plain/", "/room/a/"])
async def test_a_visitor_tracked_first_by_async_code_is_the_same(before: str) -> None:
    visitor = DjustVisitor()
    await visitor.get(before)
    async with visitor.opens("/room/a/"):
        (id,) = await present("room:a", 1)
        async with visitor.opens("/later/a/") as page:
            await page.call("come")
            assert await present("room:a", 2) == [id]


async def test_a_tab_that_counts_by_itself_is_the_same_on_every_page_of_its_socket() -> None:
    visitor = DjustVisitor()
    async with visitor.opens("/tabs/a/") as one, visitor.opens("/tabs/a/"):
        ids = await present("room:a", 1, 1)
        assert {id[:10] for id in ids} == {"anon_conn_"}
        await redirected(one, "/tabs/b/")
        (id,) = await present("room:b", 1)
        assert id in ids
        assert id not in await present("room:a", 1)


@pytest.mark.parametrize("kind", ["room", "tabs"])
async def test_a_visitor_who_goes_to_another_page_of_the_group_is_not_reported_gone(
    kind: str, settings: Settings
) -> None:
    settings.DJUST_PRESENCE = {"GRACE": 30}
    async with (
        DjustVisitor("ada").opens("/room/a/") as other,
        DjustVisitor().opens(f"/{kind}/a/") as page,
    ):
        await other.until_pushed("join", 2)
        await redirected(page, f"/{kind}/a/")
        await page.until("2 here")
        async with DjustVisitor("grace").opens("/room/a/"):
            await other.until_pushed("join", 3)
        assert other.pushed("leave") == []


async def test_with_guest_names_a_visitor_has_one_name_on_every_page(settings: Settings) -> None:
    settings.DJUST_PRESENCE = {"GRACE": 0.05, "GUEST_NAMES": True}
    visitor = DjustVisitor()
    async with visitor.opens("/room/a/"), visitor.opens("/room/b/"):
        for room in ("a", "b"):
            (id,) = await present(f"room:{room}", 1)
            (record,) = await facade.alist(f"room:{room}")
            assert (record["name"], record["color"]) == guest_of(id)
