"""``LiveView``: a Django view that goes on living behind the page it has rendered."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from types import MethodType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from weakref import WeakSet

from django.core.exceptions import PermissionDenied
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import CSRF_TOKEN_LENGTH, get_token
from django.utils.cache import patch_cache_control
from django.utils.crypto import get_random_string
from django.views.generic.base import ContextMixin, TemplateResponseMixin, View

from ..calls import awaited, call
from ..cursor_mixin import LiveCursorMixin
from ..events import ArgumentError, bind, find_handler
from ..hosts import sessions
from ..hosts.access import Visitor, still_passes
from ..hosts.outgoing import Changed, encode
from ..hosts.request import LiveRequest
from ..hosts.threads import Ambient
from ..mixins import PresenceMixin
from .rendering import Shown, inject_script, render

if TYPE_CHECKING:
    from ..cursors import Position
    from ..tracker import Refresh, Session
    from .consumer import LiveViewConsumer

__all__ = ["LiveView", "Update"]

logger = logging.getLogger("djust_presence")

# Django's own attributes of a view. Templates get ``request`` from the context processor.
NOT_IN_CONTEXT = frozenset({"request", "args", "kwargs", "head"})

_undecorated: WeakSet[type] = WeakSet()  # views of whose cursor_move() the log has it

# What became of an event handler that raised: a code of the protocol.
Failure = Literal["failed", "forbidden"]


class Update(NamedTuple):
    """What user code and rendering have left for the browser; with *ended*, the visitor's session is over."""

    regions: Changed = Changed()
    pushed: Sequence[str] = ()
    failure: Failure | None = None  # of the event handler
    ended: bool = False
    stale: bool = False  # whether it has to be rendered yet


