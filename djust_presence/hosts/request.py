"""A page's socket as the GET request that it stands for, through all of Django's middleware."""

from __future__ import annotations

import logging
from collections.abc import Callable
from copy import copy
from functools import cached_property
from io import BytesIO
from sys import intern
from typing import Any, NamedTuple, Protocol

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest, get_script_prefix
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.functional import SimpleLazyObject

from ..codes import CloseCode
from ..conf import get_settings
from ..rates import LogLimit
from ..tracker import Connection, Session
from .access import Visitor
from .asgi import Scope
from .middleware import answer
from .sessions import received, release_messages
from .surroundings import Surroundings
from .turns import Sender

__all__ = [
    "Behind",
    "LiveRequest",
    "Outcome",
    "SocketPart",
    "build_request",
    "origin_allowed",
    "respond",
    "wrong_origin",
]

logger = logging.getLogger("djust_presence")

_refusals = LogLimit(burst=10)

SCHEMES = {"ws": "http", "wss": "https"}


class SocketPart(Protocol):
    """A receiver of those frames of a socket that are of its *kinds*."""

    @property
    def kinds(self) -> frozenset[str]: ...

    def take_in(self, frame: dict[str, Any], size: int) -> None:
        """Take in a frame of one of these kinds, of *size* bytes; nothing else of it has been checked."""

    def user_is(self, user: Any) -> None:
        """Take in the visitor's *user* as just fetched (they are still logged in). The object may be shared by pages."""


class Behind(Protocol):
    """The object behind a socket, made by the view that answers its request."""

    visitor: Visitor
    # The context in which this visitor is checked alone; None: checked together with others.
    surroundings: Surroundings | None

    def begin(self, socket: Any) -> None:
        """Begin on the open *socket*: add receivers of its frames by ``socket.add(part)``."""


class LiveRequest(ASGIRequest):
    """The request of a socket, which has a *connection*. A view answers it, and goes live, by ``go_live``."""

    # With more attributes than thirty, the dictionary of each request would be four times as large.
    __slots__ = (
        "_live",
        "_open_session",
        "connection",
        "message_storage",
        "opened_messages",
        "opened_session",
    )

    def __init__(self, scope: Scope, connection: Connection[Session]) -> None:
        super().__init__(scope, BytesIO())
        self._body = b""  # set now, as the stream is closed with the response and the view keeps the request
        self.connection = connection
        self._live: tuple[Behind, HttpResponseBase] | None = None
        self.opened_session: Any = None
        self._open_session: Callable[[], Any] | None = None
        self.opened_messages: Any = None
        self.message_storage: type[Any] | None = None  # the class of its messages

    @cached_property
    def sender(self) -> Sender:
        """The sender as known before middleware has run: for fair turns, not for identity."""
        address = self.META.get("REMOTE_ADDR", "")
        for name in (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME):
            if cookie := self.COOKIES.get(name):
                return Sender(address, (name, cookie))
        return Sender(address, ("address", address))

    @property
    def session(self) -> Any:
        """Django's session, opened on access: an open one may hold connections to a cache."""
        if self.opened_session is None:
            if self._open_session is None:
                raise AttributeError("This request has no session: SessionMiddleware sets it.")
            self.opened_session = self._open_session()
        return self.opened_session

    @session.setter
    def session(self, session: Any) -> None:
        self.opened_session = received(session)

    def reopen_session(self, open_session: Callable[[], Any]) -> None:
        """Drop the session; the next access calls *open_session* for another."""
        self.opened_session, self._open_session = None, open_session

    @property
    def _messages(self) -> Any:
        """Django's messages. Their storage is made when something looks into it: few pages have any."""
        if self.opened_messages is None and self.message_storage is None:
            raise AttributeError("This request has no messages: MessageMiddleware sets them.")
        return SimpleLazyObject(self._open_messages) if self.opened_messages is None else self.opened_messages

    @_messages.setter
    def _messages(self, messages: Any) -> None:
        self.reopen_messages(type(messages))
        self.opened_messages = messages

    def _open_messages(self) -> Any:
        if self.opened_messages is None:
            assert self.message_storage
            self.opened_messages = self.message_storage(self)
        return self.opened_messages

    def reopen_messages(self, storage: type[Any] | None) -> None:
        """Drop the messages; the next access makes those of a new *storage*, or none."""
        self.opened_messages, self.message_storage = None, storage

    def twin(self) -> LiveRequest:
        """Return the same request, with a session and a user of its own, for code that runs beside that of a view.

        Its session and its user have been loaded.
        """
        twin = LiveRequest.__new__(LiveRequest)
        vars(twin).update(vars(self))
        for name in LiveRequest.__slots__:
            setattr(twin, name, getattr(self, name))
        twin._live = None
        if self._open_session is not None:
            twin.opened_session = None
        if hasattr(self, "user"):
            twin.user = copy(self.user)
        return twin

    def go_live(self, behind: Behind, response: HttpResponseBase) -> None:
        """Let *behind* go live if *response* itself, and not another one, comes out of the middleware."""
        self._live = behind, response

    @property
    def answered(self) -> bool:
        """True if a view has called `go_live`."""
        return self._live is not None

    def behind(self, response: HttpResponseBase) -> Behind | None:
        """Return, once, the object behind the socket if *response* came out of the middleware."""
        if self._live is None or self._live[1] is not response:
            return None
        behind, self._live = self._live[0], None  # drop the response, as the object keeps this request
        return behind


