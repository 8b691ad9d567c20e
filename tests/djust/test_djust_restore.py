"""Views that djust restores instead of mounting: their presence is what it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import djust.runtime
import pytest
from django.http import HttpRequest
from django.urls import path
from djust import LiveView
from djust.decorators import event_handler
from pytest_django import Settings

from djust_presence import PresenceMixin
from djust_presence import presence as facade
from tests.djust.pages import DjustPage, DjustVisitor, djust_site
from tests.until import until_equal

# Channels looks after database connections at every frame.
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

PAGE = """<!doctype html><html><body><div dj-root>
<p>{{ online_count }} here:{% for p in presences %} [{{ p.name }} {{ p.color }}]{% endfor %} noted {{ notes }}</p>
</div></body></html>"""

mounted: list[str] = []


class Behaviour:
    track_presence: Any
    untrack_presence: Any
    watch_presence: Any
    list_presences: Any

    template_name: str | None = "room.html"
    presence_key: str | None = "room"
    enable_state_snapshot = True

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        mounted.append(type(self).__name__)
        self.notes = 0
        self.begin()

    def begin(self) -> None:
        self.track_presence({"color": "red"})

    def get_context_data(self, **kwargs: Any) -> Any:
        context = super().get_context_data(**kwargs)  # type: ignore[misc]
        context["presences"] = self.list_presences()
        return context

    @event_handler()
    def note(self, **kwargs: Any) -> None:
        self.notes += 1

    @event_handler()
    def come(self, **kwargs: Any) -> None:
        self.track_presence({"color": "green"})

    @event_handler()
    def leave(self, **kwargs: Any) -> None:
        self.untrack_presence()


class Room(Behaviour, PresenceMixin, LiveView):
    pass


class OtherWayRound(Behaviour, LiveView, PresenceMixin):
    pass


class Watcher(Room):
    def begin(self) -> None:
        self.watch_presence()


class Idle(Room):
    def begin(self) -> None:
        pass


class Hall(Idle):
    """A page elsewhere."""

    presence_key = "hall"


VIEWS: list[Any] = [Room, Watcher, Idle, OtherWayRound, Hall]
urlpatterns = [path(f"{view.__name__}/", view.as_view()) for view in VIEWS]


@pytest.fixture(autouse=True)
def rooms(settings: Settings, monkeypatch: pytest.MonkeyPatch, said: list[str]) -> Iterator[None]:
    for name, value in djust_site({"room.html": PAGE}).items():
        setattr(settings, name, value)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    settings.DJUST_PRESENCE = {"GRACE": 0.05}
    # However busy the machine is, what djust saves after an event is saved.
    monkeypatch.setattr(djust.runtime, "EVENT_STATE_SAVE_TIMEOUT_S", 10)
    mounted.clear()
    yield
    said[:] = [
        line for line in said if "DJE-053" not in line
    ]  # djust, which renders restored pages as a whole


async def present(*people: str) -> None:
    async def here() -> list[str]:
        return [f"{one['name']} {one['color']}" for one in await facade.alist("room")]

    await until_equal(here, list(people), 5)


async def reloaded(page: DjustPage) -> None:
    """The page once it is mounted on its socket, the second one since it was loaded."""
    await page.mount()
    await page.until(lambda: page.of("mount"))


@pytest.mark.parametrize("kind", ["Room", "OtherWayRound"])
async def test_a_tracked_visitor_is_tracked_again(kind: str) -> None:
    ada = DjustVisitor("ada")
    async with ada.opens(f"/{kind}/") as page:
        await page.call("note")
        await present("ada red")
    await present()
    async with ada.socket(f"/{kind}/", f"{__name__}.{kind}") as page:
        await reloaded(page)
        await present("ada red")
        await page.call("note")
        await page.until("1 here", "noted 2")
    assert mounted == [kind]


@pytest.mark.parametrize("kind", ["Room", "OtherWayRound"])
async def test_a_visitor_who_had_left_is_not_back_but_sees_the_others(kind: str) -> None:
    ada = DjustVisitor("ada")
    async with ada.opens(f"/{kind}/") as page:
        await page.call("leave")
    async with ada.socket(f"/{kind}/", f"{__name__}.{kind}") as page:
        await reloaded(page)
        async with DjustVisitor("grace").opens("/Room/"):
            await page.until("1 here: [grace red]")
            await present("grace red")
        await page.until("0 here")
    assert mounted.count(kind) == (2 if kind == "Room" else 1)


async def test_a_watching_page_goes_on_watching() -> None:
    ada = DjustVisitor("ada")
    async with ada.opens("/Watcher/") as page:
        await page.call("note")
    async with ada.socket("/Watcher/", f"{__name__}.Watcher") as page:
        await reloaded(page)
        async with DjustVisitor("grace").opens("/Room/"):
            await page.until("1 here: [grace red]", "noted 1")
            await present("grace red")
    assert mounted.count("Watcher") == 1


@pytest.mark.parametrize("kind", ["Idle", "Watcher"])
async def test_a_visitor_first_tracked_by_an_event_is_tracked_again(kind: str) -> None:
    ada = DjustVisitor("ada")
    async with ada.opens(f"/{kind}/") as page:
        await page.call("come")
        await present("ada green")
    await present()
    async with ada.socket(f"/{kind}/", f"{__name__}.{kind}") as page:
        await reloaded(page)
        await present("ada green")
    assert mounted == [kind]


async def test_a_visitor_who_was_never_tracked_is_not_tracked_when_restored() -> None:
    ada = DjustVisitor("ada")
    async with ada.opens("/Idle/") as page:
        await page.call("note")
    async with ada.socket("/Idle/", f"{__name__}.Idle") as page:
        await reloaded(page)
        async with DjustVisitor("grace").opens("/Room/"):
            await present("grace red")
            await page.call("note")
            assert "0 here" in await page.until("noted 2")
            await present("grace red")


async def test_a_page_that_is_gone_back_to_is_mounted_and_tracked_again() -> None:
    async with DjustVisitor("ada").opens("/Hall/") as page:

        async def gone(to: str, **more: Any) -> dict[str, Any]:
            before = len(page.of("mount"))
            frame = {
                "type": "live_redirect_mount",
                "view": f"{__name__}.{to}",
                "url": f"/{to}/",
                "params": {},
            }
            await page.send_json_to(frame | more)
            while len(page.of("mount")) == before:
                await page.frame()
            return page.of("mount")[-1]

        for kind in ("Room", "OtherWayRound"):
            signed = (await gone(kind))["state_snapshot_signed"]
            await present("ada red")
            await gone("Hall")
            await present()
            snapshot = {"view_slug": f"{__name__}.{kind}", "state_json": signed}
            await gone(kind, state_snapshot=snapshot)
            await present("ada red")
            await page.until("1 here: [ada red]")
            await gone("Hall")
            await present()
