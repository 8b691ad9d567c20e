from __future__ import annotations

import asyncio
import json
import logging
import threading
from typing import Any

import pytest
from channels.routing import ProtocolTypeRouter
from channels.testing import ApplicationCommunicator

from djust_presence.hosts.limits import MAX_FRAME_BYTES
from djust_presence.live import LiveViewConsumer, lifespan
from djust_presence.live.page import MAX_WAITING_EVENTS
from djust_presence.rates import LogLimit
from djust_presence.tracker import get_tracker

from . import views
from .conftest import Socket, live


@pytest.fixture
def slow() -> Any:
    views.Slow.entered, views.Slow.leave = threading.Event(), threading.Event()
    yield views.Slow
    views.Slow.leave.set()


async def started(socket: Socket) -> dict[str, Any]:
    """Past ready and the first render; the regions of it."""
    assert await socket.frame() == {"type": "ready", "version": 1, "ping": 30.0}
    render = await socket.frame()
    assert render["type"] == "render"
    regions = render["regions"]
    assert isinstance(regions, dict)
    return regions


async def test_a_page_is_mounted_on_its_socket_with_the_arguments_of_its_url() -> None:
    async with live("/counter/7/?a=b") as socket:
        regions = await started(socket)
    assert list(regions) == ["*"]
    assert '<p id="count">7</p>' in regions["*"]
    assert "<title>Counting</title>" in regions["*"]
    assert "presence.js" not in regions["*"]


async def test_an_event_is_rendered_before_it_is_acknowledged() -> None:
    async with live("/counter/") as socket:
        await started(socket)
        render, push, ack = await socket.call(1, "add", amount="5")
        assert '<p id="count">5</p>' in render["regions"]["*"]
        assert push == {"type": "push", "event": "added", "payload": {"amount": 5}}
        assert ack == {"type": "ack", "ref": 1}


async def test_unchanged_regions_are_not_sent() -> None:
    async with live("/counter/") as socket:
        await started(socket)
        assert await socket.call(1, "nothing") == [{"type": "ack", "ref": 1}]


async def test_events_are_handled_in_their_order() -> None:
    async with live("/counter/") as socket:
        await started(socket)
        for ref in range(50):
            await socket.send_event(ref, "aadd" if ref % 3 else "add")
        acks: list[int] = []
        last: dict[str, Any] = {}
        while len(acks) < 50:
            frame = await socket.frame()
            if frame["type"] == "ack":
                acks.append(frame["ref"])
            else:
                last = frame
        assert acks == list(range(50))
        assert '<p id="count">50</p>' in last["regions"]["*"]


async def test_async_mount_and_async_handlers() -> None:
    async with live("/async/") as socket:
        assert '<p id="count">40</p>' in (await started(socket))["*"]
        render, _ = await socket.call(1, "aadd", amount=2)
        assert '<p id="count">42</p>' in render["regions"]["*"]


async def test_an_event_without_ref_is_not_acknowledged() -> None:
    async with live("/counter/") as socket:
        await started(socket)
        await socket.send_event(None, "nothing")
        assert await socket.call(1, "nothing") == [{"type": "ack", "ref": 1}]


