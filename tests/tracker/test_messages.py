"""Messages of other processes: of another version of this package, or of anything else on the channel layer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from djust_presence.backends.memory import MemoryBackend
from djust_presence.bus import NOTICES, LocalBus
from djust_presence.conf import Settings
from djust_presence.rates import LogLimit
from djust_presence.state.records import Change, Member, Place
from djust_presence.tracker import Tracker
from djust_presence.tracker.items import read_change
from tests.tracker.conftest import QUICK, Process
from tests.tracker.test_cursors import drawn, open_page
from tests.until import until

RECORD = [1, 1.0, "{}"]
FIRST: list[Any] = ["epoch", 1, "tag", "", {"7": RECORD}, 1]
MALFORMED: list[Any] = [
    None,
    7,
    "event",
    [],
    {},
    {"kind": "event"},
    [["event"], "x", 1],
    [None, "x", 1],
    ["unknown"],
    ["unknown", {"a": 1}],
]
EVENTS = [["event"], ["event", "x"], ["event", "x", 1, 2], ["event", 7, 1], ["event", None, None]]
ODD_FIELDS: list[list[Any]] = [
    [None, 7, ["epoch"]],
    [None, "1", 1.5, True],
    [None, 7, {}],
    [None, 7],
    [
        *(None, [], "users", {"7": 1}, {"7": []}, {"7": [1, 1.0]}, {"7": [1, "now", "{}"]}),
        *({"7": ["1", 1.0, "{}"]}, {"7": [1, 1.0, "{"]}, {"7": [1, 1.0, "[]"]}, {"7": [1, 1.0, None]}),
    ],
    [None, "1", 1.5],
]
CHANGES: list[list[Any]] = [
    ["change"],
    ["change", *FIRST, "more"],
    *(
        ["change", *FIRST[:place], odd, *FIRST[place + 1 :]]
        for place, odds in enumerate(ODD_FIELDS)
        for odd in odds
    ),
]
CURSORS: list[list[Any]] = [
    ["cursors"],
    ["cursors", {}],
    ["cursors", {}, [], 1],
    ["cursors", [], []],
    ["cursors", {}, None],
    ["cursors", {}, "r"],
    ["cursors", {}, [["r"]]],
    *(
        ["cursors", {"good": ["ann", 1, 0, 9, 9], "r": move}, ["ann's"]]
        for move in [
            None,
            7,
            [],
            ["ann"],
            ["ann", 1, 0],
            ["ann", 1, 0, 1],
            ["ann", 1, 0, "1", 2],
            ["ann", 1, 0, 1, None],
            ["ann", 1, 0, 1, float("nan")],
            ["ann", 1, 0, 1, 2, 3, "4"],
            ["ann", 1, 0, 1, 2, 3, 4, ["anchor"], 1, 2, 3, 4],
            ["ann", 1, 0, 1, 2, None, None, None, None, None, None, None, None, None, "more"],
            ["ann", 1, None, 1, 2],
            ["ann", 1, -1, 1, 2],
            ["ann", 1, True, 1, 2],
            ["ann", "1", 0, 1, 2],
            [7, 1, 0, 1, 2],
            [None, 1, 0, 1, 2],
        ]
    ),
    ["looking"],
    ["looking", "process", True],
    ["looking", ["process"], True, True],
    ["looking", "process", 1, False],
    ["looking", "process", True, None],
]


@pytest_asyncio.fixture
async def here() -> AsyncIterator[Process]:
    process = Process(Tracker(MemoryBackend(), Settings(**QUICK)))
    yield process
    await process.tracker.aclose()


@pytest_asyncio.fixture
async def elsewhere(here: Process, monkeypatch: pytest.MonkeyPatch) -> LocalBus:
    """The bus of another process. Every line that it causes is logged."""
    times = iter(range(0, 100_000, 10))
    monkeypatch.setattr("djust_presence.tracker.items._unreadable", LogLimit(lambda: next(times)))
    return LocalBus(lambda key, items: None)


@pytest.mark.parametrize("item", MALFORMED + EVENTS + CHANGES)
async def test_a_malformed_item_is_dropped_alone(here: Process, elsewhere: LocalBus, item: Any) -> None:
    watcher = here.open(None)
    await here.shows(watcher, 0)
    elsewhere.publish("room", [["event", "before", 1], item, ["change", *FIRST], item, ["event", "after", 2]])
    await here.shows(watcher, 1)
    await until(lambda: [event for _, event, _ in here.pages.events] == ["before", "after"])
    assert watcher.members() == {"7": Member(1, 1.0, "{}")}


@pytest.mark.parametrize("item", MALFORMED + CURSORS)
async def test_a_malformed_message_about_cursors_is_dropped_alone(
    here: Process, elsewhere: LocalBus, item: Any
) -> None:
    ann, bob = open_page(here, "ann"), open_page(here, "bob")
    await here.shows(bob, 2)
    elsewhere.publish(
        "board",
        [
            ["cursors", {"ann's": ["ann", 1, 0, 1, 2]}, []],
            item,
            ["cursors", {"other": ["ann", 1, 0, 3, 4]}, []],
            ["event", "after", 2],
        ],
    )
    await until(lambda: here.pages.events)
    await until(lambda: drawn(here, bob) == {"ann": [[1, 2], [3, 4]]})
    ann.connection.end()


async def test_errors_of_other_processes_have_one_line_in_ten_seconds(
    here: Process, elsewhere: LocalBus, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("djust_presence.tracker.items._unreadable", LogLimit(lambda: now))
    watcher = here.open(None)
    await here.shows(watcher, 0)
    for _ in range(100):
        elsewhere.publish("room", [["event", "x"], ["event", "x"]])
    elsewhere.publish("room", [["event", "after", None]])
    await until(lambda: here.pages.events)
    now = 10.0
    elsewhere.publish("room", [["event", "x"]])
    said = "Could not apply an item of another process."
    await until(lambda: caplog.text.count(said) == 2)
    lines = [record.getMessage() for record in caplog.records if record.name == "djust_presence"]
    assert lines == [said, f"{said} 199 more like it were not logged."]


async def test_a_malformed_notice_is_dropped_alone(here: Process, elsewhere: LocalBus) -> None:
    here.open(None)
    await until(lambda: NOTICES in LocalBus._listening)
    malformed: list[Any] = [None, 7, [], {}]
    elsewhere.publish(NOTICES, [*malformed, ["session-ended", "mark"]])
    await until(lambda: here.pages.notices)
    await asyncio.sleep(0.05)
    assert [notice[-2:] for notice in here.pages.notices] == [("session-ended", "mark")]


def test_a_change_arrives_as_it_was_sent() -> None:
    change = Change("room", Place("epoch", 2, "b"), "a", {"7": None, "8": Member(2, 5, '{"a":1}')}, 3)
    assert read_change("room", change.pack()) == change
