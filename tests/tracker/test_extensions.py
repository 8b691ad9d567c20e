"""Extensions of a group beside presence: several at once, and sessions that leave the news to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from djust_presence.state.records import Step
from djust_presence.tracker import Event, Group, Session
from tests.tracker.conftest import StartProcess
from tests.until import until


class Extension:
    """Records its calls."""

    made: list[Extension] = []

    def __init__(self, group: Group) -> None:
        self.options: dict[Session, Any] = {}
        self.steps: list[Step] = []
        self.heard: list[Any] = []
        self.discarded = False
        type(self).made.append(self)

    def add(self, session: Session, option: Any) -> None:
        self.options[session] = option

    def remove(self, session: Session) -> None:
        del self.options[session]

    def moved(self, steps: Sequence[Step]) -> None:
        self.steps += steps

    def hear(self, kind: str, *rest: Any) -> None:
        self.heard.append((kind, *rest))

    def happened(self, event: Event) -> None:
        self.heard.append(event)

    def discard(self) -> None:
        self.discarded = True


class First(Extension):
    made: list[Extension] = []


class Second(Extension):
    made: list[Extension] = []


async def test_a_group_has_each_extension_once_for_the_sessions_that_want_it(start: StartProcess) -> None:
    First.made, Second.made = [], []
    a, b = start(), start()
    both, one, none = a.session(), a.session(), a.open(None)
    both.extend(First, 1)
    both.extend(Second, 2)
    one.extend(First, 3)
    for session in (both, one):
        session.watch("room")
        session.live()
    await a.shows(none, 0)
    [first], [second] = First.made, Second.made
    assert isinstance(first, First)
    assert (first.options, second.options) == ({both: 1, one: 3}, {both: 2})
    ada = b.open("ada")
    await until(
        lambda: [step.user for step in first.steps] == [step.user for step in second.steps] == ["ada"]
    )
    b.tracker.bus.publish("room", [["news", 7]])
    await until(lambda: first.heard == second.heard == [("news", 7)])
    both.end()
    assert (first.options, second.options) == ({one: 3}, {})
    ada.connection.end()


async def test_a_session_that_is_aside_is_told_by_its_extension_alone(start: StartProcess) -> None:
    First.made = []
    a, b = start(), start()
    aside, other = a.session(), a.open(None)
    aside.extend(First)
    aside.be_aside()
    aside.track("room", "ada", "{}")
    aside.live()
    await a.is_told(other, "join ada")
    b.open("bob")
    await a.is_told(other, "join bob")
    await until(lambda: aside.confirmed is not None)
    [extension] = First.made
    assert isinstance(extension, First)
    assert [step.user for step in extension.steps] == ["ada", "bob"]
    assert aside.members().keys() == {"ada", "bob"}
    assert aside not in a.pages.told
    assert not any(aside in hop for hop in a.pages.hops)
    assert aside.take().entries == []


async def test_an_extension_hears_of_broadcasts_here_and_elsewhere(start: StartProcess) -> None:
    First.made = []
    a, b = start(), start()
    aside = a.session()
    aside.extend(First)
    aside.be_aside()
    aside.watch("room")
    aside.live()
    await until(lambda: bool(First.made) and aside.served)
    other = b.open("ada")
    await a.shows(aside, 1)
    aside.broadcast("room", "bell", 1)
    other.broadcast("room", "bell", 2)
    [first] = First.made
    await until(lambda: [one.payload for one in first.heard] == [1, 2])