class Outcome(NamedTuple):
    """The result of a socket's request: the object behind the socket, or the code to close it with."""

    behind: Behind | None
    code: int
    reason: str


def build_request(scope: Scope, connection: Connection[Session]) -> LiveRequest:
    """Return the GET request for the page that opened the socket. Raises ``UnicodeDecodeError``."""
    origin = dict(scope.get("headers", ())).get(b"origin", b"")
    # daphne gives no scheme; the Origin has one.
    scheme = scope.get("scheme") or ("wss" if origin.startswith(b"https:") else "ws")
    request = LiveRequest(
        {**scope, "method": "GET", "scheme": SCHEMES.get(scheme, scheme), "path": _page_path(scope)},
        connection,
    )
    # Pages have most of them in common, and a page keeps its request.
    request.META = {
        intern(name): intern(value) if type(value) is str else value for name, value in request.META.items()
    }
    if settings.SECURE_PROXY_SSL_HEADER:
        header, _ = settings.SECURE_PROXY_SSL_HEADER
        if header in request.META:
            first, comma, rest = request.META[header].partition(",")
            request.META[header] = SCHEMES.get(first.strip(), first) + comma + rest
    return request


def _page_path(scope: Scope) -> str:
    """Return the path without SOCKET_PREFIX, which may stand before or after the script prefix, or be gone already."""
    path: str = scope["path"]
    prefix, root = get_settings().socket_prefix.rstrip("/"), get_script_prefix(scope)
    if not prefix:
        return path
    if _is_below(path, prefix):
        return path.removeprefix(prefix)
    if root and _is_below(path, root + prefix):
        rest = path.removeprefix(root + prefix)
        return rest if _is_below(rest, root) else root + rest
    return path


def _is_below(path: str, prefix: str) -> bool:
    return path.startswith(prefix + "/")


def origin_allowed(request: HttpRequest) -> bool:
    """Return whether the page that opened the socket, or sent the request, belongs to this host or CSRF_TRUSTED_ORIGINS."""
    origin = request.META.get("HTTP_ORIGIN")
    if not origin:
        return False
    if CsrfViewMiddleware(_no_response)._origin_verified(request):  # type: ignore[attr-defined]
        return True
    try:
        # Behind a proxy that ends TLS without a header for it, the request looks like plain http.
        return bool(origin == f"https://{request.get_host()}")
    except DisallowedHost:
        return False


def wrong_origin(request: HttpRequest) -> str:
    """Return the line for the log about a page of another origin."""
    origin, host = request.META.get("HTTP_ORIGIN"), request._get_raw_host()  # type: ignore[attr-defined]
    return (
        f"Its Origin is {origin!r:.200}, and its Host {host!r:.200}. If this is a page of yours, let the proxy pass on "
        "the browser's Host, or add the origin to CSRF_TRUSTED_ORIGINS."
    )


def _no_response(request: Any) -> HttpResponse:
    return HttpResponse()


async def respond(request: LiveRequest) -> Outcome:
    """Send *request* through Django.

    The caller holds a worker, and runs this in a task of its own: context variables that middleware and the view set
    (language, cache connections) end with that task.
    """
    response = await answer(request)
    request.opened_session = None  # middleware has opened it again
    release_messages(request)
    behind = request.behind(response)
    return Outcome(behind, 0, "") if behind else _refused(request, response)


def _refused(request: LiveRequest, response: HttpResponseBase) -> Outcome:
    status = response.status_code
    if 300 <= status < 400 or status == 401:
        return Outcome(None, CloseCode.LOG_IN, "reload")
    if status == 400:
        return Outcome(None, CloseCode.BAD_REQUEST, "bad request")
    if status == 403:
        return Outcome(None, CloseCode.FORBIDDEN, "forbidden")
    if status in (404, 405, 410):
        return Outcome(None, CloseCode.NOT_FOUND, "not found")
    if status < 300 and not request.answered:
        _refusals.log(logger.info, "A socket was opened for %.200r, which is not a live view.", request.path)
        return Outcome(None, CloseCode.NOT_FOUND, "not live")
    if status < 300:
        _refusals.log(
            logger.error,
            "Middleware replaced the response of the live view at %.200r, which cannot go live: on a socket it has to "
            "return the response that it was given.",
            request.path,
            of=status,
        )
    else:
        _refusals.log(
            logger.error,
            "The live view at %.200r could not be mounted: status %s. The logger django.request says why.",
            *(request.path, status),
            of=status,
        )
    return Outcome(None, CloseCode.FAILED, "failed")
