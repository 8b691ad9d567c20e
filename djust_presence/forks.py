"""What a child process has to do anew when a server forks it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

__all__ = ["after_fork"]


def after_fork(function: Callable[[], object]) -> None:
    """Call *function* in every child that is forked from here on. Windows forks none."""
    if sys.platform != "win32":
        os.register_at_fork(after_in_child=function)
