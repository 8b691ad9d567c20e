"""A page and a process stay as they are, whatever a browser sends them or another program puts on the bus."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any
from uuid import UUID

import pytest
from channels.layers import get_channel_layer
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.test import override_settings
from django.urls import path

from djust_presence import LiveCursorMixin, LiveView, event_handler, presence
from djust_presence.bus import NOTICES, group_name
from djust_presence.hosts import limits
from djust_presence.tracker import get_tracker
from tests.fuzz import chance, odd_frame, odd_message
from tests.pages import Page, Visitor, site

pytestmark = pytest.mark.urls(__name__)

FRAMES_AT_ONCE = 40
MESSAGES_AT_ONCE = 25  # a layer drops more than a hundred that wait
LINES = 150  # at once: some tracebacks for each kind of error
LINES_PER_SECOND = 3  # from then on: of refused frames, and of each kind of error
LONGEST_LINES = 5_000  # characters of each, tracebacks and all, on average
MOST_BLOCKS = 100_000  # of memory that are kept; a frame or message takes some dozen


class Board(LiveCursorMixin, LiveView):
    """Passes on all that its page sends."""

    template_name = "board.html"
    presence_key = "board:a"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.count = 0
        self.track_presence()

    @event_handler()
    def add(self, amount: int = 1) -> None:
        self.count += 1

    @event_handler()
    def nothing(self) -> None:
        pass

    @event_handler()
    def pick(
        self, token: UUID, numbers: list[int] | None = None, share: float = 0.5, sure: bool = False
    ) -> None:
        pass

    @event_handler()
    def anything(self, **kwargs: Any) -> None:
        pass

    @event_handler()
    async def later(self, text: str = "") -> None:
        await asyncio.sleep(0)

    @event_handler()
    def update(self, **changes: Any) -> None:
        self.update_presence(**changes)

    @event_handler()
    def track(self, meta: Any = None) -> None:
        self.track_presence(meta)

    @event_handler()
    def shout(self, payload: Any = None) -> None:
        self.broadcast_to_presence("shout", payload)

    @event_handler()
    def fail(self) -> None:
        raise RuntimeError("a bug")

    @event_handler()
    def forbid(self) -> None:
        raise PermissionDenied

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(presences=self.list_presences(), **kwargs)

    def handle_presence_event(self, event: str, payload: Any) -> None:
        self.heard = event


class OwnCode(Board):
    """Handles the moves of its pointer itself."""

    presence_key = "board:b"

    @event_handler()
    def cursor_move(self, x: float = 0, y: float = 0, **kwargs: Any) -> None:
        self.handle_cursor_move(x, y)


urlpatterns = [path("a/", Board.as_view()), path("b/", OwnCode.as_view())]
TEMPLATE = (
    "{{ online_count }} here{% for p in presences %} [{{ p.name }} {{ p.color }} {{ p.meta }}]{% endfor %}, "
    "{{ count }} done, {{ heard }}."
)
FRAMES: list[dict[str, Any]] = [
    *(
        {"type": "event", "ref": 7, "name": name, "params": {}}
        for name in ("fail", "forbid", "nothing", "add")
    ),
    {"type": "event", "ref": 1, "name": "add", "params": {"amount": "3", "value": "x", "field": "y"}},
    {"type": "event", "ref": 2, "name": "add", "params": {"_args": [3], "_target": "amount"}},
    {
        "type": "event",
        "ref": 3,
        "name": "pick",
        "params": {
            "token": "12345678-1234-5678-1234-567812345678",
            "numbers": ["1", 2],
            "_data": {"share": "0.1", "sure": "yes"},
        },
    },
    {"type": "event", "name": "anything", "params": {"a": 1, "b": [1, {"c": None}]}},
    {"type": "event", "ref": 4, "name": "later", "params": {"text": "hello"}},
    {"type": "event", "ref": 5, "name": "update", "params": {"color": "red", "typing": True, "tags": ["a"]}},
    {"type": "event", "ref": 6, "name": "track", "params": {"meta": {"name": "Ada", "color": "#123456"}}},
    {"type": "event", "ref": 8, "name": "shout", "params": {"payload": {"x": [1, 2.5, "three", None]}}},
    {"type": "cursor", "x": 10, "y": 20.5, "w": 800, "h": 600, "touch": True},
    {
        "type": "cursor",
        "x": 1,
        "y": 2,
        "anchor": "card",
        "ax": 3,
        "ay": 4,
        "aw": 5,
        "ah": 6,
        "surface": "board",
    },
    {"type": "cursor", "x": None, "y": None},
    {"type": "cursors"},
    {"type": "page"},
    {"type": "ping"},
    {"type": "pong"},
]
ITEMS: list[Any] = [
    ["change", "epoch", 1, "tag", "", {"7": [1, 1.0, "{}"], "8": None}, 1],
    ["change", "epoch", 2, "tag2", "tag", {"8": [2, 5, '{"name": "Grace", "tags": [1]}']}, 2],
    ["event", "shout", {"x": [1, 2.5, "three", None]}],
    ["cursors", {"ref": ["7", 1, 0.5, 10, 20, 800, 600, "card", 1, 2, 3, 4, "board", True]}, ["gone"]],
    ["cursors", {}, ["ref"]],
    ["looking", "a process", True, True],
    ["looking", "a process", False, False],
    ["session-ended", "0123456789abcdef"],
    ["session-ended", None],
    ["unknown", {"a": 1}],
]


# Pages here answer no pings, their people are no rows of a database, and a long run takes minutes.
TIMES = {"GRACE": 0.1, "LEASE_TTL": 3, "HEARTBEAT_INTERVAL": 600, "TIMEOUT": 1200, "REAUTH_INTERVAL": 0}


@pytest.fixture(autouse=True)
def pages(quiet_presence: None, db: None) -> Iterator[None]:
    with override_settings(**site({"board.html": TEMPLATE}), DJUST_PRESENCE=TIMES):
        yield


@pytest.fixture
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is sent is taken in."""
    for name in ("FRAMES_PER_SECOND", "BYTES_PER_SECOND", "USELESS_FRAMES"):
        monkeypatch.setattr(limits, name, 10**9)


