from __future__ import annotations

import asyncio
import re
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import django
import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.http import HttpResponse
from django.template import TemplateSyntaxError, engines
from django.template.backends.django import DjangoTemplates
from django.test import Client, RequestFactory
from django.utils.translation import override
from pytest_django import Settings

from djust_presence.hosts.outgoing import MAX_WAITING_FRAMES, STALLED, Changed, Outgoing, encode
from djust_presence.live.rendering import Rendering, Shown, TagPlace
from djust_presence.live.script import inject_script
from tests.until import until

from . import views
from .conftest import live
from .test_consumer import started


def page(**regions: str) -> Rendering:
    places = tuple((TagPlace(name, 1, 1), "") for name in sorted(regions))
    return Rendering(HttpResponse("".join(regions.values())), regions, places, (), "token")


class SlowTemplates(DjangoTemplates):
    """An engine that waits for a second thread which makes one, too, as long as one might come."""

    made: list[SlowTemplates]
    another: Barrier

    def __init__(self, params: dict[str, Any]) -> None:
        with suppress(BrokenBarrierError):
            self.another.wait(0.5)
        super().__init__(params)
        self.made.append(self)


def test_threads_that_render_first_make_one_engine(settings: Settings) -> None:
    SlowTemplates.made, SlowTemplates.another = [], Barrier(2)
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "BACKEND": f"{__name__}.SlowTemplates"}]
    together = Barrier(4)

    def render_region(_: int) -> str:
        request = RequestFactory().get("/regions/")
        request.session = SessionStore()
        together.wait(20)
        return views.RegionCounter.as_view()(request).rendered_content  # type: ignore[attr-defined, no-any-return]

    with ThreadPoolExecutor(4) as pool:
        pages = list(pool.map(render_region, range(4)))
    assert all("<b>0 inside</b>" in one for one in pages)
    assert len(SlowTemplates.made) == 1


# Regions


def test_regions_are_marked_in_the_page(client: Client) -> None:
    html = client.get("/regions/").content.decode()
    assert '<live-region id="live-1"><b>0 inside</b></live-region>' in html
    assert '<live-region id="live-2"><u>0</u><input type="hidden" name="csrfmiddlewaretoken"' in html
    assert '<live-region id="live-3">a</live-region><live-region id="live-3-2">b</live-region>' in html
    assert html.count("<live-region") == html.count("</live-region>") == 4


async def test_only_regions_that_changed_are_sent() -> None:
    async with live("/regions/") as socket:
        regions = await started(socket)
        assert list(regions) == ["live-1", "live-2", "live-3", "live-3-2"]
        assert regions["live-1"] == "<b>0 inside</b>"
        render, _ = await socket.call(1, "add")
        assert list(render["regions"]) == ["live-1", "live-2"]
        assert render["regions"]["live-1"] == "<b>1 inside</b>"


async def test_regions_that_come_or_go_make_the_whole_page_differ() -> None:
    async with live("/optional/") as socket:
        assert await started(socket) == {"live-2": "second"}
        render, _ = await socket.call(1, "add")
        (html,) = render["regions"].values()
        assert list(render["regions"]) == ["*"]
        assert (
            '<live-region id="live-1">first</live-region><live-region id="live-2">second</live-region>'
            in html
        )
        render, _ = await socket.call(2, "add", amount=-1)
        assert list(render["regions"]) == ["*"]


async def test_regions_work_in_child_templates_and_includes() -> None:
    async with live("/child/") as socket:
        assert await started(socket) == {"live-1": "<h1>base</h1>0"}
    async with live("/included/") as socket:
        assert list((await started(socket)).values()) == ["outer 0", "inner"]


def test_regions_do_not_nest(client: Client) -> None:
    with pytest.raises(
        TemplateSyntaxError, match=r"inner\.html:1 is inside the one at .*nested\.html:1: regions do not nest"
    ):
        client.get("/nested/")


@pytest.mark.parametrize("tag", ['{% live "a" "b" %}', "{% live %}", '{% live "missing.html" as x %}'])
def test_wrong_tags_are_syntax_errors(tag: str) -> None:
    with pytest.raises(TemplateSyntaxError):
        engines["django"].from_string("{% load djust_presence %}" + tag)


def test_in_other_views_the_tag_changes_nothing() -> None:
    template = engines["django"].from_string(
        '{% load djust_presence %}{% live %}{{ count }}{% endlive %}{% live "live/part.html" %}'
    )
    assert template.render({"count": 3, "word": "!"}).strip().startswith("3<u>3!</u>")


