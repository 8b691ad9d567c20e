"""Limits on bad input. Frames that are not JSON, and frames behind a slow handler, are in test_consumer."""

from __future__ import annotations

import contextlib
import json
import threading
import tracemalloc
from contextlib import AsyncExitStack
from time import monotonic
from typing import Any

import pytest
import websockets
from django.urls import path
from django.utils.functional import classproperty
from pytest_django import Settings

from djust_presence.events import event_handler
from djust_presence.hosts import limits
from djust_presence.hosts.incoming import read_head
from djust_presence.hosts.limits import FRAMES_PER_SECOND, Limits
from djust_presence.hosts.request import LiveRequest
from djust_presence.hosts.turns import PER_VISITOR
from djust_presence.rates import LogLimit
from djust_presence.tracker import get_tracker
from tests.live_pages import LivePage, Person
from tests.servers import SiteServer

from . import views
from .conftest import Socket, live
from .test_consumer import started

FLOOD_PER_SECOND = limits.FLOOD * FRAMES_PER_SECOND
BURST = 2 * FRAMES_PER_SECOND
FLOOD = 2 * FLOOD_PER_SECOND


def test_limits_take_little_memory() -> None:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = [Limits() for _ in range(1000)]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / len(kept) < 1024


# How much a page may say


async def usable(socket: Socket) -> None:
    """Send events until one is handled."""
    for ref in range(10_000, 20_000):
        *_, answer = await socket.call(ref, "nothing")
        if answer["type"] == "ack":
            return
        assert answer["code"] == "too-fast"
    raise AssertionError("The page has not become usable again.")


async def closed_after_all(socket: Socket) -> tuple[int, int]:
    """Return how many frames came before the close, and its code."""
    frames = 0
    while (message := await socket.receive_output(timeout=5))["type"] == "websocket.send":
        frames += 1
    return frames, message["code"]


async def test_too_many_frames_are_refused_each_with_its_ref_and_the_page_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with live("/counter/") as socket:
        await started(socket)
        begun = monotonic()
        for ref in range(400):
            await socket.send_json_to({"type": "pong", "ref": ref, "password": "secret"})
        await socket.send_json_to({"type": "the last", "ref": 400})  # refused in any case
        errors = [await socket.frame()]
        while errors[-1].get("ref") != 400 and errors[-1]["code"] != "bad-frame":
            errors.append(await socket.frame())
        seconds = monotonic() - begun
        refused = errors[:-1]
        assert {(error["type"], error["code"]) for error in refused} == {("error", "too-fast")}
        assert BURST <= 400 - len(refused) <= BURST + FRAMES_PER_SECOND * seconds
        await usable(socket)
    assert 1 <= caplog.text.count("was refused") <= 1 + (monotonic() - begun)
    assert "secret" not in caplog.text


async def test_moves_are_dropped_silently_and_leave_room_for_clicks() -> None:
    async with live("/counter/") as socket:
        await started(socket)
        begun = monotonic()
        for x in range(1000):
            await socket.send_json_to({"type": "cursor", "x": x})
        errors = (await socket.call(1, "nothing"))[:-1]
        assert len(errors) <= BURST / 2 + FRAMES_PER_SECOND * (monotonic() - begun)
        for ref in range(2, 50):
            assert await socket.call(ref, "nothing") == [{"type": "ack", "ref": ref}]


