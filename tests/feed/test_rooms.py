from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient
from pytest_django import Settings

from djust_presence import presence
from djust_presence.feed import connection
from djust_presence.feed.room import PER_SECOND
from djust_presence.feed.tickets import LIFE, room_of
from djust_presence.keys import opaque_id
from djust_presence.signals import presence_joined, presence_left
from tests.feed.pages import issue, opened
from tests.pages import Visitor
from tests.until import until

pytestmark = pytest.mark.usefixtures("any_backend", "quiet_presence")

TOKEN = "v" * 22


def of(name: str) -> AsyncClient:
    client = AsyncClient()
    client.cookies["user"] = name
    return client


async def test_two_pages_see_each_other_come_and_go() -> None:
    async with opened(of("ada")) as ada:
        await ada.join("site")
        assert ada.names("site") == ["ada"]
        async with opened(of("grace")) as grace:
            await grace.join("site")
            assert grace.names("site") == ["ada", "grace"]
            await ada.until_names("site", "ada", "grace")
            assert ada.counts["site"] == 2
            await grace.say("leave", "site")
            await ada.until_names("site", "ada")


async def test_the_answer_to_a_join_says_who_the_visitor_is() -> None:
    async with opened(of("ada")) as ada:
        await ada.join("site", issue("site", meta='{"color":"red","note":1}', fields=("note",)))
        [joined] = ada.of("joined")
        me = opaque_id("site", "7")
        about = {"id": me, "name": "ada", "color": "red", "note": 1}
        assert joined["self"].pop("joined_at") == pytest.approx(time.time(), abs=60)
        assert joined == {
            "type": "joined",
            "room": room_of("site"),
            "me": me,
            "self": about,
            "meta_keys": ["status", "typing"],
        }
        assert {**ada.people["site"][me], "joined_at": 0} == {**about, "joined_at": 0}


async def test_one_socket_has_several_rooms_and_one_join_of_each() -> None:
    async with opened(of("ada")) as ada:
        for key in ("a", "b", "c"):
            await ada.join(key)
        async with opened(of("grace")) as grace:
            await grace.join("b")
            await ada.until_names("b", "ada", "grace")
        assert ada.names("a") == ada.names("c") == ["ada"]
        assert [frame["type"] for frame in ada.frames] == ["ready", *["joined", "state"] * 3, "diff"]


async def test_a_second_tab_is_told_to_nobody() -> None:
    async with opened(of("ada")) as first, opened(of("ada")) as second, opened(of("grace")) as grace:
        await first.join("site")
        await second.join("site")
        await grace.join("site")
        await first.until_names("site", "ada", "grace")
        assert first.counts["site"] == grace.counts["site"] == 2
        assert len(first.of("diff")) == 1


async def test_a_watching_page_is_in_no_frame_of_others() -> None:
    texts: dict[bool, list[str]] = {}
    for hidden in (False, True):
        async with opened(of("ada")) as ada:
            key = f"site{hidden}"
            await ada.join(key)
            async with opened(of("grace")) as grace:
                if hidden:
                    await grace.join(key, issue(key, tracks=False))
                    assert (grace.names(key), grace.me[key]) == (["ada"], "")
                    await grace.say("send", key, event="wave")
                    await grace.say("update", key, meta={"status": "here"})
                await asyncio.to_thread(presence.broadcast, key, "bell", 1)
                await ada.until_frame("room-event")
            me = ada.people[key][ada.me[key]]
            texts[hidden] = [
                re.sub(r'"joined_at":[\d.]+', "", text.replace(room_of(key), "room").replace(me["id"], "me"))
                for text in ada.texts
            ]
    assert texts[True] == texts[False]


async def test_a_page_may_want_the_number_or_certain_people() -> None:
    async with opened(of("ada")) as ada, opened() as other:
        await ada.join("site")
        some = [opaque_id("site", "8")]
        await other.join("site", issue("site", tracks=False), count=True, some=some)
        assert (other.counts["site"], other.names("site")) == (1, [])
        async with opened(of("grace")) as grace:
            await grace.join("site", until="joined")
            await other.until(lambda: other.names("site") == ["grace"] and other.counts["site"] == 2)
            await grace.say("leave", "site")
            await other.until(lambda: not other.names("site"))