def test_a_template_without_regions_is_live_as_a_whole_even_with_another_engine(
    settings: Settings, client: Client
) -> None:
    settings.TEMPLATES = [
        {"BACKEND": "django.template.backends.jinja2.Jinja2", "DIRS": settings.TEMPLATES[0]["DIRS"]},
    ]
    assert '<p id="count">7</p>' in client.get("/counter/7/").content.decode()


# Shared surfaces


def surface(tag: str, **context: Any) -> str:
    template = engines["django"].from_string("{% load djust_presence %}" + tag)
    return template.render(context)


def test_a_surface_is_what_stands_in_the_tag() -> None:
    html = surface("{% live_cursors %}<main>{{ word }}</main>{% endlive_cursors %}", word="<b>")
    assert html == '<live-cursors guest="Guest"><main>&lt;b&gt;</main></live-cursors>'


@pytest.mark.parametrize(
    ("argument", "name"),
    [('"canvas"', "canvas"), ("name", "a&quot;&lt;b"), ("number", "7"), ('name|default:"x"', "a&quot;&lt;b")],
)
def test_a_surface_may_have_a_name(argument: str, name: str) -> None:
    tag = "{% live_cursors " + argument + " %}<main></main>{% endlive_cursors %}"
    assert f'<live-cursors name="{name}" guest="Guest">' in surface(tag, name='a"<b', number=7)


def catalogue(**texts: str) -> bytes:
    """A compiled catalogue of translations, in gettext's format."""
    pairs = [("", "Content-Type: text/plain; charset=UTF-8\n"), *sorted(texts.items())]
    words = [pair[side].encode() for side in (0, 1) for pair in pairs]
    ends = list(accumulate(len(word) + 1 for word in words))
    start, places = 28 + 8 * len(words), list(zip(words, [0, *ends], strict=False))
    table = b"".join(struct.pack("<2I", len(word), start + place) for word, place in places)
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, start)
    return head + table + b"".join(word + b"\0" for word in words)


def test_a_user_without_a_name_is_called_a_guest_in_the_readers_language(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "fr" / "LC_MESSAGES").mkdir(parents=True)
    (tmp_path / "fr" / "LC_MESSAGES" / "django.mo").write_bytes(catalogue(Guest='L"invité'))
    settings.LOCALE_PATHS = [tmp_path]
    with override("fr"):
        html = surface("{% live_cursors %}<main></main>{% endlive_cursors %}")
    assert html.startswith('<live-cursors guest="L&quot;invité">')


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ('{% live_cursors "a" "b" %}{% endlive_cursors %}', "at most one argument"),
        ("{% live_cursors %}", "Unclosed tag .*'live_cursors'.*endlive_cursors"),
        ("{% live_cursors | %}{% endlive_cursors %}", "parse"),
        ("{% live_cursors nothing %}{% endlive_cursors %}", "live_cursors nothing .* wants the name"),
        ('{% live_cursors "" %}{% endlive_cursors %}', "not ''"),
        ("{% live_cursors word %}{% endlive_cursors %}", "up to 128 characters"),
        ("{% endlive_cursors %}", "Invalid block tag"),
    ],
)
def test_wrong_surfaces_are_syntax_errors(tag: str, message: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=message):
        surface(tag, word="x" * 129)


async def test_surfaces_stand_around_regions_and_in_them() -> None:
    async with live("/board/") as socket:
        regions = await started(socket)
    assert regions["live-1"] == "0"
    assert regions["live-2"] == '<live-cursors name="inside" guest="Guest"><p>0</p></live-cursors>'


# The token


async def test_the_csrf_token_stays_the_same_and_is_that_of_the_cookie() -> None:
    client = Client()
    html = client.get("/form/").content.decode()
    secret = client.cookies["csrftoken"].value
    assert _token(html)
    async with live("/form/", (b"cookie", f"csrftoken={secret}".encode())) as socket:
        first = _token((await started(socket))["*"])
        assert await socket.call(1, "nothing") == [{"type": "ack", "ref": 1}]
        render, _ = await socket.call(2, "add")
        assert _token(render["regions"]["*"]) == first
    request = RequestFactory().post(
        "/", {"csrfmiddlewaretoken": first}, headers={"cookie": f"csrftoken={secret}"}
    )
    from django.middleware.csrf import CsrfViewMiddleware

    checker = CsrfViewMiddleware(lambda request: HttpResponse())
    request.csrf_processing_done = False  # type: ignore[attr-defined]
    checker.process_request(request)
    assert checker.process_view(request, views.plain, (), {}) is None


