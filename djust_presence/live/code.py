"""The user code of one live view, run in its surroundings: language, tenant, Django session, transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from types import MethodType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from weakref import WeakSet

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError, connections, transaction
from django.http import HttpRequest
from django.middleware.csrf import CSRF_TOKEN_LENGTH, get_token
from django.utils.crypto import get_random_string

from ..calls import awaited, call
from ..codes import CloseCode
from ..cursor_mixin import cursors_of
from ..events import ArgumentError, bind, find_handler
from ..hosts import sessions
from ..hosts.access import Visitor, current_users
from ..hosts.outgoing import Changed
from ..hosts.request import LiveRequest
from ..hosts.threads import Ambient, Ambients
from ..hosts.users import refresh_users
from ..mixins import presence_of
from ..rates import user_code
from .generic import prepare
from .memo import Memo
from .rendering import Shown, render

if TYPE_CHECKING:
    from ..cursors import Position
    from ..tracker import Refresh

__all__ = ["Update", "ViewCode", "mount"]

logger = logging.getLogger("djust_presence")

_undecorated: WeakSet[type] = WeakSet()  # views whose undecorated cursor_move() the log has named

# The outcome of an event handler that raised: a code of the protocol.
Failure = Literal["failed", "forbidden"]


class Update(NamedTuple):
    """The result of user code and rendering, for the browser; with *ended*, the visitor's session is over."""

    regions: Changed = Changed()
    pushed: Sequence[str] = ()
    failure: Failure | None = None  # of the event handler
    ended: bool = False
    stale: bool = False  # True if the view has still to be rendered


class Verdict(NamedTuple):
    """The result of a check: the code to close the page with, or the error that made the check fail; else None.

    *user* is the visitor's user as just fetched, if the visitor was checked.
    """

    code: CloseCode | Exception | None
    user: Any = None