async def test_a_page_that_takes_part_may_want_to_know_nothing() -> None:
    async with opened(of("ada")) as ada, opened(of("grace")) as grace:
        await grace.join("site")
        await ada.say("join", "site", ticket=issue("site"), want={})
        assert (await ada.frame())["type"] == "joined"
        await grace.until_names("site", "ada", "grace")
        await ada.say("ping")
        assert (await ada.frame())["type"] == "pong"


async def test_a_room_may_want_more_later() -> None:
    async with opened(of("ada")) as ada:
        await ada.join("site", count=True)
        assert ada.names("site") == []
        await ada.join("site", list=True)
        assert ada.names("site") == ["ada"]
        await ada.join("site", list=True)  # the answer to each join is whole
        assert len(ada.of("state")) == 3


async def test_somebody_may_hide_and_show_up_again_in_the_same_room() -> None:
    async with opened(of("ada")) as ada, opened(of("grace")) as grace:
        await grace.join("site")
        await ada.join("site")
        await grace.until_names("site", "ada", "grace")
        await ada.join("site", issue("site", tracks=False))
        assert ada.me["site"] == ""
        await grace.until_names("site", "grace")
        await ada.join("site", until="joined")
        assert ada.me["site"] == opaque_id("site", "7")
        await grace.until_names("site", "ada", "grace")
        await ada.until_names("site", "ada", "grace")


async def test_leaving_a_room_is_at_once_and_leaving_the_page_after_grace(any_backend: Settings) -> None:
    any_backend.DJUST_PRESENCE = {**any_backend.DJUST_PRESENCE, "GRACE": 60}
    async with opened(of("grace")) as grace:
        await grace.join("site")
        async with opened(of("ada")) as ada:
            await ada.join("site")
            await grace.until_names("site", "ada", "grace")
            await ada.say("leave", "site")
            await grace.until_names("site", "grace")
            await ada.join("site")
            await grace.until_names("site", "ada", "grace")
        assert await asyncio.to_thread(presence.count, "site") == 2


# Metas


async def test_a_script_may_say_what_its_ticket_allows_and_nothing_else() -> None:
    async with opened(of("ada")) as ada, opened(of("grace")) as grace:
        await grace.join("site", issue("site", fields=("hand", "_x", "user_id", "secret")))
        keys = ("status", "typing", "hand", "name", "color", "_x", "id", "user_id", "avatar", "team")
        ticket = issue("site", meta='{"team":"red","secret":1}', meta_keys=keys, fields=("team",))
        bad = {
            "name": "Eve",
            "color": "red",
            "_x": 1,
            "id": 1,
            "user_id": 8,
            "avatar": "x",
            "team": "blue",
            "secret": 2,
        }
        await ada.join("site", ticket, meta={"status": "here", **bad}, list=True)
        assert ada.of("joined")[0]["meta_keys"] == ["hand", "status", "typing"]
        me = ada.me["site"]
        await grace.until_names("site", "ada", "grace")
        assert {**grace.people["site"][me], "joined_at": 0} == {
            "id": me, "joined_at": 0, "name": "ada", "status": "here", "secret": 1,
        }  # fmt: skip
        await ada.say("update", "site", meta={"hand": True, "status": None, **bad})
        await grace.until_frame("diff")
        assert {**grace.people["site"][me], "joined_at": 0} == {
            "id": me, "joined_at": 0, "name": "ada", "hand": True, "secret": 1,
        }  # fmt: skip


@pytest.mark.parametrize(
    "meta", [{"status": "x" * 201}, {"status": ["x"]}, {"status": {"a": 1}}, ["status"], "status", 7]
)
async def test_a_meta_that_no_script_may_say_is_refused_and_changes_nothing(meta: Any) -> None:
    async with opened(of("ada")) as ada:
        await ada.join("site")
        await ada.say("update", "site", meta=meta)
        error = await ada.until_frame("error")
        assert error["code"] == "bad-frame"
        await ada.say("update", "site", meta={"typing": True})
        await ada.until_frame("diff")
        [me] = ada.people["site"].values()
        assert ("status" in me, me["typing"]) == (False, True)


async def test_updates_above_a_rate_are_told_together() -> None:
    async with opened(of("ada")) as ada, opened(of("grace")) as grace:
        await grace.join("site")
        await ada.join("site")
        await grace.until_names("site", "ada", "grace")
        for number in range(90):
            await ada.say("update", "site", meta={"status": number})
        me = ada.me["site"]
        await grace.until(lambda: grace.people["site"][me].get("status") == 89)
        assert len(grace.of("diff")) <= 1 + 20