async def test_without_a_cookie_the_token_stays_the_same_and_no_session_is_made(settings: Settings) -> None:
    settings.CSRF_USE_SESSIONS = True
    async with live("/form/") as socket:
        first = _token((await started(socket))["*"])
        render, _ = await socket.call(1, "add")
        assert _token(render["regions"]["*"]) == first
    assert not await Session.objects.aexists()


def _token(html: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', html)
    assert found
    return found[1]


# What is shown


def test_the_first_regions_are_given_out_once() -> None:
    shown = Shown(page(a="1", b="2"))
    assert shown.first() == {"a": "1", "b": "2"}
    assert shown.first() == {}


def test_an_item_that_was_given_out_is_shown() -> None:
    shown = Shown(page(a="1", b="2"))
    assert shown.update(page(a="1", b="2")) == {}
    assert shown.update(page(a="1", b="3")) == {"b": "3"}
    assert shown.update(page(a="1", b="3")) == {}
    assert shown.update(page(a="1", b="2")) == {"b": "2"}
    assert shown.update(page(a="1")) == {"*": "1"}


# The script


@pytest.mark.parametrize(
    ("html", "before", "after"),
    [
        ("<body>x</body></html>", "<body>x", "</body></html>"),
        ("<BODY>x</BODY >", "<BODY>x</BODY >", ""),
        ("<body>x</BODY>", "<body>x", "</BODY>"),
        ("<pre></body></pre>İ</body>\n", "<pre></body></pre>İ", "</body>\n"),
        ("bare fragment", "bare fragment", ""),
        ("", "", ""),
    ],
)
def test_the_script_stands_before_the_last_end_of_the_body(html: str, before: str, after: str) -> None:
    response = HttpResponse(html)
    inject_script(response, RequestFactory().get("/"))
    content = response.content.decode()
    assert content.startswith(before + "<script src=")
    assert content.endswith("</script>" + after)


def test_only_html_gets_the_script() -> None:
    response = HttpResponse("{}", content_type="application/json")
    inject_script(response, RequestFactory().get("/"))
    assert response.content == b"{}"


def test_the_script_is_told_the_socket_prefix_escaped(settings: Settings) -> None:
    settings.DJUST_PRESENCE = {"SOCKET_PREFIX": '/w"s'}
    response = HttpResponse("")
    inject_script(response, RequestFactory().get("/"))
    assert b'data-socket-prefix="/w&quot;s"' in response.content


def test_the_script_is_told_where_the_one_for_cursors_is() -> None:
    response = HttpResponse("")
    inject_script(response, RequestFactory().get("/"))
    assert b' data-cursors="/static/djust_presence/cursors.js"' in response.content


def test_the_script_has_the_nonce_that_a_middleware_gives() -> None:
    request = RequestFactory().get("/")
    request.csp_nonce = "abc"  # type: ignore[attr-defined]
    response = HttpResponse("")
    inject_script(response, request)
    assert response.content.count(b' nonce="abc"></script>') == response.content.count(b"<script ") == 4


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django has its own nonces since 6.0")
def test_the_script_has_the_nonce_of_django(client: Client, settings: Settings) -> None:
    settings.MIDDLEWARE = ["django.middleware.csp.ContentSecurityPolicyMiddleware", *settings.MIDDLEWARE]
    settings.SECURE_CSP = {"default-src": ["'self'"], "script-src": ["'self'", "<CSP_NONCE_SENTINEL>"]}
    response = client.get("/counter/")
    found = re.search(r"'nonce-([^']+)'", response["Content-Security-Policy"])
    assert found
    assert f' nonce="{found[1]}"></script>' in response.content.decode()


# Frames


def test_frames_are_compact_json() -> None:
    assert encode("push", event="ä", payload={"a": [1]}) == '{"type":"push","event":"ä","payload":{"a":[1]}}'


def test_half_a_surrogate_pair_keeps_no_frame_from_being_sent() -> None:
    assert encode("event", payload="ä\ud800") == '{"type":"event","payload":"\\u00e4\\ud800"}'


NOW = 100.0


class Recorder:
    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.gone = 0

    async def send(self, message: dict[str, Any]) -> None:
        await asyncio.sleep(0)  # the peer does not take it at once
        self.sent.append(message.get("text", message["type"]))
        if self.sent[-1] == '"fail"':
            raise OSError

    def leave(self) -> None:
        self.gone += 1


async def test_frames_go_out_in_order_and_regions_as_they_are_by_then() -> None:
    recorder = Recorder()
    outgoing = await _busy(recorder)
    outgoing.put("1", NOW)
    outgoing.show(Changed({"a": "old", "b": "x"}))
    outgoing.put("2", NOW)
    outgoing.show(Changed({"a": "new"}))
    outgoing.show(Changed({}))
    await _sent(outgoing)
    assert recorder.sent == ["0", "1", '{"type":"render","regions":{"a":"new","b":"x"}}', "2"]
    outgoing.put("3", NOW)
    if sys.version_info < (3, 12):
        await asyncio.sleep(0)
    outgoing.show(Changed({"a": "1"}))
    outgoing.show(Changed({"*": "all"}))
    await _sent(outgoing)
    assert recorder.sent[5:] == ['{"type":"render","regions":{"*":"all"}}']


async def test_pings_do_not_pile_up() -> None:
    recorder = Recorder()
    outgoing = await _busy(recorder)
    for _ in range(1000):
        assert outgoing.put(encode("ping"), NOW)
        assert outgoing.put(encode("pong"), NOW)
    await _sent(outgoing)
    assert recorder.sent == ["0", '{"type":"ping"}', '{"type":"pong"}']


async def test_a_burst_of_frames_is_sent_however_many_they_are() -> None:
    recorder = Recorder()
    outgoing = Outgoing(recorder.send, recorder.leave)
    for seconds in (0, 2 * STALLED):
        frames = [f"{seconds} {n}" for n in range(2 * MAX_WAITING_FRAMES)]
        assert all(outgoing.put(frame, NOW + seconds) for frame in frames)
        await _sent(outgoing)
        assert recorder.sent == frames
        recorder.sent.clear()


async def test_long_waits_are_bounded_and_given_up_for_a_close() -> None:
    recorder = Recorder()
    outgoing = await _busy(recorder)
    for n in range(MAX_WAITING_FRAMES):
        assert outgoing.put(str(n), NOW)
    assert outgoing.put("one more", NOW + STALLED)
    assert not outgoing.put("one too many", NOW + STALLED + 1)
    outgoing.close(4000, "slow")
    await _sent(outgoing)
    assert recorder.sent == ["0", "websocket.close"]


async def test_a_send_that_waits_holds_up_no_other() -> None:
    slow, sent, release = Recorder(), list[str](), asyncio.Event()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["text"])
        if message["text"].startswith("slow"):
            await release.wait()

    pages = [Outgoing(send, slow.leave) for _ in range(2000)]
    for number, page in enumerate(pages):
        page.put(f"{'slow' if number % 500 == 7 else 'quick'} {number}", NOW)
    while len(sent) < len(pages):
        await asyncio.sleep(0)
    assert [number for number, page in enumerate(pages) if not page.idle] == [7, 507, 1007, 1507]
    pages[7].end()
    pages[507].put("late", NOW)
    release.set()
    for page in pages:
        await _sent(page)
    assert sent[-1] == "late"
    assert not slow.gone
    assert pages[8].put_if_idle("again")
    await _sent(pages[8])
    assert sent[-1] == "again"


async def test_a_frame_that_has_not_begun_is_dropped_at_the_end() -> None:
    recorder = Recorder()
    closed, ended = Outgoing(recorder.send, recorder.leave), Outgoing(recorder.send, recorder.leave)
    for outgoing in (closed, ended):
        outgoing.put("never", NOW)
        outgoing.show(Changed({"live-1": "never"}))
    closed.close(4000, "over")
    ended.end()
    await _sent(closed)
    await _sent(ended)
    assert recorder.sent == ["websocket.close"]
    assert not recorder.gone


async def test_a_peer_that_is_gone_is_reported() -> None:
    recorder = Recorder()
    outgoing = Outgoing(recorder.send, recorder.leave)
    outgoing.put('"fail"', NOW)
    await _sent(outgoing)
    assert recorder.gone == 1


async def _busy(recorder: Recorder) -> Outgoing:
    """Return the queue of a page that is being sent a frame."""
    outgoing = Outgoing(recorder.send, recorder.leave)
    outgoing.put("0", NOW)
    await asyncio.sleep(0)  # the send begins
    return outgoing


async def _sent(outgoing: Outgoing) -> None:
    await until(lambda: outgoing.idle, pause=0)
