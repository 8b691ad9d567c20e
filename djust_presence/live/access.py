"""Permissions and tests of Django's view mixins, checked again while a page is open."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from django.apps import apps

from ..codes import CloseCode
from ..hosts.access import Visitor
from ..hosts.access_failures import CHECK_WAIT
from ..hosts.workers import workers

if TYPE_CHECKING:
    from ..hosts.socket import Socket
    from .code import ViewCode

__all__ = ["Check", "has_tests", "passes_tests"]


class Check:
    """An access check for the next turn of a view; of the *visitor* too, unless that is None.

    *done* gets None, or the error that made the check fail; it is cancelled if the page ends before.
    """

    def __init__(self, visitor: Visitor | None) -> None:
        self._visitor = visitor
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self.done: asyncio.Future[Exception | None] = self._loop.create_future()

    @property
    def is_overdue(self) -> bool:
        return self._loop.time() - self._since >= CHECK_WAIT

    async def run(self, code: ViewCode, socket: Socket | None) -> None:
        """Do the check, in a turn of the view; close *socket* if its visitor may no longer see the page."""
        try:
            verdict, user = await workers.run(partial(code.check, self._visitor))
        except BaseException:
            self.done.cancel()
            raise
        if socket and user is not None:
            socket.user_is(user)  # for parts beside the view
        self.done.set_result(verdict if isinstance(verdict, Exception) else None)
        if verdict is None or isinstance(verdict, Exception):
            return
        if socket and verdict is CloseCode.FAILED:
            socket.close(verdict, "failed")
        elif socket:
            socket.expel(verdict, "reload" if verdict is CloseCode.LOG_IN else "forbidden")


def has_tests(view: Any) -> bool:
    """Return whether *view* has one of Django's mixins that demand more than a log-in."""
    if not apps.is_installed("django.contrib.auth"):
        return False
    from django.contrib.auth.mixins import PermissionRequiredMixin, UserPassesTestMixin

    return isinstance(view, PermissionRequiredMixin | UserPassesTestMixin)


def passes_tests(view: Any) -> bool:
    """Return whether *view* would let its request's user in."""
    if not has_tests(view):
        return True
    from django.contrib.auth.mixins import PermissionRequiredMixin, UserPassesTestMixin

    if isinstance(view, PermissionRequiredMixin) and not view.has_permission():
        return False
    return not isinstance(view, UserPassesTestMixin) or bool(view.get_test_func()())