# Events


async def test_an_event_of_a_page_reaches_all_others() -> None:
    async with opened(of("ada")) as ada, opened(of("grace")) as grace, opened(of("ada")) as tab:
        for page in (ada, grace, tab):
            await page.join("site")
        await ada.say("send", "site", event="wave", payload={"to": "all"})
        expected = {
            "type": "room-event",
            "room": room_of("site"),
            "event": "client-wave",
            "payload": {"to": "all"},
            "from": opaque_id("site", "7"),
        }
        assert await grace.until_frame("room-event") == expected
        assert await tab.until_frame("room-event") == expected
        await grace.say("send", "site", event="back", payload=None)
        assert (await ada.until_frame("room-event"))["event"] == "client-back"
        assert len(ada.of("room-event")) == 1


async def test_a_broadcast_of_the_server_reaches_the_rooms() -> None:
    async with opened(of("ada")) as ada:
        await ada.join("site", count=True)  # by then the process hears of its group
        await asyncio.to_thread(presence.broadcast, "site", "bell", {"n": 1})
        frame = await ada.until_frame("room-event")
        assert frame == {"type": "room-event", "room": room_of("site"), "event": "bell", "payload": {"n": 1}}


async def test_events_above_a_rate_are_dropped_and_the_socket_stays() -> None:
    async with opened(of("ada")) as ada, opened(of("grace")) as grace:
        await ada.join("site")
        await grace.join("site")
        began = time.monotonic()
        for number in range(60):
            await ada.say("send", "site", event="wave", payload=number)
        await ada.say("update", "site", meta={"status": "done"})
        me = ada.me["site"]
        await grace.until(lambda: grace.people["site"][me].get("status") == "done")
        assert PER_SECOND <= len(grace.of("room-event")) <= PER_SECOND * (1 + time.monotonic() - began)
        assert ada.of("error") == []


@pytest.mark.parametrize(
    "frame", [{"event": ""}, {"event": 7}, {"event": "x" * 65}, {}, {"event": "x", "payload": "y" * 5000}]
)
async def test_an_event_that_is_none_is_refused(frame: dict[str, Any]) -> None:
    async with opened(of("ada")) as ada:
        await ada.join("site")
        await ada.say("send", "site", **frame)
        assert (await ada.until_frame("error"))["code"] == "bad-frame"


# Live pages


async def test_a_live_page_and_a_feed_page_are_in_one_group() -> None:
    joined: list[str] = []
    left: list[str] = []

    def note_joined(sender: Any, key: str, presence: dict[str, Any], **kwargs: Any) -> None:
        joined.append(presence["name"])

    def note_left(sender: Any, key: str, presence: dict[str, Any], **kwargs: Any) -> None:
        left.append(presence["name"])

    presence_joined.connect(note_joined)
    presence_left.connect(note_left)
    try:
        async with Visitor("grace").opens("/room/a/") as live, opened(of("ada")) as ada:
            await ada.join("room:a")
            assert sorted(ada.names("room:a")) == ["ada", "grace"]
            await live.until("2 online")
            await ada.say("send", "room:a", event="wave", payload=1)
            await live.until("client-wave")
            me = opaque_id("room:a", "7")
            assert live.events("client-wave") == [{"from": me, "payload": 1}]
            await ada.say("leave", "room:a")
            await live.until("1 online")
            await until(lambda: left == ["ada"])
        assert sorted(joined) == ["ada", "grace"]
    finally:
        presence_joined.disconnect(note_joined)
        presence_left.disconnect(note_left)


async def test_a_live_page_joins_rooms_by_its_own_socket_as_its_own_visitor() -> None:
    async with opened(of("ada")) as ada:
        await ada.join("site")
        async with Visitor("grace").opens("/room/a/") as live:
            await live.send_json_to(
                {
                    "type": "join",
                    "room": room_of("site"),
                    "ticket": issue("site", User(pk=8)),
                    "want": {"list": True},
                }
            )
            while not any(frame["type"] == "state" for frame in live.frames):
                await live.frame()
            await ada.until_names("site", "ada", "grace")
        await ada.until_names("site", "ada")


