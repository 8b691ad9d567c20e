"""The group extension of rooms, with pages by the thousand: who gets a turn, and who gets what."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from djust_presence.feed.frames import Wants
from djust_presence.feed.group_rooms import GroupRooms
from djust_presence.tracker import Session
from tests.tracker.conftest import Process, StartProcess
from tests.until import until

MANY = 1_200


class Room:
    """The option of a session."""

    def __init__(self) -> None:
        self.wants = Wants(people=True)
        self.events: list[dict[str, Any]] = []

    def put(self, text: str) -> None:
        self.events.append(json.loads(text))


def watch(process: Process, room: Room | None = None) -> Session:
    session = process.session()
    session.be_aside()
    session.extend(GroupRooms, room or Room())
    session.watch("room")
    session.live()
    return session


def frames(process: Process, session: Session) -> list[str]:
    return [frame["type"] for frame in process.pages.cursors.get(session, [])]


async def told(process: Process, sessions: list[Session], *kinds: str) -> None:
    await until(lambda: all(frames(process, session) == list(kinds) for session in sessions))


async def test_others_get_a_turn_while_many_pages_are_told(start: StartProcess) -> None:
    a, b = start(), start()
    sessions = [watch(a) for _ in range(MANY)]
    await told(a, sessions, "state")
    seen: set[int] = set()

    async def look() -> None:
        while len(frames(a, sessions[-1])) < 2:
            seen.add(sum(len(a.pages.cursors[session]) > 1 for session in sessions))
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    b.open("ada")
    await told(a, sessions, "state", "diff")
    await looking
    assert seen >= {0, 500, 1000}


async def test_a_page_that_comes_or_goes_during_a_turn_is_right(start: StartProcess) -> None:
    a, b = start(), start()
    sessions = [watch(a) for _ in range(MANY)]
    await told(a, sessions, "state")
    b.open("ada")
    while len(frames(a, sessions[0])) < 2:
        await asyncio.sleep(0)
    last = sessions.pop()
    last.end()
    new = watch(a)
    await told(a, sessions, "state", "diff")
    await told(a, [new], "state")
    assert frames(a, last) == ["state"]
    assert a.pages.cursors[new][0]["count"] == 1


async def test_a_page_that_is_being_sent_to_gets_the_whole_state_later(start: StartProcess) -> None:
    a, b = start(), start()
    slow, fast = watch(a), watch(a)
    await told(a, [slow, fast], "state")
    a.pages.busy.add(slow)
    for user in ("ada", "bob", "eve"):
        b.open(user)
    await until(lambda: a.pages.cursors[fast][-1]["count"] == 3 and a.pages.put_off > 0)
    assert frames(a, slow) == ["state"]
    a.pages.busy.clear()
    await told(a, [slow], "state", "state")
    assert len(a.pages.cursors[slow][-1]["members"]) == 3


async def test_events_keep_their_order_for_all_of_many_pages(start: StartProcess) -> None:
    a, b = start(), start()
    rooms = [Room() for _ in range(MANY)]
    sessions = [watch(a, room) for room in rooms]
    await told(a, sessions, "state")
    other = b.open("ada")
    await told(a, sessions, "state", "diff")
    for number in range(5):
        other.broadcast("room", "bell", number)
    await until(lambda: all(len(room.events) == 5 for room in rooms))
    assert all([event["payload"] for event in room.events] == [0, 1, 2, 3, 4] for room in rooms)
