"""Counts of what comes to a page."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

__all__ = ["Receiver"]


class Receiver:
    """Frames and bytes that came, when the last did, and since when what is expected is known."""

    def __init__(self) -> None:
        self.frames = 0
        self.bytes = 0
        self.last = 0.0
        self.known = 0.0  # when the first frame came that has what is expected
        self.expected: re.Pattern[bytes] | None = None
        self.read: Callable[[bytes], None] | None = None  # what else is done with what comes
        self.heard: list[bytes] | None = None  # all that came, where somebody wants to know
        self.close_code: int | None = None

    def take(self, data: bytes) -> None:
        self.last = time.perf_counter()
        self.frames += 1
        self.bytes += len(data)
        if self.read:
            self.read(data)
        if self.heard is not None:
            self.heard.append(data)
        if self.expected and not self.known and self.expected.search(data):
            self.known = self.last