async def test_a_visitor_is_the_same_on_live_pages_and_on_others() -> None:
    visitor = Visitor()
    async with visitor.opens("/room/a/") as live, opened(visitor.client) as page:
        await page.join("room:a")
        assert page.counts["room:a"] == 1
        await live.until("1 online")
        await live.send_json_to(
            {"type": "join", "room": room_of("room:a"), "ticket": issue("room:a"), "want": {"list": True}}
        )
        while not any(frame["type"] == "state" for frame in live.frames):
            await live.frame()
        assert live.frames[-1]["count"] == 1


# Who somebody is


async def test_visitors_without_a_session_are_told_apart_by_their_browsers_tokens(
    any_backend: Settings,
) -> None:
    async with (
        opened(visitor=TOKEN) as first,
        opened(visitor=TOKEN) as second,
        opened(visitor="w" * 22) as other,
    ):
        for page in (first, second, other):
            await page.join("site")
        await first.until(lambda: first.counts["site"] == 2)
        assert "name" not in first.people["site"][first.me["site"]]
        assert first.me == second.me != other.me


@pytest.mark.parametrize("token", ["short", "x" * 65, "ü" * 22, 7, None, ["x" * 22]])
async def test_a_visitor_with_no_token_is_one_connection(token: Any) -> None:
    async with opened() as first, opened() as second:
        for page in (first, second):
            await page.say("hello", visitor=token)
            await page.join("site")
        await first.until(lambda: first.counts["site"] == 2)


async def test_a_project_may_take_no_tokens(any_backend: Settings) -> None:
    any_backend.DJUST_PRESENCE = {**any_backend.DJUST_PRESENCE, "ANONYMOUS": "none"}
    async with opened(visitor=TOKEN) as first, opened(visitor=TOKEN) as second:
        await first.join("site")
        await second.join("site")
        await first.until(lambda: first.counts["site"] == 2)


async def test_a_token_makes_nobody_of_a_user_or_of_a_visitor_with_a_session() -> None:
    visitor = Visitor()
    await visitor.get("/room/a/")
    async with (
        opened(of("ada"), visitor=TOKEN) as ada,
        opened(visitor.client, visitor=TOKEN) as known,
        opened(visitor=TOKEN) as unknown,
    ):
        for page in (ada, known, unknown):
            await page.join("site")
        assert len({page.me["site"] for page in (ada, known, unknown)}) == 3
        assert ada.me["site"] == opaque_id("site", "7")


async def test_a_token_that_comes_late_changes_nobody() -> None:
    async with opened() as page:
        await page.join("a")
        await page.say("hello", visitor=TOKEN)
        await page.join("b")
        async with opened(visitor=TOKEN) as other:
            await other.join("b")
            assert other.counts["b"] == 2


# Refusals and limits


def ticket_of(case: str) -> Any:
    old = int(time.time() - LIFE - 60)
    return {
        "bad-ticket": "rubbish",
        "expired": issue("site", issued=old, begun=old),
        "other": issue("site", User(pk=8)),
    }[case]


@pytest.mark.parametrize("code", ["bad-ticket", "expired", "other"])
async def test_a_ticket_that_gives_no_right_is_refused_and_says_why(code: str) -> None:
    async with opened(of("ada")) as ada:
        await ada.join("site", ticket_of(code), until="refused")
        assert ada.refused == {"site": code}
        await ada.join("site")
        assert ada.names("site") == ["ada"]
        await ada.join("site", ticket_of(code), until="refused")
        async with opened(of("grace")) as grace:
            await grace.join("site")
            assert grace.names("site") == ["grace"]


async def test_a_ticket_whose_meta_is_too_large_is_refused() -> None:
    async with opened(of("ada")) as ada:
        await ada.join("site", issue("site", meta='{"a":"' + 4080 * "x" + '"}'), until="refused")
        assert ada.refused == {"site": "bad-ticket"}
        await ada.join(
            "site", issue("site", meta='{"a":"' + 3700 * "x" + '"}', meta_keys=tuple("bcde")), list=True
        )
        await ada.say("update", "site", meta=dict.fromkeys("bcde", 200 * "y"))
        assert (await ada.until_frame("error"))["code"] == "bad-frame"
        assert ada.names("site") == ["ada"]


async def test_a_ticket_is_for_its_own_room() -> None:
    async with opened(of("ada")) as ada:
        await ada.join("site", issue("other"), until="refused")
        assert ada.refused == {"site": "bad-ticket"}


async def test_a_ticket_of_an_anonymous_page_is_used_as_oneself() -> None:
    async with opened(of("ada")) as ada:
        await ada.join("site", issue("site"))
        assert ada.names("site") == ["ada"]


