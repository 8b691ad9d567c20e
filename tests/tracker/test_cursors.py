"""The cursors of a group, in processes that share a store."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from django.core.cache import caches

from djust_presence import CursorTracker
from djust_presence.cursors import LiveCursors, Position, live_cursors_of
from djust_presence.keys import opaque_id
from djust_presence.tracker import Session
from tests.cursors.drawing import Drawing
from tests.tracker.conftest import Process, StartProcess
from tests.until import until


def open_page(process: Process, user: str | None, *, shows: bool = True, rate: int = 30) -> Session:
    """A page with cursors, whose user is called by their id."""
    session = process.session()
    session.extend(LiveCursors, rate)
    session.shows_cursors = shows
    if user is None:
        session.watch("board")
    else:
        session.track("board", user, json.dumps({"name": user}))
    session.live()
    return session


def move(session: Session, *position: Any) -> None:
    cursors = live_cursors_of(session)
    assert cursors is not None
    cursors.move(session, Position(*position) if position else None)


def drawn(process: Process, session: Session) -> dict[str, Any]:
    drawing = Drawing()
    for frame in process.pages.cursors.get(session, []):
        drawing.take(frame)
    return drawing.shown


async def shows(process: Process, session: Session, **expected: Any) -> None:
    await until(lambda: drawn(process, session) == {name: [list(at)] for name, at in expected.items()})


async def test_a_move_shows_on_the_other_pages_of_this_process_and_of_others(start: StartProcess) -> None:
    here, there = start(), start()
    ann, bob, cleo = open_page(here, "ann"), open_page(here, "bob"), open_page(there, "cleo")
    for process, session in (here, ann), (here, bob), (there, cleo):
        await process.shows(session, 3)
    move(ann, 1, 2, 30, 40)
    await shows(here, bob, ann=(1, 2, 30, 40))
    await shows(there, cleo, ann=(1, 2, 30, 40))
    move(cleo, 5, 6)
    await shows(here, bob, ann=(1, 2, 30, 40), cleo=(5, 6))
    await shows(here, ann, cleo=(5, 6))
    move(ann)
    await shows(here, bob, cleo=(5, 6))
    await shows(there, cleo)


async def test_a_visitor_who_comes_later_sees_where_everybody_is(start: StartProcess) -> None:
    here, there = start(), start()
    ann = open_page(here, "ann")
    await here.shows(ann, 1)
    move(ann, 1, 2)
    bob = open_page(here, "bob")
    await shows(here, bob, ann=(1, 2))
    cleo = open_page(there, "cleo")
    await shows(there, cleo, ann=(1, 2))
    dan = open_page(there, None)
    await shows(there, dan, ann=(1, 2))


async def test_a_cursor_goes_with_its_page_though_its_user_is_expected_back(start: StartProcess) -> None:
    here, there = start(grace=60), start(grace=60)
    ann, bob, cleo = open_page(here, "ann"), open_page(here, "bob"), open_page(there, "cleo")
    await there.shows(cleo, 3)
    await here.shows(bob, 3)
    move(ann, 1, 2)
    await shows(here, bob, ann=(1, 2))
    await shows(there, cleo, ann=(1, 2))
    ann.connection.end()
    await shows(here, bob)
    await shows(there, cleo)
    assert bob.count() == 3


async def test_a_cursor_goes_with_its_user_and_comes_back_only_with_a_move(start: StartProcess) -> None:
    here = start()
    ann, bob = open_page(here, "ann"), open_page(here, "bob")
    await here.shows(bob, 2)
    move(ann, 1, 2)
    await shows(here, bob, ann=(1, 2))
    ann.untrack()
    await shows(here, bob)
    move(ann, 3, 4)  # moves of a user who is not present are dropped
    ann.track("board", "ann", json.dumps({"name": "Ann B."}))
    await until(lambda: bob.served and bob.count() == 2)
    assert drawn(here, bob) == {}
    move(ann, 5, 6)
    await until(lambda: drawn(here, bob) == {"Ann B.": [[5, 6]]})


async def test_a_new_name_and_colour_come_without_a_move(start: StartProcess) -> None:
    here, there = start(), start()
    ann, bob = open_page(here, "ann"), open_page(there, "bob")
    await here.shows(ann, 2)
    await there.shows(bob, 2)
    move(ann, 1, 2)
    await shows(there, bob, ann=(1, 2))
    ann.track("board", "ann", json.dumps({"name": "Ann"}))
    await until(lambda: drawn(there, bob) == {"Ann": [[1, 2]]})


async def test_a_pointer_that_does_not_move_is_gone_after_a_while(start: StartProcess) -> None:
    here, there = start(cursor_timeout=1.5), start(cursor_timeout=1.5)
    ann, bob, cleo = open_page(here, "ann"), open_page(here, "bob"), open_page(there, "cleo")
    await here.shows(bob, 3)
    await there.shows(cleo, 3)
    move(ann, 1, 2)
    await shows(there, cleo, ann=(1, 2))
    await shows(there, cleo)
    await shows(here, bob)
    assert live_cursors_of(ann)._refs == {}  # type: ignore[union-attr]


async def test_the_cursors_of_a_killed_process_go(start: StartProcess) -> None:
    here, there = start(cursor_timeout=3), start(cursor_timeout=3)
    ann, cleo = open_page(here, "ann"), open_page(there, "cleo")
    await here.shows(ann, 2)
    await there.shows(cleo, 2)
    move(ann, 1, 2)
    await shows(there, cleo, ann=(1, 2))
    here.crash()
    await shows(there, cleo)


async def test_one_user_with_two_devices_has_two_pointers_and_sees_neither(start: StartProcess) -> None:
    here, there = start(), start()
    desk, phone, bob = open_page(here, "ann"), open_page(there, "ann"), open_page(there, "bob")
    await here.shows(desk, 2)
    await there.shows(bob, 2)
    move(desk, 1, 2)
    move(phone, 3, 4)
    await until(lambda: drawn(there, bob) == {"ann": [[1, 2], [3, 4]]})
    assert drawn(here, desk) == drawn(there, phone) == {}
    phone.connection.end()
    await shows(there, bob, ann=(1, 2))


async def test_pages_on_all_servers_are_sent_the_same_opaque_ids(start: StartProcess) -> None:
    here, there = start(), start()
    ann, bob, cleo = open_page(here, "ann"), open_page(here, "bob"), open_page(there, "cleo")
    await here.shows(bob, 3)
    await there.shows(cleo, 3)
    move(ann, 1, 2)
    for process, session, user in (here, bob, "bob"), (there, cleo, "cleo"):
        await shows(process, session, ann=(1, 2))
        frames = process.pages.cursors[session]
        assert {frame["you"] for frame in frames if "you" in frame} == {opaque_id("board", user)}
        ids = {who["id"] for frame in frames for who in frame.get("who", {}).values()}
        assert ids == {opaque_id("board", "ann")}


async def test_many_moves_are_one_frame_a_tick_and_one_message(start: StartProcess) -> None:
    here, there = start(), start()
    movers = [open_page(here, f"user {n}", rate=10) for n in range(20)]
    watcher, elsewhere = open_page(here, None, rate=10), open_page(there, None, rate=10)
    await here.shows(watcher, 20)
    await there.shows(elsewhere, 20)
    await until(lambda: watcher in here.pages.cursors and elsewhere in there.pages.cursors)
    heard: list[Any] = []
    cursors = live_cursors_of(elsewhere)
    assert cursors is not None
    hear = cursors.hear
    cursors.hear = lambda *message: (heard.append(message), hear(*message))[1]  # type: ignore[method-assign,func-returns-value]
    before = len(here.pages.cursors[watcher])
    for n in range(50):
        for mover in movers:
            move(mover, n, n)
    everybody = {f"user {n}": (49, 49) for n in range(20)}
    await shows(here, watcher, **everybody)
    await shows(there, elsewhere, **everybody)
    assert len(here.pages.cursors[watcher]) - before <= 2
    assert len([kind for kind, *_ in heard if kind == "cursors"]) <= 3


async def test_nothing_is_sent_when_nobody_else_looks(start: StartProcess) -> None:
    here, there = start(), start()
    ann, count_only = open_page(here, "ann"), open_page(there, "bob", shows=False)
    await here.shows(ann, 2)
    await there.shows(count_only, 2)
    await until(lambda: ann in here.pages.cursors)
    frames = len(here.pages.cursors[ann])
    published: list[Any] = []
    publish = here.tracker.bus.publish
    here.tracker.bus.publish = lambda key, items: (published.extend(items), publish(key, items))[1]  # type: ignore[method-assign,func-returns-value]
    for n in range(5):
        move(ann, n, n)
        await until(lambda: not live_cursors_of(ann)._cursors.unsent)  # type: ignore[union-attr]
    assert len(here.pages.cursors[ann]) == frames  # it would only see itself
    assert [item for item in published if item[0] == "cursors"] == []
    cleo = open_page(there, "cleo")
    await shows(there, cleo, ann=(4, 4))


async def test_a_page_that_is_still_being_sent_to_is_left_out_and_then_told_everything(
    start: StartProcess,
) -> None:
    here = start()
    ann, bob, cleo = (open_page(here, name) for name in ("ann", "bob", "cleo"))
    await here.shows(bob, 3)
    move(ann, 1, 2)
    move(cleo, 9, 9)
    await shows(here, bob, ann=(1, 2), cleo=(9, 9))
    here.pages.busy.add(bob)
    frames = len(here.pages.cursors[bob])
    move(cleo)
    for n in range(3, 6):
        move(ann, n, n)
        await shows(here, cleo, ann=(n, n))
    assert len(here.pages.cursors[bob]) == frames
    here.pages.busy.clear()
    await shows(here, bob, ann=(5, 5))


async def test_a_page_that_takes_nothing_in_is_tried_ever_more_rarely_until_something_moves(
    start: StartProcess,
) -> None:
    here = start()
    ann, bob, cleo = (open_page(here, name) for name in ("ann", "bob", "cleo"))
    await here.shows(bob, 3)
    move(ann, 1, 2)
    await shows(here, bob, ann=(1, 2))
    here.pages.busy.add(bob)
    move(ann, 3, 4)
    await shows(here, cleo, ann=(3, 4))
    before = here.pages.put_off
    await asyncio.sleep(2)
    assert 1 <= here.pages.put_off - before <= 10  # of 60 ticks
    move(ann, 5, 6)
    assert live_cursors_of(ann)._due - here.tracker.clock.now < 0.3  # type: ignore[union-attr]  # else a second would be left
    await shows(here, cleo, ann=(5, 6))
    here.pages.busy.clear()
    await shows(here, bob, ann=(5, 6))


async def test_a_page_that_looks_again_is_not_shown_cursors_that_have_gone(start: StartProcess) -> None:
    here, there = start(), start()
    ann, bob, cleo = open_page(here, "ann"), open_page(here, "bob"), open_page(there, "cleo")
    await there.shows(cleo, 3)
    await here.shows(ann, 3)
    move(ann, 1, 2)
    move(bob, 3, 4)
    await shows(there, cleo, ann=(1, 2), bob=(3, 4))
    cleo.connection.end()
    await until(lambda: not live_cursors_of(ann)._elsewhere)  # type: ignore[union-attr]
    move(ann)
    await until(lambda: not live_cursors_of(ann)._cursors.unsent)  # type: ignore[union-attr]
    dan = open_page(there, None)
    await until(lambda: live_cursors_of(ann)._elsewhere)  # type: ignore[union-attr]
    await shows(there, dan, bob=(3, 4))


async def test_a_move_that_overtakes_another_wish_leaves_no_second_pointer(start: StartProcess) -> None:
    here = start()
    ann, bob = open_page(here, "ann"), open_page(here, "bob")
    await here.shows(bob, 2)
    move(ann, 1, 2)
    await shows(here, bob, ann=(1, 2))

    def become_another() -> None:
        ann.track("board", "anne", json.dumps({"name": "anne"}))

    handler = threading.Thread(target=become_another)
    handler.start()
    handler.join()  # the loop has not followed yet
    move(ann, 3, 4)
    await shows(here, bob, anne=(3, 4))
    assert len(live_cursors_of(ann)._cursors) == 1  # type: ignore[union-attr]


async def test_views_that_read_cursors_are_refreshed_at_a_modest_rate(start: StartProcess) -> None:
    here, there = start(), start()
    ann, bob = open_page(here, "ann", shows=False), open_page(there, "bob", shows=False)
    await here.shows(ann, 2)
    await there.shows(bob, 2)
    cursors = live_cursors_of(bob)
    assert cursors is not None
    assert cursors.read(bob) == {}
    await until(lambda: live_cursors_of(ann)._elsewhere)  # type: ignore[union-attr]
    hops = len(there.pages.hops)
    for n in range(20):
        move(ann, n, n)
        await until(lambda: not live_cursors_of(ann)._cursors.unsent)  # type: ignore[union-attr]
    await until(lambda: cursors.read(bob).get("ann", {}).get("x") == 19)
    await until(lambda: len(there.pages.hops) > hops)
    assert len(there.pages.hops) - hops <= 3
    cursor = cursors.read(bob)["ann"]
    assert cursor == {
        "x": 19,
        "y": 19,
        "timestamp": pytest.approx(cursor["timestamp"]),
        "meta": {"name": "ann"},
    }


async def test_other_readers_find_the_positions_in_the_cache(start: StartProcess) -> None:
    caches["default"].clear()
    here = start()
    ann, bob = open_page(here, "ann"), open_page(here, "bob")
    await here.shows(bob, 2)
    move(ann, 1, 2)
    move(bob, 3, 4)
    await until(lambda: CursorTracker.get_cursors("board").keys() == {"ann", "bob"})
    cursor = CursorTracker.get_cursors("board")["ann"]
    assert (cursor["x"], cursor["y"], cursor["meta"]) == (1, 2, {"name": "ann"})
    ann.connection.end()
    await until(lambda: CursorTracker.get_cursors("board").keys() == {"bob"})


async def test_lost_messages_are_made_good_with_the_next_renewals(start: StartProcess) -> None:
    here, there = start(), start()
    ann, bob = open_page(here, "ann"), open_page(there, "bob")
    await here.shows(ann, 2)
    await there.shows(bob, 2)
    move(ann, 1, 2)
    await shows(there, bob, ann=(1, 2))
    publish = here.tracker.bus.publish
    here.tracker.bus.publish = lambda key, items: None  # type: ignore[method-assign]
    move(ann, 3, 4)
    await until(lambda: not live_cursors_of(ann)._cursors.unsent)  # type: ignore[union-attr]
    here.tracker.bus.publish = publish  # type: ignore[method-assign]
    await shows(there, bob, ann=(3, 4))


async def test_with_many_pointers_there_are_fewer_frames_and_pages_are_told_to_send_less(
    start: StartProcess,
) -> None:
    here = start()
    movers = [open_page(here, f"user {n}", shows=False) for n in range(400)]
    watcher = open_page(here, None)
    await here.shows(watcher, 400)
    drawing = Drawing()
    for mover in movers:
        move(mover, 0, 0)
    await shows(here, watcher, **{f"user {n}": (0, 0) for n in range(400)})
    before = len(here.pages.cursors[watcher])
    began = here.tracker.clock.now
    while here.tracker.clock.now < began + 1:
        for mover in movers:
            move(mover, here.tracker.clock.now % 7, 0)
        await asyncio.sleep(0.01)
    frames = here.pages.cursors[watcher]
    for frame in frames:
        drawing.take(frame)
    assert drawing.rate == 5  # 400 cursors of which 2,000 moves a second are sent
    moves = sum(len(frame.get("moves", [])) for frame in frames[before:])
    assert moves <= 2_000 * (here.tracker.clock.now - began) + 400
