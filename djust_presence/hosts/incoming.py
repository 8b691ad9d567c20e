"""Reads the frames of a page."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ..state.json_text import decode
from .limits import MAX_FRAME_BYTES

__all__ = ["FrameError", "Head", "read_frame", "read_head"]

# A frame that begins with its type and, right after it, its ref, which may be left out.
HEAD = re.compile(r'\s*\{\s*"type"\s*:\s*"([^"\\]{1,40})"\s*(?:,\s*"ref"\s*:\s*(-?\d{1,15})\s*)?[,}]')


LONGEST_HEAD = 200  # characters


class FrameError(ValueError):
    """The text is not a frame; *code* is the protocol's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Head(NamedTuple):
    """The beginning of a frame, used only to refuse it without reading it."""

    size: int  # in bytes, or in characters if these are too many already
    kind: str = ""
    ref: int | None = None


def read_head(text: str | None, binary: bytes | None) -> Head:
    """Return the head of a frame, at a cost that does not depend on its content."""
    if text is None:
        return Head(len(binary or b""))
    size = (
        len(text)
        if text.isascii() or len(text) > MAX_FRAME_BYTES
        else len(text.encode(errors="surrogatepass"))
    )
    found = HEAD.match(text, 0, LONGEST_HEAD)
    return Head(size, found[1], int(found[2]) if found[2] else None) if found else Head(size)


def read_frame(text: str | None, size: int) -> dict[str, Any]:
    """Return the JSON object that *text* is, None being a binary frame. Raises ``FrameError``."""
    if text is None:
        raise FrameError("bad-frame", "Binary frames are not understood.")
    if size > MAX_FRAME_BYTES:
        raise FrameError("too-large", "The frame is too large. Send at most 64 KB at once.")
    try:
        frame = decode(text)
    except ValueError:
        raise FrameError("bad-frame", "The frame is not JSON, or nested too deeply.") from None
    if not isinstance(frame, dict):
        raise FrameError("bad-frame", "The frame is not a JSON object.")
    return frame