async def test_a_ticket_past_half_of_its_life_is_renewed() -> None:
    then = int(time.time() - LIFE * 0.6)
    async with opened(of("ada")) as ada:
        await ada.join("site", issue("site", User(pk=7), issued=then, begun=then))
        younger = ada.of("joined")[0]["ticket"]
        await ada.join("site", younger)
        assert "ticket" not in ada.of("joined")[1]


async def test_a_connection_has_64_rooms_and_stays_open_at_the_65th() -> None:
    async with opened(of("ada")) as ada:
        for number in range(64):
            await ada.join(f"room{number}", until=None)
        await ada.until(lambda: len(ada.me) == 64)
        await ada.join("more", until="refused")
        assert ada.refused == {"more": "too-many"}
        await ada.say("leave", "room0")
        await ada.join("more")
        assert ada.names("more") == ["ada"]


async def test_joining_and_leaving_for_ever_is_refused_and_the_socket_stays() -> None:
    async with opened(of("ada")) as ada:
        for number in range(90):
            await ada.join(f"room{number}", until=None)
            await ada.say("leave", f"room{number}")
            await asyncio.sleep(0.005)
        for number in range(90, 180):
            await ada.join(f"room{number}", until=None)
            await ada.say("leave", f"room{number}")
            await asyncio.sleep(0.005)
        await ada.until(lambda: "too-many" in ada.refused.values())
        assert not ada.future.done()


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "join", "ticket": "x", "want": {}},
        {"type": "join", "room": 7, "ticket": "x", "want": {}},
        {"type": "join", "room": "x" * 65, "ticket": "x", "want": {}},
        {"type": "join", "room": "x", "ticket": "x"},
        {"type": "join", "room": "x", "ticket": "x", "want": {"some": "me"}},
        {"type": "join", "room": "x", "ticket": "x", "want": {"some": [7]}},
        {"type": "join", "room": "x", "ticket": "x", "want": {}, "meta": [1]},
        {"type": "leave"},
        {"type": "update", "meta": {}},
        {"type": "send", "room": None, "event": "x"},
    ],
)
async def test_a_frame_that_is_not_of_the_protocol_is_refused(frame: dict[str, Any]) -> None:
    async with opened(of("ada")) as ada:
        await ada.send_json_to(frame)
        assert (await ada.until_frame("error"))["code"] == "bad-frame"


async def test_frames_for_rooms_that_a_page_is_not_in_do_nothing() -> None:
    async with opened(of("ada")) as ada:
        await ada.say("leave", "site")
        await ada.say("update", "site", meta={"status": "x"})
        await ada.say("send", "site", event="x")
        await ada.say("ping")
        assert (await ada.frame())["type"] == "pong"


async def test_more_than_500_people_are_not_asked_for() -> None:
    async with opened(of("ada")) as ada, opened() as page:
        await ada.join("site")
        ids = [f"id{number}" for number in range(500)] + [opaque_id("site", "7")]
        await page.join("site", issue("site", tracks=False), some=ids)
        assert page.names("site") == []
        await page.join("site", issue("site", tracks=False), some=ids[1:])
        assert page.names("site") == ["ada"]


async def test_a_socket_without_rooms_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE", 0.1)
    async with opened(of("ada")) as ada:
        assert (await ada.receive_output(timeout=5))["code"] == 1000
    async with opened(of("ada")) as ada:
        await ada.join("site")
        await asyncio.sleep(0.3)
        await ada.say("ping")
        assert (await ada.frame())["type"] == "pong"
        await ada.say("leave", "site")
        assert (await ada.receive_output(timeout=5))["code"] == 1000


async def test_no_frame_has_anything_that_is_private() -> None:
    async with (
        Visitor("grace").opens("/room/a/") as live,
        opened(of("ada")) as ada,
        opened(visitor=TOKEN) as guest,
    ):
        del live
        for page in (ada, guest):
            await page.join(
                "room:a", issue("room:a", meta='{"_note":"private","plan":"private","status":"x"}')
            )
        await ada.say("update", "room:a", meta={"typing": True})
        await guest.until(lambda: "typing" in "".join(guest.texts))
        for text in [*ada.texts, *guest.texts]:
            for private in (
                "private",
                "user_id",
                '"7"',
                ":7,",
                ":8,",
                "anon_",
                TOKEN,
                "connections",
                "sessionid",
            ):
                assert private not in text