@asynccontextmanager
async def nothing_is_left_behind(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """In this block no exception gets lost, and neither memory nor the log grow without a bound."""
    lost: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: lost.append(context))
    gc.collect()
    before, begun = sys.getallocatedblocks(), monotonic()
    yield
    most = LINES + LINES_PER_SECOND * (monotonic() - begun)
    records = [record for record in caplog.records if record.name in ("djust_presence", "asyncio")]
    size = len(caplog.text)
    caplog.clear()
    gc.collect()
    assert lost == []
    assert sys.getallocatedblocks() - before < MOST_BLOCKS
    assert [record.getMessage() for record in records if "Unexpected" in record.getMessage()] == []
    assert len(records) < most
    assert size < LONGEST_LINES * most


async def sends(page: Page, frames: list[str | bytes]) -> bool:
    """Send *frames*; return whether the page has stayed open. It may be closed only for too many bad ones."""
    for frame in frames:
        field = "text" if isinstance(frame, str) else "bytes"
        page.input_queue.put_nowait({"type": "websocket.receive", field: frame})
    page.input_queue.put_nowait(
        {"type": "websocket.receive", "text": '{"type":"event","ref":-1,"name":"nothing"}'}
    )
    while True:
        message = await page.receive_output(timeout=20)
        if message["type"] == "websocket.close":
            assert message["code"] == 4408
            return False
        if '"ref":-1' in message["text"]:
            return True


async def fuzz_frames(path: str, number: int, caplog: pytest.LogCaptureFixture) -> None:
    sent = 0
    with chance() as rng:
        async with Visitor("grace").opens("/a/") as grace:
            await grace.until("[grace")
            async with nothing_is_left_behind(caplog):
                while sent < number:
                    async with Visitor("ada").opens(path) as page:
                        open_ = True
                        while open_ and sent < number:
                            frames = [odd_frame(rng, FRAMES) for _ in range(FRAMES_AT_ONCE)]
                            open_ = await sends(page, frames)
                            sent += len(frames)
                            while not grace.output_queue.empty():  # its browser takes in what it is sent
                                await grace.frame()
                            grace.frames.clear()
            async with Visitor("ada").opens(path) as page:
                assert (await page.call("add"))["type"] == "ack"
                assert "done" in page.html
            assert (await grace.call("add"))["type"] == "ack"
            await grace.until("1 done")


@pytest.mark.parametrize("path", ["/a/", "/b/"])
async def test_a_page_survives_odd_frames(
    path: str, unlimited: None, caplog: pytest.LogCaptureFixture
) -> None:
    await fuzz_frames(path, 4_000, caplog)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("path", ["/a/", "/b/"])
async def test_a_page_survives_a_hundred_thousand_odd_frames(
    path: str, unlimited: None, caplog: pytest.LogCaptureFixture
) -> None:
    await fuzz_frames(path, 100_000, caplog)


async def fuzz_bus(number: int, caplog: pytest.LogCaptureFixture) -> None:
    layer: Any = get_channel_layer()
    with chance() as rng:
        async with Visitor("ada").opens("/a/") as ada:
            await ada.send_json_to({"type": "cursors"})
            namespace = get_tracker().backend.namespace
            async with nothing_is_left_behind(caplog):
                for sent in range(0, number, MESSAGES_AT_ONCE):
                    for _ in range(MESSAGES_AT_ONCE):
                        key = rng.choice(["board:a", "board:a", NOTICES])
                        place = get_tracker().groups["board:a"].replica.place
                        follows = [
                            "change",
                            place.epoch,
                            place.version + 1,
                            f"tag{sent}",
                            place.tag,
                            {"9": None},
                            1,
                        ]
                        items = [*ITEMS, follows, follows]
                        await layer.group_send(group_name(namespace, key), odd_message(rng, key, items))
                    ada.frames.clear()
                    await presence.abroadcast("board:a", f"mark{sent}")
                    await ada.until_event(f"mark{sent}")
            assert (await ada.call("add"))["type"] == "ack"
            # What was made up of the group is found out by comparison with the store.
            await ada.until("1 here", "[ada", "1 done")
            async with Visitor("grace").opens("/a/") as grace:
                await ada.until("2 here", "[grace")
                await grace.until("2 here")


@pytest.fixture
def on_redis(valkey_url: str) -> Iterator[None]:
    layer = {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [valkey_url], "prefix": valkey_url.rpartition("/")[2]},
    }
    settings = {"BACKEND": "redis", "LOCATION": valkey_url, "GRACE": 0.1, "LEASE_TTL": 3}
    with override_settings(DJUST_PRESENCE=settings, CHANNEL_LAYERS={"default": layer}):
        yield


async def test_a_process_survives_odd_messages(on_redis: None, caplog: pytest.LogCaptureFixture) -> None:
    await fuzz_bus(2_000, caplog)


@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_a_process_survives_twenty_thousand_odd_messages(
    on_redis: None, caplog: pytest.LogCaptureFixture
) -> None:
    await fuzz_bus(20_000, caplog)