@pytest.mark.parametrize("first", [started, None], ids=["live", "being mounted"])
async def test_a_flood_closes_the_socket_and_what_follows_is_not_read(
    first: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("djust_presence.hosts.socket._closings", LogLimit())
    async with live("/here/") as socket:
        if first:
            await first(socket)
        begun = monotonic()
        for _ in range(5 * FLOOD):
            await socket.send_json_to({"type": "pong"})
        frames, code = await closed_after_all(socket)
        assert code == 4408
        assert frames <= FLOOD + FLOOD_PER_SECOND * (monotonic() - begun)
        assert not get_tracker().sessions
    assert caplog.text.count("was closed: too many frames") == 1


async def test_a_browser_that_does_not_answer_a_close_is_not_listened_to(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with live("/nowhere/") as socket:
        assert await socket.closed() == 4404
        caplog.clear()
        await socket.send_to(text_data="{")
        assert await socket.receive_nothing()
    assert not caplog.records


async def test_a_queue_of_frames_keeps_nobody_else_waiting() -> None:
    heavy = json.dumps([1.5] * 12_000)  # takes milliseconds to read
    async with live("/counter/") as socket, live("/counter/") as other:
        await started(socket)
        await started(other)
        for _ in range(100):
            await socket.send_to(text_data=heavy)
        await other.send_json_to({"type": "ping"})
        assert await other.frame() == {"type": "pong"}
        assert socket.input_queue.qsize()


@pytest.mark.parametrize("first", [started, None], ids=["live", "being mounted"])
@pytest.mark.parametrize("bad", ["{", b"binary", "x" * 70_000, "[1]", '{"type": "no such"}'], ids=repr)
async def test_frames_that_no_page_sends_close_the_socket_in_the_end(bad: str | bytes, first: Any) -> None:
    async with live("/here/") as socket:
        if first:
            await first(socket)
        begun = monotonic()
        for _ in range(3 * limits.USELESS_FRAMES):
            await (socket.send_to(bad) if isinstance(bad, str) else socket.send_to(bytes_data=bad))
        frames, code = await closed_after_all(socket)
        assert code == 4408
        assert frames <= limits.USELESS_FRAMES + 3 + (monotonic() - begun)  # and ready, and what is shown


async def test_a_frame_that_is_too_much_is_refused_unread() -> None:
    async with live("/counter/") as socket:
        await started(socket)
        frame = '{"type":"event","ref":%d,"name":"nothing","params":{"x":"' + "x" * 65_000 + '"}}'
        answers = []
        for ref in range(1, 15):
            await socket.send_to(text_data=frame % ref)
            answers.append(await socket.frame())
        codes = [answer["code"] for answer in answers]
        assert [answer["ref"] for answer in answers] == [*range(1, 15)]
        assert codes[:8] == ["bad-arguments"] * 8  # 512 KB at once
        assert "too-fast" in codes
        await usable(socket)


async def test_valid_frames_of_64_KB_one_after_the_other_close_the_socket() -> None:
    async with live("/counter/") as socket:
        await started(socket)
        frame = '{"type":"pong","x":"' + "x" * 65_000 + '"}'
        for _ in range(60):
            await socket.send_to(text_data=frame)
        _, code = await closed_after_all(socket)
        assert code == 4408


@pytest.mark.parametrize("first", [started, None], ids=["live", "being mounted"])
async def test_little_waits_for_a_view_that_is_busy(first: Any, settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    Patient.gate.clear()
    try:
        async with live("/patient/" if first else "/patient/?wait") as socket:
            if first:
                await first(socket)
                await socket.send_json_to({"type": "event", "name": "wait"})
            large = json.dumps({"type": "event", "ref": 1, "name": "x", "params": {"x": "x" * 60_000}})
            for _ in range(5):
                await socket.send_to(text_data=large)
            errors = [await socket.frame()]
            assert errors[0]["code"] == "too-many"
            assert errors[0]["ref"] == 1
            Patient.gate.set()
    finally:
        Patient.gate.set()


async def test_the_log_is_not_filled_from_many_sockets(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(50):
        async with live("/here/") as socket:
            await socket.send_to(bytes_data=b"binary")
            while (await socket.frame())["type"] != "ready":
                pass
    assert 1 <= caplog.text.count("was refused") <= 12


def test_only_the_beginning_of_a_frame_is_looked_at_before_it_is_counted() -> None:
    assert read_head('{"type":"event","ref":1,' + " " * 1000, None).ref == 1
    assert read_head('{"type":"event","ref":1' + " " * 1000 + "}", None).ref is None
    assert read_head(" " * 1000 + '{"type":"event"}', None).kind == ""


# Pages that open


async def test_pages_that_are_too_many_to_wait_are_told_to_try_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ROOT_URLCONF = __name__
    monkeypatch.setattr("djust_presence.hosts.socket._crowds", LogLimit())
    monkeypatch.setattr("djust_presence.hosts.turns.MAX_WAITING_MOUNTS", 2)
    Patient.gate.clear()
    try:
        async with AsyncExitStack() as stack:
            fit = [await stack.enter_async_context(live("/patient/?wait")) for _ in range(PER_VISITOR + 2)]
            for _ in range(2):
                assert await (await stack.enter_async_context(live("/patient/?wait"))).closed() == 4000
            Patient.gate.set()
            for socket in fit:
                await started(socket)
    finally:
        Patient.gate.set()
    assert caplog.text.count("Too many pages are waiting to open") == 1


async def test_a_page_whose_socket_has_gone_is_not_mounted(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    Patient.gate.clear()
    Patient.mounts = 0
    try:
        async with AsyncExitStack() as stack:
            first = [await stack.enter_async_context(live("/patient/?wait")) for _ in range(PER_VISITOR)]
            for _ in range(20):
                async with live("/patient/?wait"):
                    pass
            flood = await stack.enter_async_context(live("/patient/?wait"))
            for _ in range(2 * limits.USELESS_FRAMES):
                await flood.send_to(bytes_data=b"{")
            assert (await closed_after_all(flood))[1] == 4408
            last = await stack.enter_async_context(live("/patient/?wait"))
            Patient.gate.set()
            for socket in (*first, last):
                await started(socket)
            assert Patient.mounts == PER_VISITOR + 1
    finally:
        Patient.gate.set()


# What is in a frame


class Patient(views.Counter):
    """A view that waits."""

    gate = threading.Event()
    mounts = 0

    def mount(self, request: Any, **kwargs: Any) -> None:
        super().mount(request, **kwargs)
        Patient.mounts += isinstance(request, LiveRequest)
        if "wait" in request.GET and isinstance(request, LiveRequest):
            self.gate.wait(5)

    @event_handler
    def wait(self) -> None:
        self.gate.wait(5)


class Guarded(views.Counter):
    """A view full of attributes that are not event handlers."""

    attribute = "attribute"

    @property
    def secret(self) -> str:
        raise AssertionError("a property was read")

    @classproperty
    def shared(cls) -> str:
        raise AssertionError("a property of the class was read")

    @event_handler
    def take(self, value: Any = None) -> None:
        self.count = type(value).__name__


urlpatterns = [path("guarded/", Guarded.as_view()), path("patient/", Patient.as_view())]


@pytest.mark.parametrize(
    "name",
    [
        *("helper", "mount", "dispatch", "as_view", "push_event", "get_context_data", "_mount", "__init__"),
        *("attribute", "count", "template_name", "secret", "shared", "view_is_async", "_live_pushed"),
        *(
            "__class__",
            "__dict__",
            "mro",
            "",
            "add.__func__",
            "add ",
            "ADD",
            "\uff41dd",
            "add\x00",
            "x" * 60_000,
        ),
    ],
)
async def test_only_event_handlers_can_be_called_and_nothing_else_is_touched(
    name: str, settings: Settings
) -> None:
    settings.ROOT_URLCONF = __name__
    async with live("/guarded/") as socket:
        await started(socket)
        assert await socket.call(1, name) == [
            {"type": "error", "ref": 1, "code": "unknown-event", "message": "There is no such event handler."}
        ]
        await usable(socket)


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"amount": "many"}, "'amount'"),
        ({"amount": None}, "'amount'"),
        ({"amount": {}}, "'amount'"),
        ({"amount": 1.5}, "'amount'"),
        ({"amount": "9" * 5000}, "'amount'"),
        ({"sum": 1}, "'sum'"),
        ({"self": 1}, "'self'"),
        ({"_args": [1, 2]}, "'_args'"),
        ({"_args": "many"}, "'_args'"),
        ({"x" * 60_000: 1}, f"'{'x' * 80}'"),
    ],
)
async def test_arguments_that_do_not_fit_are_named_and_their_values_are_not(
    params: dict[str, Any], named: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with live("/counter/") as socket:
        await started(socket)
        await socket.send_json_to({"type": "event", "name": "add", "params": params})
        error = await socket.frame()
        assert error["code"] == "bad-arguments"
        assert named in error["message"]
        await usable(socket)
    assert "bad-arguments" in caplog.text
    assert "many" not in caplog.text + error["message"]
    assert len(error["message"]) < 200


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1e308", "float"),
        ("1e-999", "float"),
        ("9" * 4000, "int"),
        ("[" * 30 + "]" * 30, "list"),
        ('{"a":1,"a":2}', "dict"),
        (r'"\ud83d\ude00"', "str"),
        ("1e999", "bad-frame"),
        ("-1e999", "bad-frame"),
        ("NaN", "bad-frame"),
        ("-Infinity", "bad-frame"),
        ("9" * 5000, "bad-frame"),
        ("[" * 31 + "]" * 31, "bad-frame"),
        ("[" * 10_000 + "]" * 10_000, "bad-frame"),
        (r'"\ud83d"', "bad-frame"),
        (r'{"\ude00\ud83d":1}', "bad-frame"),
        ("'x'", "bad-frame"),
        ("1,", "bad-frame"),
    ],
    ids=lambda text: f"{text[:12]} {len(text)}",
)
async def test_json_that_is_strange_is_taken_or_refused_as_a_whole(
    value: str, expected: str, settings: Settings
) -> None:
    settings.ROOT_URLCONF = __name__
    async with live("/guarded/") as socket:
        await started(socket)
        await socket.send_to(
            text_data=f'{{"type":"event","ref":1,"name":"take","params":{{"value":{value}}}}}'
        )
        answer = await socket.frame()
        if answer["type"] == "render":
            assert f'<p id="count">{expected}</p>' in answer["regions"]["*"]
            assert await socket.frame() == {"type": "ack", "ref": 1}
        else:
            assert (answer["type"], answer["code"]) == ("error", expected)
        await usable(socket)


