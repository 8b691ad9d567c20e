"""JSON from and for other programs: standard JSON of at most 32 levels, which any code can walk through and copy."""

from __future__ import annotations

import json
import math
import re
from array import array
from itertools import accumulate
from typing import Any, NoReturn

__all__ = ["MAX_LEVELS", "TOO_DEEP", "decode", "encode", "is_too_deep"]

MAX_LEVELS = 32  # of lists and objects within each other
TOO_DEEP = f"it is nested deeper than {MAX_LEVELS} levels"

_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # as signed numbers: one level up or down
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


def decode(text: str, levels: int = MAX_LEVELS, *, half_pairs: bool = False) -> Any:
    """Return the value of the JSON *text*, which nests *levels* lists and objects at most.

    Raises ``ValueError``, also for numbers that are not finite, and for lone surrogates unless *half_pairs*: a text
    with these cannot be sent or stored.
    """
    if is_too_deep(text, levels):
        raise ValueError(f"JSON has at most {levels} levels here.")
    value = json.loads(text, parse_constant=_not_json, parse_float=_finite)
    if not half_pairs:
        text.encode()
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    return value


def encode(value: Any, levels: int = MAX_LEVELS) -> str:
    """Return the JSON text of *value*, in ASCII.

    Raises ``TypeError`` or ``ValueError`` for values that JSON does not have, and for more than *levels* levels.
    """
    try:
        text = json.dumps(value, allow_nan=False)
    except RecursionError:
        raise ValueError(f"This cannot be sent as JSON: {TOO_DEEP}") from None
    if is_too_deep(text, levels):
        raise ValueError(f"This cannot be sent as JSON: {TOO_DEEP}")
    return text


def is_too_deep(text: str, levels: int = MAX_LEVELS) -> bool:
    """Return whether the JSON *text* nests more than *levels* lists and objects.

    It takes linear time: a few milliseconds for 64 KB of nothing but brackets.
    """
    if text.count("[") + text.count("{") <= levels:
        return False
    brackets = _STRING.sub("", text).encode("ascii", "ignore").translate(_STEPS, _NO_BRACKETS)
    return max(accumulate(array("b", brackets)), default=0) > levels


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON.")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("The number is too large.")
    return number
