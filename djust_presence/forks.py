"""Hooks for servers that fork: called in the parent before, and in the child after."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

__all__ = ["after_fork", "before_fork"]


def after_fork(function: Callable[[], object]) -> None:
    """Call *function* in every child that is forked from here on. Windows forks none."""
    if sys.platform != "win32":
        os.register_at_fork(after_in_child=function)


def before_fork(function: Callable[[], object]) -> None:
    """Call *function* from here on whenever this process forks, before it does."""
    if sys.platform != "win32":
        os.register_at_fork(before=function)
