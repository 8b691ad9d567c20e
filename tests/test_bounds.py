"""Bounds on what one visitor or message does to others: deep JSON, tracebacks, forged ids, keys out of URLs."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.test import AsyncClient, override_settings
from django.urls import path
from pytest_django import Settings

from djust_presence import CursorTracker, LiveView, PresenceMixin, event_handler, presence
from djust_presence.bus import group_name
from djust_presence.channels import PresenceConsumerMixin
from djust_presence.rates import LogLimit
from djust_presence.state.json_text import MAX_LEVELS
from djust_presence.tracker import get_tracker
from tests.client import scope_of
from tests.pages import Page, Visitor, site
from tests.state.test_json_text import nested
from tests.until import until

pytestmark = pytest.mark.urls(__name__)

FAULTS = {  # by what the error says; some levels are about Python's limit
    **{f"{levels} levels": (nested(levels), "32 levels|at most 4096") for levels in (33, 600, 980, 3_000)},
    "5,000 digits": (10**5000, "4300 digits"),
    "NaN": (float("nan"), "JSON compliant"),
}
beyond = pytest.mark.parametrize("fault", FAULTS)


class Room(PresenceMixin, LiveView):
    """A group named by its URL, whose handlers do with a value what they are asked for."""

    template_name = "room.html"
    presence_key = "room:{room}"
    value: Any = None  # what the handlers pass on, which no frame could bring

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.heard: list[str] = []
        self.track_presence()

    @event_handler()
    def pass_on(self, how: str) -> None:
        try:
            if how == "broadcast":
                self.broadcast_to_presence("odd", self.value)
            elif how == "track":
                self.track_presence({"odd": self.value})
            else:
                self.update_presence(odd=self.value)
        except ValueError as error:
            self.push_event("refused", str(error))

    @event_handler()
    def update(self, changes: dict[str, Any]) -> None:
        self.update_presence(**changes)

    @event_handler()
    def track(self, meta: dict[str, Any]) -> None:
        self.track_presence(meta)

    @event_handler()
    def shout(self, text: Any) -> None:
        self.broadcast_to_presence("shout", text)

    @event_handler()
    def fail(self, text: str = "") -> None:
        raise RuntimeError("a bug")

    @event_handler()
    async def afail(self) -> None:
        raise RuntimeError("a bug")

    @event_handler()
    def forbid(self) -> None:
        raise PermissionDenied

    @event_handler()
    def spoil(self) -> None:
        self.spoilt = True
        self.broadcast_to_presence("spoil")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        if getattr(self, "spoilt", False):
            raise RuntimeError("a bug of the template")
        return super().get_context_data(presences=self.list_presences(), **kwargs)

    def handle_presence_event(self, event: str, payload: Any) -> None:
        if event == "fail":
            raise RuntimeError("a bug of the callback")
        self.heard.append(event)


class Named(Room):
    """A key out of the URL, by an attribute."""

    presence_key = "room:{name}"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.name = kwargs["room"]
        super().mount(request, **kwargs)


class Fixed(Room):
    presence_key = "room:a"


class Mistaken(Room):
    presence_key = "x" * 250 + "{room}" + "y" * 250


urlpatterns = [
    path("room/<str:room>/", Room.as_view()),
    path("named/<str:room>/", Named.as_view()),
    path("numbered/<int:room>/", Room.as_view()),
    path("fixed/<path:anything>/", Fixed.as_view()),
    path("mistaken/<str:room>/", Mistaken.as_view()),
]

TEMPLATE = (
    "{{ online_count }} here{% for p in presences %} [{{ p.name }} {{ p.user_id }} {{ p.color }}]{% endfor %} "
    "heard {{ heard|join:'+' }}."
)


@pytest.fixture(autouse=True)
def rooms(quiet_presence: None, db: None) -> Any:
    with override_settings(
        **site({"room.html": TEMPLATE}), DJUST_PRESENCE={"GRACE": 0.1}
    ):  # a store of its own
        yield


class Rooms(PresenceConsumerMixin, AsyncJsonWebsocketConsumer):
    """A consumer whose key comes out of its URL."""

    async def connect(self) -> None:
        self.track_presence(f"room:{self.scope['url_route']['kwargs']['room']}", {"user_id": "forged"})
        await self.accept()

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.update_presence(f"room:{self.scope['url_route']['kwargs']['room']}", **content)

    async def handle_presence_event(self, key: str, event: str, payload: Any) -> None:
        raise RuntimeError("a bug of the callback")


class AcceptsFirst(Rooms):
    async def connect(self) -> None:
        await self.accept()
        await super().connect()


class InThreads(PresenceConsumerMixin, JsonWebsocketConsumer):
    def connect(self) -> None:
        self.track_presence(f"room:{self.scope['url_route']['kwargs']['room']}")
        self.accept()


def consumer(kind: Any, room: str, user: Any = None) -> WebsocketCommunicator:
    router = URLRouter([path("room/<str:room>/", kind.as_asgi())])
    communicator = WebsocketCommunicator(router, f"/room/{room}/")
    scope_of(communicator)["user"] = user
    return communicator


def own_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "djust_presence"]


# Nesting


@beyond
@pytest.mark.parametrize("how", ["broadcast", "track", "update"])
async def test_a_value_that_is_too_deep_is_an_error_of_its_sender_and_the_page_goes_on(
    how: str, fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    value, said = FAULTS[fault]
    monkeypatch.setattr(Room, "value", value)
    async with Visitor("ada").opens("/room/a/") as ada, Visitor("grace").opens("/room/a/") as grace:
        await grace.until("2 here")
        assert (await ada.call("pass_on", how=how))["type"] == "ack"
        assert re.search(said, ada.pushed("refused")[0])
        await ada.call("shout", text="hello")
        await grace.until("heard shout.")
        assert "odd" not in await grace.until("2 here")
        assert "odd" not in ada.html + grace.html
    assert not own_lines(caplog)


@beyond
async def test_jobs_are_refused_what_is_too_deep_in_their_own_thread(fault: str) -> None:
    value, said = FAULTS[fault]
    for refused in (
        presence.ajoin("room:a", "job", {"odd": value}),
        presence.abroadcast("room:a", "odd", value),
        CursorTracker.aupdate_cursor("room:a", "job", 1, 2, {"odd": value}),
    ):
        with pytest.raises(ValueError, match=said):
            await refused
    assert await presence.acount("room:a") == 0
    for name in (7, None, ["event"]):
        with pytest.raises(TypeError, match="name of a broadcast"):
            await presence.abroadcast("room:a", name, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("levels", [MAX_LEVELS - 1, MAX_LEVELS, MAX_LEVELS + 1])
async def test_a_meta_may_have_32_levels_itself_included(levels: int) -> None:
    meta = {"a": nested(levels - 1)}
    if levels <= MAX_LEVELS:
        await presence.ajoin("room:a", "job", meta)
        (record,) = await presence.alist("room:a")
        assert record["meta"] == meta
    else:
        with pytest.raises(ValueError, match="presence meta's 'a' .* nested deeper than 32 levels"):
            await presence.ajoin("room:a", "job", meta)
        assert await presence.alist("room:a") == []


@pytest.mark.parametrize("levels", [MAX_LEVELS - 1, MAX_LEVELS])
async def test_a_payload_of_32_levels_arrives(levels: int) -> None:
    async with Visitor("ada").opens("/room/a/") as ada:
        await ada.until("1 here")
        await presence.abroadcast("room:a", "shout", nested(levels))
        assert await ada.until_event("shout") == nested(levels)
        await ada.until("heard shout.")


async def test_a_frame_of_33_levels_is_refused_and_calls_nothing() -> None:
    async with Visitor("ada").opens("/room/a/") as ada:
        for levels, answer in (
            (MAX_LEVELS - 2, "ack"),
            (MAX_LEVELS - 1, "error"),
        ):  # the frame and params are two
            await ada.send_json_to(
                {"type": "event", "ref": 1, "name": "shout", "params": {"text": nested(levels)}}
            )
            frame = await ada.frame()
            while frame["type"] not in ("ack", "error"):
                frame = await ada.frame()
            assert frame["type"] == answer
        assert frame["code"] == "bad-frame"
        assert (await ada.call("shout", text="hello"))["type"] == "ack"


async def test_one_callback_that_fails_costs_no_other_one(caplog: pytest.LogCaptureFixture) -> None:
    async with Visitor("ada").opens("/room/a/") as ada:
        await ada.until("1 here")
        for event in ("before", "fail", "after"):
            await presence.abroadcast("room:a", event)
        await presence.ajoin("room:a", "job")
        await ada.until("2 here", "heard before+after.")
    assert "handle_presence_event failed" in caplog.text


@pytest.fixture
def on_redis(valkey_url: str) -> Any:
    layer = {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [valkey_url], "prefix": valkey_url.rpartition("/")[2]},
    }
    with override_settings(
        DJUST_PRESENCE={"BACKEND": "redis", "LOCATION": valkey_url}, CHANNEL_LAYERS={"default": layer}
    ):
        yield


async def test_a_deep_item_of_another_program_costs_only_itself(
    on_redis: None, caplog: pytest.LogCaptureFixture
) -> None:
    layer: Any = get_channel_layer()
    async with Visitor("ada").opens("/room/a/") as ada:
        await ada.until("1 here")
        group = group_name(get_tracker().backend.namespace, "room:a")
        for odd in (nested(MAX_LEVELS + 1), nested(500), float("nan"), float("inf")):
            items = [["event", "before", 1], ["event", "odd", odd], ["event", "after", 2]]
            message = {"type": "x", "key": "room:a", "from": "another", "items": json.dumps(items)}
            await layer.group_send(group, message)
        await ada.until("heard " + "+".join(["before+after"] * 4) + ".")
        assert ada.events("odd") == []
        await presence.abroadcast("room:a", "shout")
        await ada.until("+shout.")
    assert "Channel layer" not in caplog.text
    assert len(own_lines(caplog)) <= 1


async def test_a_value_that_is_not_json_does_not_look_like_an_outage_of_the_layer(
    on_redis: None, caplog: pytest.LogCaptureFixture
) -> None:
    """A backend or a host of others may publish anything."""
    async with Visitor("ada").opens("/room/a/") as ada:
        await ada.until("1 here")
        bus = get_tracker().bus
        for odd in (nested(100_000), object(), 10**5000, float("nan")):
            for _ in range(5):
                bus.publish("room:a", [["event", "odd", odd]])
                await asyncio.sleep(0)
        await presence.abroadcast("room:a", "shout")
        await ada.until("heard shout.")
        await until(lambda: not bus.waits("room:a"))
    assert "Channel layer" not in caplog.text
    assert own_lines(caplog) == ["An item for other processes is not JSON, and was dropped."]


# Log


async def flood(page: Page, name: str, times: int = 90) -> None:
    for _ in range(times):
        await page.send_json_to({"type": "event", "name": name})
    assert (await page.call("update", changes={"color": "red"}))["type"] == "ack"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fail", "The event handler Room.fail failed"),
        ("afail", "The event handler Room.afail failed"),
        ("forbid", "Forbidden: the event handler Room.forbid"),
        ("spoil", "could not be rendered"),
    ],
)
async def test_a_page_that_lets_its_code_fail_all_the_time_gets_a_few_tracebacks(
    name: str, said: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    limit = LogLimit(lambda: now, burst=10)
    for module in ("live.code", "live.page", "live.hops", "view_presence", "hosts.socket"):
        monkeypatch.setattr(f"djust_presence.{module}.user_code", limit)
    async with Visitor("ada").opens("/room/a/") as ada:
        await flood(ada, name)
        assert 1 <= len([line for line in own_lines(caplog) if said in line]) == 10
        now = 10.0
        await ada.call(name)
    assert any("more like it were not logged." in line for line in own_lines(caplog))
    assert len(own_lines(caplog)) < 25
    assert len(caplog.text) < 300_000


async def test_pages_that_come_again_and_again_have_no_more_tracebacks_than_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(15):
        async with Visitor("ada").opens("/room/a/") as ada:
            await ada.call("fail")
    assert len(own_lines(caplog)) == 10


async def test_a_callback_that_always_fails_gets_a_few_tracebacks(caplog: pytest.LogCaptureFixture) -> None:
    socket = consumer(Rooms, "a")
    await socket.connect(timeout=5)
    async with Visitor("ada").opens("/room/a/") as ada:
        for _ in range(50):
            await presence.abroadcast("room:a", "fail")
        await presence.abroadcast("room:a", "shout")
        await ada.until("heard shout.")
        await until(lambda: caplog.text.count("Rooms.handle_presence_event failed") == 10)
    await socket.disconnect(timeout=5)
    assert caplog.text.count("Room.handle_presence_event failed") == 10


async def test_no_line_holds_more_of_an_address_than_200_characters(caplog: pytest.LogCaptureFixture) -> None:
    async with Visitor("ada").opens(f"/fixed/{'x' * 2000}/?{'y' * 2000}") as ada:
        for name in ("fail", "forbid", "spoil", "unheard-of"):
            await ada.call(name)
        await ada.call("update", changes={"x" * 3000: [[]] * 3000})
        await ada.call("shout", **{"z" * 3000: 1})
    assert own_lines(caplog)
    assert all(len(line) < 500 for line in own_lines(caplog))


# Whose id it is


@pytest.mark.parametrize(("user", "user_id"), [("ada", 7), (None, "none")])
async def test_nobody_can_give_themselves_the_user_id_of_somebody_else(
    user: str | None, user_id: Any
) -> None:
    async with Visitor(user).opens("/room/a/") as page:
        steps: tuple[tuple[str, dict[str, Any]], ...] = (
            ("update", {"changes": {"user_id": 8, "color": "red"}}),
            ("track", {"meta": {"user_id": 8, "color": "blue"}}),
            ("update", {"changes": {"user_id": None, "meta": {"user_id": 8}, "color": "green"}}),
        )
        for name, data in steps:
            await page.call(name, **data)
            color = next(iter(data.values()))["color"]
            shown = user_id if user else ""
            await page.until(f"[{user or 'Guest'} {shown} {color}]")
            (record,) = await presence.alist("room:a")
            assert (record.get("user_id", "none"), record["meta"].get("user_id", "none")) == (
                user_id,
                user_id,
            )


@pytest.mark.parametrize(("user", "user_id"), [(User(pk=7, username="ada"), 7), (None, "none")])
async def test_nor_can_the_client_of_a_consumer(user: Any, user_id: Any) -> None:
    socket = consumer(Rooms, "a", user)
    await socket.connect(timeout=5)
    await socket.send_json_to({"user_id": 8, "color": "red"})

    async def colored() -> list[dict[str, Any]]:
        return [one for one in await presence.alist("room:a") if "color" in one]

    (record,) = await until(colored, 5)
    assert record.get("user_id", "none") == user_id
    await socket.disconnect(timeout=5)


@pytest.mark.parametrize("levels", [600, 3_000])
async def test_a_name_that_is_too_deep_is_refused_like_anything_else(levels: int) -> None:
    with pytest.raises(ValueError, match="32 levels|at most 4096"):
        await presence.ajoin("room:a", "job", {"name": nested(5 * levels)})
    assert await presence.alist("room:a") == []


# Keys out of a URL


@pytest.mark.parametrize(
    "url", [f"/room/{'x' * 300}/", f"/named/{'x' * 251}/", f"/numbered/{'7' * 300}/", f"/room/{'ä' * 251}/"]
)
async def test_a_url_whose_key_is_too_long_is_not_found(url: str, caplog: pytest.LogCaptureFixture) -> None:
    response = await AsyncClient().get(url)
    assert response.status_code == 404
    async with Visitor().socket(url) as page:
        assert (await page.receive_output(timeout=5))["code"] == 4404
    assert not [record for record in caplog.records if record.exc_info]
    assert not own_lines(caplog)


async def test_a_key_that_is_too_long_whatever_the_url_is_an_error(settings: Settings) -> None:
    client = AsyncClient(raise_request_exception=False)
    assert (await client.get("/mistaken/a/")).status_code == 500
    assert (await client.get(f"/mistaken/{'a' * 300}/")).status_code == 500
    async with Visitor().socket("/mistaken/a/") as page:
        assert (await page.receive_output(timeout=5))["code"] == 4500


@pytest.mark.parametrize("kind", [Rooms, AcceptsFirst, InThreads])
async def test_a_consumer_of_such_a_url_is_closed_as_not_found(
    kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    socket = consumer(kind, "x" * 300)
    assert (await socket.connect(timeout=5))[0]
    assert (await socket.receive_output(timeout=5))["code"] == 4404
    await socket.wait(timeout=5)
    assert not caplog.records
