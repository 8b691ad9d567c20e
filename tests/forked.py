"""Work in a forked child of the tests' process."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["ends_in_child"]


async def ends_in_child(work: Callable[[], Coroutine[Any, Any, Any]]) -> bool:
    """Fork, and run *work* on a loop in a new thread of the child. Return whether it ended within five seconds."""
    child = os.fork()
    if not child:
        try:
            asyncio.set_event_loop(None)
            asyncio._set_running_loop(None)
            thread = threading.Thread(target=lambda: asyncio.run(work()), daemon=True)
            thread.start()
            thread.join(5)
            os._exit(1 if thread.is_alive() else 0)
        finally:
            os._exit(2)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    return os.waitstatus_to_exitcode(status) == 0
