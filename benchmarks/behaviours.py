"""Presence when something goes wrong: two servers, one Redis, and a page at the first that watches."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from .crowd import Crowd
from .drivers import Driver
from .drivers.base import Application
from .machine import ports
from .pages import Page
from .scenarios.base import Stage, stage

__all__ = ["BEHAVIOURS", "Verdict", "behave"]

Verdict = tuple[bool, str]  # whether that is right, and what was seen

PATIENCE = 120.0  # seconds: more than any time-out by default of those that are compared
AFTER = 0.5  # seconds after a page is open: its server has told the others
GROUP = "crowd"


class Trial:
    """Servers, and what the page that watches has shown."""

    def __init__(self, on: Stage, stack: ExitStack) -> None:
        self._on, self._stack = on, stack
        self.driver = on.driver
        self.a, self.b = on.servers
        assert on.store
        self.store = on.store
        on.crowd.open("watcher", [self.driver.page(self.a, GROUP, 0)], keep=True)

    def visit(self, *pages: Page) -> Crowd:
        """Open pages in a process of their own."""
        crowd = self._stack.enter_context(Crowd())
        crowd.open("visitors", pages)
        return crowd

    def page(self, server: Application, number: int) -> Page:
        return self.driver.page(server, GROUP, number)

    def tabs(self, *servers: Application) -> list[Page]:
        """A page of each server, all of one new visitor."""
        session = self.driver.session(self.a)
        return [self.driver.tab(server, GROUP, session) for server in servers]

    def counts(self) -> list[int]:
        """All that the watching page has shown."""
        return [
            int(found)
            for text in self._on.crowd.heard("watcher")
            for found in re.findall(self.driver.shows(), text)
        ]

    def shown(self) -> int:
        """The number that it shows."""
        return (self.counts() or [0])[-1]

    def until(self, count: int, patience: float = 15.0) -> float | None:
        """Wait until it shows *count*; return the seconds that took, or None if it never did."""
        began = time.monotonic()
        while time.monotonic() < began + patience:
            if self.shown() == count:
                return time.monotonic() - began
            time.sleep(0.05)
        return None

    def present(self, count: int) -> None:
        """Wait until it shows *count*. Raises `Wrong` if that is not what it shows before anything goes wrong."""
        if self.until(count) is None:
            raise Wrong(f"shows {self.shown()} of {count} to begin with")


class Wrong(Exception):
    """It is wrong before anything has happened."""


def gone(trial: Trial, count: int) -> Verdict:
    """Wait until only *count* are shown."""
    took = trial.until(count, PATIENCE)
    if took is None:
        return False, f"still shown after {PATIENCE:.0f} s"
    return True, f"gone after {took:.1f} s"


def two_servers(trial: Trial) -> Verdict:
    """Pages of two servers see each other."""
    trial.visit(trial.page(trial.a, 1), trial.page(trial.b, 2))
    trial.until(3)
    return trial.shown() == 3, f"shows {trial.shown()} of 3"


def killed_client(trial: Trial) -> Verdict:
    """A browser is killed (kill -9)."""
    visitor = trial.visit(trial.page(trial.a, 1))
    trial.present(2)
    visitor.kill()
    return gone(trial, 1)


def hanging_client(trial: Trial) -> Verdict:
    """A browser hangs, or its computer sleeps: it sends nothing, and the connection stays open."""
    visitor = trial.visit(trial.page(trial.a, 1))
    trial.present(2)
    visitor.freeze()
    return gone(trial, 1)


def background_tab(trial: Trial) -> Verdict:
    """A tab is in the background, where browsers let timers run once a minute; it answers what it is asked."""
    trial.visit(replace(trial.page(trial.a, 1), every=60))
    trial.present(2)
    seen = len(trial.counts())
    time.sleep(PATIENCE)
    trial.visit(trial.page(trial.b, 2))  # some do not look before something happens
    trial.until(3)
    lowest = min(trial.counts()[seen:] or [trial.shown()])
    if lowest < 2 or trial.shown() != 3:
        return False, "gone, though its page is open"
    return True, f"stays for {PATIENCE:.0f} s and more"


def two_tabs(trial: Trial) -> Verdict:
    """Somebody has two tabs and closes one."""
    first, second = trial.tabs(trial.a, trial.b)
    trial.visit(first)
    trial.present(2)
    tab = trial.visit(second)
    time.sleep(5)
    if trial.shown() != 2:
        return False, f"counted as {trial.shown() - 1}"
    tab.close("visitors")
    time.sleep(15)
    if 1 in trial.counts()[trial.counts().index(2) :]:
        return False, "gone with the first tab that closes"
    return True, "one person, who stays"


def lost_message(trial: Trial) -> Verdict:
    """A message to the first server is lost: the connections that it would come over are cut."""
    page = trial.page(trial.b, 1)
    crowd, over = trial.visit(), threading.Event()

    def cut() -> None:
        while not over.is_set():
            mine = ports(trial.a)
            clients = trial.store.command_line("CLIENT", "LIST", "TYPE", "pubsub")
            for number, port in re.findall(r"\bid=(\d+) addr=[\d.]+:(\d+)", clients):
                if int(port) in mine:
                    trial.store.command_line("CLIENT", "KILL", "ID", number)

    trial.present(1)
    began = time.monotonic()
    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        crowd.open("late", [page])
        time.sleep(AFTER)
    finally:
        over.set()
        cutter.join()
    if trial.until(2, 60) is None:
        return False, "never seen"
    return True, f"seen after {time.monotonic() - began:.1f} s"


def rolling_restart(trial: Trial) -> Verdict:
    """A server is replaced by a new one (SIGTERM), and its pages come back."""
    pages = [page for _ in range(3) for page in trial.tabs(trial.b)]
    visitors = trial.visit(*pages)
    trial.present(4)
    seen = len(trial.counts())
    trial.b.stop()
    trial.b.start()
    visitors.close("visitors", abort=True)
    visitors.open("visitors", pages)
    time.sleep(30)
    lowest, last = min(trial.counts()[seen:] or [4]), trial.shown()
    if last != 4:
        return False, f"shows {last} of 4 afterwards"
    return (True, "nobody sees it") if lowest == 4 else (False, f"{4 - lowest} of 3 seen to leave")


def flushed_store(trial: Trial) -> Verdict:
    """Redis loses all that it has (FLUSHALL), and then one more comes."""
    trial.visit(trial.page(trial.a, 1), trial.page(trial.b, 2), trial.page(trial.b, 3))
    trial.present(4)
    seen = len(trial.counts())
    trial.store.command_line("FLUSHALL")
    time.sleep(45)
    trial.visit(trial.page(trial.b, 4))
    trial.until(5)
    lowest, last = min(trial.counts()[seen:] or [4]), trial.shown()
    if last != 5:
        return False, f"shows {last} of 5 afterwards"
    return (True, "nobody sees it") if lowest >= 4 else (False, f"{4 - lowest} of 3 seen to leave")


def killed_server(trial: Trial) -> Verdict:
    """A server is killed (kill -9), and its pages do not come back."""
    trial.visit(trial.page(trial.b, 1), trial.page(trial.b, 2))
    trial.present(3)
    trial.b.kill()
    return gone(trial, 1)


BEHAVIOURS: dict[str, Callable[[Trial], Verdict]] = {
    "two servers": two_servers,
    "two tabs, one is closed": two_tabs,
    "a browser is killed": killed_client,
    "a browser hangs": hanging_client,
    "a tab in the background": background_tab,
    "a lost message": lost_message,
    "a server is replaced": rolling_restart,
    "a server is killed": killed_server,
    "Redis is flushed": flushed_store,
}


def behave(driver: Driver, behaviour: Callable[[Trial], Verdict]) -> Verdict:
    """Try one behaviour. Raises `NotAvailable`."""
    with ExitStack() as stack:
        on = stack.enter_context(stage(driver, "redis", processes=2))
        try:
            return behaviour(Trial(on, stack))
        except Wrong as wrong:
            return False, str(wrong)