def mount(view: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
    """Mount *view*, over HTTP or on a socket. Raises ``Answered``, and errors of user code."""
    # Loaded here, as async code cannot do that: both ask the database on first access.
    bool(getattr(request, "user", None))
    if hasattr(request, "session"):
        request.session.get("")
    if presence := presence_of(view):
        presence.mounting()
    prepare(view, *args, **kwargs)
    call(view.mount, request, *args, **kwargs)
    if presence:
        presence.mounted()


class ViewCode:
    """Runs the code of *view* in a thread, one call at a time. Only `mount` raises errors of user code."""

    __slots__ = ("_ambient", "_request", "pushed", "shown", "view")

    shown: Shown
    _ambient: Ambient

    def __init__(self, view: Any, request: LiveRequest) -> None:
        self.view = view
        self.pushed: list[str] = []
        self._request = request

    def mount(self, *args: Any, **kwargs: Any) -> None:
        """Mount and render. Raises like :func:`mount`."""
        mount(self.view, self._request, *args, **kwargs)
        self._ambient = Ambient.capture()
        self.shown = Shown(render(self.view, _csrf_token(self._request)))

    def call(self, handler: MethodType, arguments: dict[str, Any], refreshes: Sequence[Refresh]) -> Update:
        """Run a sync event handler, and update."""
        failure = None
        try:
            with self._surroundings():
                sessions.begin(self._request)
                with _transaction(self._request):
                    call(handler, **arguments)
        except Exception as error:
            failure = self._failed(handler, error)
        return self.update(refreshes, event=True, failure=failure)

    async def acall(self, handler: MethodType, arguments: dict[str, Any]) -> Failure | None:
        """Run an async event handler, on the loop, in a task of its own."""
        try:
            with self._surroundings():
                sessions.begin(self._request)
                await awaited(handler(**arguments))
        except Exception as error:
            return self._failed(handler, error)
        return None

    def update(
        self,
        refreshes: Sequence[Refresh],
        *,
        event: bool = False,
        failure: Failure | None = None,
        memo: Memo | None = None,
    ) -> Update:
        """Give the view its news, render it, and return the regions that differ; *memo* may have parts of it."""
        view, regions, ended = self.view, Changed(), False
        try:
            with self._surroundings():
                try:
                    if presence := presence_of(view):
                        for refresh in refreshes:
                            presence.take_in(refresh)
                    regions = self.shown.refresh(view, memo)
                except Exception:
                    self._log(logger.exception, "The live view at %.200r could not be rendered.")
                ended = not sessions.finish(self._request, event=event, failed=bool(failure))
        except Exception:
            self._surroundings_failed()
        return Update(regions, self.take_pushed(), failure, ended)

    def update_among(self, ambients: Ambients, refreshes: Sequence[Refresh], memo: Memo | None) -> Update:
        """Do the same for one of many pages in a thread."""
        return ambients.run(self._ambient, self.update, refreshes, memo=memo)

    def move(self, position: Position) -> Update:
        """Call the view's own ``cursor_move``, and render the view only if that has changed it."""
        view = self.view
        handler = find_handler(view, "cursor_move")
        if handler is None:
            if type(view) not in _undecorated:
                _undecorated.add(type(view))
                logger.warning(
                    "%s.cursor_move() is not an @event_handler(), so nobody sees the pointers of its pages: decorate "
                    "your override.",
                    type(view).__qualname__,
                )
            return Update()
        failed = ended = False
        before = vars(view).copy()
        with cursors_of(view).moving(position) as params:
            try:
                with self._surroundings():
                    try:
                        with _transaction(self._request):
                            call(handler, **bind(handler, params))
                    except Exception as error:
                        failed = True
                        self._failed(handler, error)
                    ended = not sessions.finish(self._request, failed=failed)
            except Exception:
                self._surroundings_failed()
        stale = any(
            not name.startswith("_") and (name not in before or before[name] is not value)
            for name, value in vars(view).copy().items()  # other threads of the view may change it meanwhile
        )
        return Update(pushed=self.take_pushed(), ended=ended, stale=stale)

    def check(self, visitor: Visitor | None) -> Verdict:
        """Check if the page may still be seen. A *visitor* is checked too, in the view's surroundings."""
        user: Any = None
        try:
            with self._surroundings():
                try:
                    if visitor:
                        access = current_users({visitor})
                        if error := access.errors.get(visitor):
                            return Verdict(error)
                        if visitor not in access.users:
                            return Verdict(CloseCode.LOG_IN)
                        if (user := access.users[visitor]) is not None:
                            refresh_users(self._request, user)
                    return Verdict(self._ask(), user)
                finally:
                    sessions.finish(self._request)
        except PermissionDenied:
            return Verdict(CloseCode.FORBIDDEN)
        except Exception as error:
            return Verdict(error)

    def _ask(self) -> CloseCode | Exception | None:
        user = getattr(self._request, "user", None)
        try:
            return None if call(self.view.still_allowed, user) else CloseCode.FORBIDDEN
        except (PermissionDenied, OperationalError, InterfaceError):
            raise  # the latter two if there is no database
        except Exception:
            self._log(logger.exception, "still_allowed() failed at %.200r.")
            return CloseCode.FAILED

    def take_pushed(self) -> list[str]:
        """Return the frames that the view has pushed since the last time."""
        pushed, self.pushed = self.pushed, []
        return pushed

    def _surroundings(self) -> AbstractContextManager[None]:
        return self.view.live_context() if self._ambient.in_force else self._surrounded()

    @contextmanager
    def _surrounded(self) -> Iterator[None]:
        with self._ambient.restored(), self.view.live_context():
            yield

    def _log(self, log: Callable[..., object], text: str) -> None:
        user_code.log(log, text, self._request.path, of=type(self.view))

    def _surroundings_failed(self) -> None:
        self._log(logger.exception, "The surroundings of the live view at %.200r, or its session, failed.")

    def _failed(self, handler: MethodType, error: Exception) -> Failure:
        forbidden = isinstance(error, PermissionDenied)
        name, path = handler.__func__.__qualname__, self._request.path
        log = partial(user_code.log, of=(type(self.view), name))
        if forbidden:
            # Any visitor can cause this, so no traceback; Django logs none either where a view raises it.
            log(logger.warning, "Forbidden: the event handler %s at %.200r.", name, path)
        elif isinstance(error, ArgumentError):
            log(logger.warning, "The event handler %s at %.200r was not called: %s", name, path, error)
        else:
            log(logger.exception, "The event handler %s failed at %.200r.", name, path)
        return "forbidden" if forbidden else "failed"


@contextmanager
def _transaction(request: HttpRequest) -> Iterator[None]:
    """Open the transactions that ATOMIC_REQUESTS puts around a view."""
    assert request.resolver_match is not None
    exempt: set[str] = getattr(request.resolver_match.func, "_non_atomic_requests", set())
    with ExitStack() as stack:
        for alias, options in connections.settings.items():
            if options["ATOMIC_REQUESTS"] and alias not in exempt:
                stack.enter_context(transaction.atomic(using=alias))
        yield


def _csrf_token(request: LiveRequest) -> str:
    """Return a token that fits the page's cookie.

    Without a cookie any token will do: the socket cannot set one, so forms of this page fail in any case.
    Django's own function would create a session in projects that keep tokens there.
    """
    return get_token(request) if "CSRF_COOKIE" in request.META else get_random_string(CSRF_TOKEN_LENGTH)