@pytest.mark.parametrize(
    "fields",
    [
        *('"params":[]', '"params":"x"', '"params":1', '"params":null'),
        *('"ref":1.0', '"ref":"1"', '"ref":true', '"ref":[]', '"ref":{}'),
        *('"name":null', '"name":["add"]', '"type":"Event"', '"type":null', '"type":[]'),
    ],
)
async def test_fields_of_another_kind_are_refused(fields: str) -> None:
    async with live("/counter/") as socket:
        await started(socket)
        await socket.send_to(text_data=f'{{"type":"event","name":"add",{fields}}}')
        assert (await socket.frame())["code"] == "bad-frame"
        await usable(socket)


async def test_the_last_of_two_fields_of_one_name_counts_as_in_a_browser() -> None:
    async with live("/counter/") as socket:
        await started(socket)
        await socket.send_to(
            text_data='{"type":"ping","type":"event","name":"fail","name":"nothing","ref":1}'
        )
        assert await socket.frame() == {"type": "ack", "ref": 1}


# Over a real wire


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
async def test_a_real_server_refuses_and_closes(server: str) -> None:
    with SiteServer(server=server) as site:
        site.allow("A frame for '/counter/' was refused|'/counter/' was closed: too many frames")
        guest = Person(site)
        async with LivePage(site, "/counter/", guest) as page:
            await page.until_online(1)

            def refused() -> list[str]:
                return [frame["code"] for frame in page.frames if frame["type"] == "error"]

            await page._socket.send(b"binary")
            await page._socket.send("{")
            await page._socket.send("x" * 500_000)
            await page.until(lambda: refused() == ["bad-frame", "bad-frame", "too-large"])
            await page.send(type="ping")
            await page.until(lambda: {"type": "pong"} in page.frames)
            with contextlib.suppress(websockets.ConnectionClosed):
                for _ in range(10 * FLOOD):
                    await page.send(type="pong")
            await page.until_closed()
            assert page.close_code == 4408
            assert {"bad-frame", "too-large", "too-fast"} == set(refused())
        async with LivePage(site, "/counter/", guest) as page:
            await page.until_online(1)
        log = site.log.read_text()
        assert "was closed: too many frames" in log
        assert "binary" not in log
        assert "xxx" not in log
