"""The parent's side of a load client."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tests.servers import ROOT

from .pages import Page

__all__ = ["Crowd", "Known"]

AT_ONCE = 50
PATIENCE = 60.0


@dataclass(frozen=True)
class Known:
    """The times at which each page knew of a change, sorted, and the number of pages that never did."""

    known: list[float]
    missing: int

    def after(self, began: float) -> list[float]:
        """Seconds from *began* to each."""
        return [one - began for one in self.known]


class Crowd:
    """Pages without browsers, in a process of their own, which ends with the ``with`` block."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def _call(self, do: str, **arguments: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The load client ended at {do}: see its traceback above.")
        return json.loads(line)

    def open(
        self,
        name: str,
        pages: Sequence[Page],
        at_once: int = AT_ONCE,
        *,
        keep: bool = False,
        pattern: str = "",
    ) -> float:
        """Open *pages* under a name, wait until all are open, and return when that began.

        With *keep*, what comes can be `heard`. *pattern* is what they expect, as in `expect`.

        Raises ``ConnectionError`` if any could not be opened.
        """
        recipes = [page.as_json() for page in pages]
        answer = self._call("open", name=name, pages=recipes, at_once=at_once, keep=keep, pattern=pattern)
        if answer["failures"]:
            raise ConnectionError(f"Pages could not be opened: {answer['failures']}")
        return float(answer["began"])

    def expect(self, *names: str, pattern: str) -> None:
        """Look for *pattern* in what comes to these pages from here on, and count what they are sent."""
        self._call("expect", names=names, pattern=pattern)

    def until(self, *names: str, patience: float = PATIENCE) -> Known:
        """Wait until all these pages have what is expected, at most *patience* seconds."""
        return Known(**self._call("until", names=names, patience=patience))

    def sent(self, *names: str) -> dict[str, int]:
        """The frames and bytes that have come to these pages since `expect`."""
        answer: dict[str, int] = self._call("sent", names=names)
        return answer

    def say(self, name: str, text: str, number: int = 0) -> float:
        """Let one page say something, and return when it did."""
        return float(self._call("say", name=name, number=number, text=text))

    def close(self, name: str, *, abort: bool = False, only: int | None = None) -> None:
        """Close the pages of a set, or one of them; with *abort*, without a close frame."""
        self._call("close", name=name, abort=abort, only=only)

    def heard(self, name: str) -> list[str]:
        """All that has come to the first page of a set, which was opened to *keep* that."""
        answer: list[str] = self._call("heard", name=name)
        return answer

    def freeze(self) -> None:
        """Let the pages hang, with their connections open."""
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """End the process that the pages are in (SIGKILL)."""
        self._process.kill()
        self._process.wait()

    def poll(self, name: str, at_once: int = 4) -> list[float]:
        """Let each page of a set poll once, and return the seconds that each poll took."""
        answer: list[float] = self._call("poll", name=name, at_once=at_once)
        return answer

    def move(self, name: str, protocol: str, rate: float, seconds: float) -> dict[str, float]:
        """Let all pages of a set move their pointers, *rate* times a second each.

        Returns ``p50`` and ``p99`` of the seconds until another page was sent a move, ``rate`` (frames) and ``traffic``
        (bytes) a second and page, the seconds ``taken``, and how many last positions are ``missing``.
        """
        answer: dict[str, float] = self._call(
            "move", name=name, protocol=protocol, rate=rate, seconds=seconds
        )
        return answer

    def probe(self, name: str, text: str, answer: str, every: float = 0.01) -> None:
        """Let the first page of a set say *text* again and again, each time *every* seconds after the answer."""
        self._call("probe", name=name, text=text, answer=answer, every=every)

    def probed(self) -> list[float]:
        """End the probe, and return the seconds that each answer took, sorted."""
        answer: list[float] = self._call("probed")
        return answer