class LiveView(TemplateResponseMixin, ContextMixin, View):
    """A page that is rendered over HTTP, mounted again over a WebSocket, and kept current from then on.

    ``mount`` runs both times, on an instance each. Public instance attributes are in the template's context,
    and methods decorated with ``@event_handler()`` may be called by the page.
    """

    _presence: Session | None = None
    _live_pushed: list[str]
    # Of a live connection only:
    _live_consumer: LiveViewConsumer | None = None
    _live_request: LiveRequest
    _live_visitor: Visitor
    _live_ambient: Ambient
    _live_shown: Shown

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self._live_pushed = []

    def mount(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Prepare the view for *request* and the arguments of its URL. Sync or async."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The template's context: public instance attributes, then *kwargs*, ``view`` and ``extra_context``."""
        attributes = {
            name: value
            for name, value in vars(self).items()
            if not name.startswith("_") and name not in NOT_IN_CONTEXT
        }
        return {**attributes, **super().get_context_data(**kwargs)}

    def push_event(self, event: str, payload: Any = None) -> None:
        """Send *event* to the scripts of this page, after what is rendered next.

        They get it as a ``djust:push_event`` event on ``window``. While the page is rendered over HTTP it goes
        nowhere. Raises ``TypeError`` or ``ValueError`` for a payload that is not JSON.
        """
        frame = encode("push", event=event, payload=payload)
        if self._live_consumer is not None:
            self._live_pushed.append(frame)

    def still_allowed(self, user: Any) -> Any:
        """Whether *user* may go on seeing this page; if not, its socket is closed. Sync or async.

        Asked every ``REAUTH_INTERVAL``, with ``self.request.user`` fetched anew, of those who are still logged in as
        they were, with the same password, and active. By default Django's ``PermissionRequiredMixin`` and
        ``UserPassesTestMixin`` are asked again; what a decorator around the view demands is not known here.
        """
        return still_passes(self)

    def live_context(self) -> AbstractContextManager[Any]:
        """What surrounds all that runs for this page after ``mount``: handlers, callbacks, rendering.

        Language, time zone, URLconf and script prefix are as in ``mount`` by themselves. This is for what else a
        project's middleware sets up around its views, as the tenant of a request.
        """
        return nullcontext()

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Mount and render: the page for a browser, or what is live of it for the page's socket."""
        # Sync, whatever mount is: natively async views break LoginRequiredMixin and ATOMIC_REQUESTS.
        response: HttpResponse
        if isinstance(request, LiveRequest):
            sessions.move_in(request)
            request.connect(self)
            self._live_mount(request, *args, **kwargs)
            self._live_request = request
            self._live_visitor = Visitor.of(request)
            self._live_ambient = Ambient.capture()
            self._live_shown = Shown(render(self, _csrf_token(request)))
            if not sessions.finish(request):
                return HttpResponse(status=401)  # it ended while the page was mounted
            response = HttpResponse()
            request.go_live(self, response)
        else:
            sessions.welcome(request)
            self._live_mount(request, *args, **kwargs)
            response = render(self, get_token(request)).response
            inject_script(response, request)
            sessions.prepare(request)
        patch_cache_control(response, private=True, no_cache=True)
        return response

    def _live_mount(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        # Loaded here, as async code could not: both ask the database when they are first looked at.
        bool(getattr(request, "user", None))
        if hasattr(request, "session"):
            request.session.get("")
        if isinstance(self, PresenceMixin) and self._presence:
            self._presence_mounting()
        call(self.mount, request, *args, **kwargs)
        if isinstance(self, PresenceMixin):
            self._presence_mounted()

    # On a live connection, in a thread, one at a time. None of these raises what user code raises.

    def _live_call(
        self, handler: MethodType, arguments: dict[str, Any], refreshes: Sequence[Refresh]
    ) -> Update:
        """Run a sync event handler, and update."""
        failure = None
        try:
            with self._live_surroundings():
                sessions.begin(self._live_request)
                with _transaction(self._live_request):
                    call(handler, **arguments)
        except Exception as error:
            failure = self._live_failed(handler, error)
        return self._live_update(refreshes, event=True, failure=failure)

    async def _live_await(self, handler: MethodType, arguments: dict[str, Any]) -> Failure | None:
        """Run an async event handler, on the loop, in a task of its own."""
        try:
            with self._live_surroundings():
                sessions.begin(self._live_request)
                await awaited(handler(**arguments))
        except Exception as error:
            return self._live_failed(handler, error)
        return None

    def _live_update(
        self, refreshes: Sequence[Refresh], *, event: bool = False, failure: Failure | None = None
    ) -> Update:
        """Let the view take in what has come, render it, and see what of the page is another now."""
        regions = Changed()
        ended = False
        try:
            with self._live_surroundings():
                try:
                    if isinstance(self, PresenceMixin):
                        for refresh in refreshes:
                            self._presence_refresh(refresh)
                    regions = self._live_shown.refresh(self)
                except Exception:
                    logger.exception("The live view at %r could not be rendered.", self.request.path)
                ended = not sessions.finish(self._live_request, event=event, failed=bool(failure))
        except Exception:
            self._live_surroundings_failed()
        return Update(regions, self._live_take_pushed(), failure, ended)

    def _live_move(self, position: Position) -> Update:
        """Let the view's own code take a move in. It is rendered only if it has changed by that."""
        assert isinstance(self, LiveCursorMixin)
        handler = find_handler(self, "cursor_move")
        if handler is None:
            if type(self) not in _undecorated:
                _undecorated.add(type(self))
                logger.warning(
                    "%s.cursor_move() is not an @event_handler(), so nobody sees the pointers of its pages: decorate "
                    "your override.",
                    type(self).__qualname__,
                )
            return Update()
        failed = ended = False
        before = vars(self).copy()
        with self._presence_moving(position) as params:
            try:
                with self._live_surroundings():
                    try:
                        with _transaction(self._live_request):
                            call(handler, **bind(handler, params))
                    except Exception as error:
                        failed = True
                        if self._live_consumer and self._live_consumer.may_log():  # moves come by the dozen
                            self._live_failed(handler, error)
                    ended = not sessions.finish(self._live_request, failed=failed)
            except Exception:
                if self._live_consumer and self._live_consumer.may_log():
                    self._live_surroundings_failed()
        stale = any(
            not name.startswith("_") and (name not in before or before[name] is not value)
            for name, value in vars(self).copy().items()  # other threads of the view's may be at it
        )
        return Update(pushed=self._live_take_pushed(), ended=ended, stale=stale)

    def _live_check(self, user: Any) -> bool | None:
        """Whether *user* may go on seeing this page; None if that could not be found out."""
        try:
            with self._live_surroundings():
                try:
                    return bool(call(self.still_allowed, user))
                finally:
                    sessions.finish(self._live_request)
        except PermissionDenied:
            return False
        except Exception:
            logger.exception("still_allowed() failed at %r.", self.request.path)
            return None

    @contextmanager
    def _live_surroundings(self) -> Iterator[None]:
        with self._live_ambient.restored(), self.live_context():
            yield

    def _live_take_pushed(self) -> list[str]:
        pushed, self._live_pushed = self._live_pushed, []
        return pushed

    def _live_surroundings_failed(self) -> None:
        logger.exception("What surrounds the live view at %r failed, or its session.", self.request.path)

    def _live_failed(self, handler: MethodType, error: Exception) -> Failure:
        name = handler.__func__.__qualname__
        if isinstance(error, PermissionDenied):
            # Anybody can bring this about: no traceback, as Django logs none where a view raises it.
            logger.warning("Forbidden: the event handler %s at %r.", name, self.request.path)
            return "forbidden"
        if isinstance(error, ArgumentError):
            logger.warning("The event handler %s at %r was not called: %s", name, self.request.path, error)
        else:
            logger.error("The event handler %s failed at %r.", name, self.request.path, exc_info=error)
        return "failed"


@contextmanager
def _transaction(request: HttpRequest) -> Iterator[None]:
    """What ATOMIC_REQUESTS puts around a view."""
    assert request.resolver_match is not None
    exempt: set[str] = getattr(request.resolver_match.func, "_non_atomic_requests", set())
    with ExitStack() as stack:
        for alias, options in connections.settings.items():
            if options["ATOMIC_REQUESTS"] and alias not in exempt:
                stack.enter_context(transaction.atomic(using=alias))
        yield


def _csrf_token(request: LiveRequest) -> str:
    """A token for the page's cookie.

    Without one it does not matter which: the socket can set no cookie, so no form of this page will pass.
    To ask Django for it would create a session where tokens are kept there.
    """
    return get_token(request) if "CSRF_COOKIE" in request.META else get_random_string(CSRF_TOKEN_LENGTH)
