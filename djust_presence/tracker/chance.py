"""Random ids, and pauses before the next try."""

from __future__ import annotations

import random
from uuid import uuid4

__all__ = ["backoff", "fresh"]


def fresh() -> str:
    """Return an id that nobody has used before."""
    return uuid4().hex


def backoff(failures: int, longest: float) -> float:
    """Return the seconds to wait after so many failures in a row: more each time, never in step with others."""
    return min(longest, 0.1 * 2.0 ** min(failures, 10)) * random.uniform(0.5, 1.0)
