"""Reads the frames of a page."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

__all__ = ["MAX_FRAME_BYTES", "FrameError", "read_frame"]

MAX_FRAME_BYTES = 64 * 1024


class FrameError(ValueError):
    """A text is not a frame; *code* is the protocol's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def read_frame(text: str | None) -> dict[str, Any]:
    """The JSON object that *text* is, None being a binary frame. Raises ``FrameError``."""
    if text is None:
        raise FrameError("bad-frame", "Binary frames are not understood.")
    if len(text) > MAX_FRAME_BYTES or len(text.encode(errors="surrogatepass")) > MAX_FRAME_BYTES:
        raise FrameError("too-large", "A frame has at most 64 KB.")
    try:
        frame = json.loads(text, parse_constant=_not_json, parse_float=_finite)
        if "\\u" in text:
            # Half of a surrogate pair is no text: whatever is made of it could not be sent or stored.
            json.dumps(frame, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise FrameError("bad-frame", "The frame is not JSON.") from None
    if not isinstance(frame, dict):
        raise FrameError("bad-frame", "The frame is not a JSON object.")
    return frame


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON.")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("The number is too large.")
    return number