@pytest.mark.parametrize("name", ["fail", "afail"])
async def test_a_failing_handler_is_logged_and_costs_only_itself(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with live("/counter/") as socket:
        await started(socket)
        *_, error = await socket.call(1, name)
        assert (error["type"], error["code"], error["ref"]) == ("error", "failed", 1)
        assert (await socket.call(2, "add"))[-1] == {"type": "ack", "ref": 2}
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.name == "djust_presence"
    assert record.exc_info
    assert f"Counter.{name}" in record.getMessage()


@pytest.mark.parametrize("name", ["forbid", "aforbid"])
async def test_a_permission_denied_by_a_handler_is_a_warning_and_not_a_failure(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with live("/counter/") as socket:
        await started(socket)
        *_, error = await socket.call(1, name)
        assert (error["type"], error["code"], error["ref"]) == ("error", "forbidden", 1)
        assert (await socket.call(2, "add"))[-1] == {"type": "ack", "ref": 2}
    (record,) = [record for record in caplog.records if record.name == "djust_presence"]
    assert record.levelno == logging.WARNING
    assert not record.exc_info
    assert f"Counter.{name}" in record.getMessage()


async def test_a_payload_that_is_not_json_fails_where_it_was_pushed(caplog: pytest.LogCaptureFixture) -> None:
    async with live("/counter/") as socket:
        await started(socket)
        (error,) = await socket.call(1, "spoil")
        assert error["code"] == "failed"
    assert "Counter.spoil" in caplog.text


@pytest.mark.parametrize(
    "name", ["helper", "mount", "get_context_data", "_mount", "__init__", "missing", "count"]
)
async def test_nothing_but_event_handlers_can_be_called(name: str) -> None:
    async with live("/counter/") as socket:
        await started(socket)
        (error,) = await socket.call(1, name)
        assert error["code"] == "unknown-event"


async def test_wrong_arguments_are_named() -> None:
    async with live("/counter/") as socket:
        await started(socket)
        (error,) = await socket.call(1, "add", amount="many")
        assert error["code"] == "bad-arguments"
        assert "'amount'" in error["message"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "bad-frame"),
        ("[]", "bad-frame"),
        ("null", "bad-frame"),
        ("NaN", "bad-frame"),
        (r'{"type":"event","name":"add","params":{"amount":"\ud800"}}', "bad-frame"),
        ("[" * 30_000, "bad-frame"),
        ('{"type":"unheard of"}', "bad-frame"),
        ('{"type":["event"]}', "bad-frame"),
        ('{"type":"event"}', "bad-frame"),
        ('{"type":"event","name":5}', "bad-frame"),
        ('{"type":"event","name":"add","ref":"x"}', "bad-frame"),
        ('{"type":"event","name":"add","ref":true}', "bad-frame"),
        ('{"type":"event","name":"add","params":[]}', "bad-frame"),
        ('{"type":"event","name":"add","params":{"amount":NaN}}', "bad-frame"),
        (f'{{"type":"event","ref":{"9" * 10_000}}}', "bad-frame"),
        (" " * (MAX_FRAME_BYTES + 1), "too-large"),
        ("ä" * (MAX_FRAME_BYTES // 2 + 1), "too-large"),
    ],
)
async def test_bad_frames_are_answered_and_logged_without_their_content(
    text: str, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with live("/counter/") as socket:
        await started(socket)
        await socket.send_to(text_data=text)
        error = await socket.frame()
        assert (error["type"], error["code"]) == ("error", code)
        assert await socket.call(1, "nothing") == [{"type": "ack", "ref": 1}]
    assert code in caplog.text
    assert text not in caplog.text


async def test_binary_frames_are_refused() -> None:
    async with live("/counter/") as socket:
        await started(socket)
        await socket.send_to(bytes_data=b'{"type":"ping"}')
        assert (await socket.frame())["code"] == "bad-frame"


async def test_ping_is_answered() -> None:
    async with live("/counter/") as socket:
        await started(socket)
        await socket.send_json_to({"type": "ping"})
        assert await socket.frame() == {"type": "pong"}
        await socket.send_json_to({"type": "pong"})
        assert await socket.receive_nothing()


async def test_a_frame_of_exactly_64_kb_is_taken() -> None:
    async with live("/counter/") as socket:
        await started(socket)
        await socket.send_to(text_data=json.dumps({"type": "ping"}).ljust(MAX_FRAME_BYTES))
        assert await socket.frame() == {"type": "pong"}


async def test_while_a_handler_takes_its_time_pings_are_answered_and_events_wait(
    slow: type[views.Slow],
) -> None:
    async with live("/slow/") as socket:
        await started(socket)
        await socket.send_event(1, "hold")
        await asyncio.to_thread(slow.entered.wait, 5)
        await socket.send_json_to({"type": "ping"})
        assert await socket.frame() == {"type": "pong"}
        for ref in range(2, MAX_WAITING_EVENTS + 3):
            await socket.send_event(ref, "add")
        refused = await socket.frame()
        assert (refused["code"], refused["ref"]) == ("too-many", MAX_WAITING_EVENTS + 2)
        slow.leave.set()
        acks = 0
        last: dict[str, Any] = {}
        while acks <= MAX_WAITING_EVENTS:
            frame = await socket.frame()
            acks += frame["type"] == "ack"
            last = frame if frame["type"] == "render" else last
        assert f'<p id="count">{100 + MAX_WAITING_EVENTS}</p>' in last["regions"]["*"]


async def test_events_sent_before_ready_are_handled_after_it() -> None:
    async with live("/counter/") as socket:
        await socket.send_event(1, "add")
        await started(socket)
        assert (await socket.frame())["type"] == "render"
        assert await socket.frame() == {"type": "ack", "ref": 1}


async def test_a_handler_runs_to_its_end_though_the_page_is_gone(slow: type[views.Slow]) -> None:
    async with live("/slow/") as socket:
        await started(socket)
        await socket.send_event(1, "hold")
        await asyncio.to_thread(slow.entered.wait, 5)
    slow.leave.set()
    async with live("/counter/") as socket:
        await started(socket)


# Presence


async def test_everybody_is_counted_on_every_page() -> None:
    async with live("/here/") as first:
        assert "1 online" in (await started(first))["*"]
        assert await first.frame() == {"type": "push", "event": "joined", "payload": "Guest"}
        async with live("/here-after/") as second:
            assert "2 online" in (await started(second))["*"]
            assert "2 online" in (await first.frame())["regions"]["*"]
            assert (await first.frame())["event"] == "joined"
        assert "1 online" in (await first.frame())["regions"]["*"]


async def test_a_broadcast_reaches_the_browsers() -> None:
    async with live("/here/") as first, live("/here/") as second:
        await started(first)
        await second.send_event(1, "shout", text="hallo")
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["type"] != "event":
            seen.append(await first.frame())
        assert seen[-1] == {"type": "event", "event": "shout", "payload": {"text": "hallo"}}


async def test_a_burst_of_broadcasts_closes_no_page() -> None:
    async with live("/here/") as socket:
        await started(socket)
        (session,) = get_tracker().sessions
        for number in range(1000):
            session.host.broadcast([session], "many", number)
        seen: list[Any] = []
        while len(seen) < 1000:
            frame = await socket.frame()
            seen += [frame["payload"]] if frame["type"] == "event" else []
        assert seen == list(range(1000))


async def test_news_during_a_handler_are_seen_after_it(slow: type[views.Slow]) -> None:
    async with live("/here-slow/") as first:
        await started(first)
        assert (await first.frame())["event"] == "joined"
        await first.send_event(1, "hold")
        await asyncio.to_thread(slow.entered.wait, 5)
        async with live("/here/") as second:
            await started(second)
            assert (await second.frame())["event"] == "joined"
            # Slow code of one page holds up no other.
            assert (await second.call(1, "add"))[-1] == {"type": "ack", "ref": 1}
            slow.leave.set()
            frames = [await first.frame()]
            while frames[-1].get("event") != "joined":
                frames.append(await first.frame())
            renders = [frame["regions"]["*"] for frame in frames if frame["type"] == "render"]
            assert "2 online, 100" in renders[-1]


async def test_repeated_requests_of_a_page_do_not_pile_up(slow: type[views.Slow]) -> None:
    async with live("/here-slow/") as socket:
        await started(socket)
        (session,) = get_tracker().sessions
        await socket.send_event(1, "hold")
        await asyncio.to_thread(slow.entered.wait, 5)
        for _ in range(50):
            await socket.send_json_to({"type": "page"})
        await socket.send_json_to({"type": "ping"})
        while await socket.frame() != {"type": "pong"}:
            pass
        assert len(session.owner._refreshes) <= 2
        slow.leave.set()


async def test_the_host_pings_and_closes() -> None:
    async with live("/here/") as socket:
        await started(socket)
        (session,) = get_tracker().sessions
        session.host.ping([session.connection])
        frames = [await socket.frame()]
        while frames[-1] != {"type": "ping"}:
            frames.append(await socket.frame())
        session.host.close(session.connection, 4000, "timeout")
        session.host.broadcast([session], "late", None)
        assert await socket.closed() == 4000
        assert not get_tracker().sessions


async def test_a_cancelled_server_task_ends_the_session() -> None:
    async with live("/here/") as socket:
        await started(socket)
        socket.future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await socket.future
        assert not get_tracker().sessions


# The ends


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/answers/forbidden/", 4403),
        ("/answers/missing/", 4404),
        ("/answers/suspicious/", 4400),
        ("/answers/broken/", 4500),
        ("/nowhere/", 4404),
        ("/plain/", 4404),
        ("/counter", 4401),
        ("/members/", 4401),
        ("/decorated/", 4401),
        ("/redirecting/?go=1", 4401),
        ("/async-context/", 4500),
        ("/nested/", 4500),
    ],
)
async def test_a_page_that_cannot_go_live_is_closed_with_a_code(
    path: str, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with live(path) as socket:
        assert await socket.closed() == code
        assert not get_tracker().sessions
    if code == 4500:
        assert any(record.exc_info for record in caplog.records)


async def test_a_browser_that_does_not_answer_a_close_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("djust_presence.hosts.socket.CLOSE_WAIT", 0.05)
    socket = Socket("/nowhere/")
    await socket.connect(timeout=5)
    assert await socket.closed() == 4404
    await socket.wait(timeout=5)


@pytest.mark.parametrize("origin", [b"http://evil.example", b"null", b"http://testserver:81", b"", None])
async def test_a_foreign_origin_is_refused_before_accept(origin: bytes | None) -> None:
    socket = Socket("/counter/")
    socket.scope["headers"] = [(b"host", b"testserver")] + ([] if origin is None else [(b"origin", origin)])
    assert await socket.connect() == (False, 1000)
    await socket.wait()


async def test_a_socket_that_is_refused_is_logged_with_what_to_look_at_but_not_each_time(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("djust_presence.hosts.socket._refusals", LogLimit())
    for _ in range(3):
        socket = Socket("/counter/" + "x" * 5000)
        socket.scope["headers"] = [(b"host", b"inside"), (b"origin", b"https://my.example/" + b"x" * 5000)]
        assert await socket.connect() == (False, 1000)
        await socket.wait()
    (line,) = [record.getMessage() for record in caplog.records if record.name == "djust_presence"]
    assert "A socket for '/counter/xxx" in line
    assert "Its Origin is 'https://my.example/xxx" in line
    assert "its Host 'inside'" in line
    assert "CSRF_TRUSTED_ORIGINS" in line
    assert len(line) < 1000


async def test_a_query_that_is_no_text_is_refused(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("djust_presence.hosts.socket._refusals", LogLimit())
    socket = Socket("/counter/", query_string=b"\xff")
    assert await socket.connect() == (False, 1000)
    await socket.wait()
    assert "query string is not UTF-8" in caplog.text


async def test_the_log_says_which_handler_of_which_view_was_missed(caplog: pytest.LogCaptureFixture) -> None:
    async with live("/counter/") as socket:
        await started(socket)
        (error,) = await socket.call(1, "x" * 5000)
        assert error["message"] == "There is no such event handler."
    (record,) = [record for record in caplog.records if record.name == "djust_presence"]
    assert f"Counter has no event handler '{'x' * 80}'; is it spelt right" in record.getMessage()
    assert "@event_handler()" in record.getMessage()
    assert len(record.getMessage()) < 500


async def test_the_log_says_which_handler_was_called_wrongly(caplog: pytest.LogCaptureFixture) -> None:
    async with live("/counter/") as socket:
        await started(socket)
        (error,) = await socket.call(1, "add", wrong=1)
        assert "Counter" not in error["message"]
    assert f"Counter.add(): {error['message']}" in caplog.text


async def test_a_peer_that_is_gone_ends_the_session() -> None:
    """Some servers raise in send() and never say anything to receive()."""
    sent = asyncio.Event()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            sent.set()
            raise OSError("gone")

    messages = [{"type": "websocket.connect"}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
        raise AssertionError

    scope = Socket("/here/").scope
    await asyncio.wait_for(LiveViewConsumer()(scope, receive, send), 5)
    assert sent.is_set()
    assert not get_tracker().sessions


async def test_one_line_of_routing_serves_websockets_and_a_second_one_the_lifespan() -> None:
    application = ProtocolTypeRouter({"websocket": LiveViewConsumer.as_asgi(), "lifespan": lifespan})
    server = ApplicationCommunicator(application, {"type": "lifespan"})  # type: ignore[no-untyped-call]
    await server.send_input({"type": "lifespan.startup"})
    assert (await server.receive_output())["type"] == "lifespan.startup.complete"
    async with live("/here/") as socket:
        await started(socket)
        await server.send_input({"type": "lifespan.shutdown"})
        assert (await server.receive_output())["type"] == "lifespan.shutdown.complete"
        await server.wait()


async def test_other_protocols_are_refused() -> None:
    with pytest.raises(ValueError, match="serves websockets"):
        await LiveViewConsumer()({"type": "http"}, None, None)  # type: ignore[arg-type]
