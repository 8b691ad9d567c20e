"""The two URLs of presence on any page: the feed of rooms, and tickets for scripts."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from ..calls import call
from ..errors import PresenceKeyError
from ..hosts.request import LiveRequest, origin_allowed
from ..identity import encode_given, is_logged_in
from ..keys import checked_key
from .connection import Feed
from .polling import answer
from .rights import authorize
from .tickets import META_KEYS, Ticket, bound_to

__all__ = ["feed", "ticket"]

NOT_HERE = "This address is for WebSockets, or for POST requests of pages that have none."


@csrf_exempt
@cache_control(no_store=True)
@transaction.non_atomic_requests
def feed(request: HttpRequest) -> HttpResponseBase:
    """Answer a socket, or a page that polls.

    It needs no CSRF token: the Origin is checked, and a beacon could not carry one.
    """
    if isinstance(request, LiveRequest):
        return Feed.answer(request)
    if request.method != "POST":
        return HttpResponse(NOT_HERE, status=426, headers={"Upgrade": "websocket"}, content_type="text/plain")
    if not origin_allowed(request):
        return HttpResponse("The page is not of this site.", status=403, content_type="text/plain")
    return answer(request)


feed.login_required = False  # type: ignore[attr-defined]  # for LoginRequiredMiddleware: the ticket is the right


@cache_control(no_store=True)
@require_safe
def ticket(request: HttpRequest) -> HttpResponseBase:
    """Give a script of this site the ticket of a group, if AUTHORIZE grants it."""
    function = authorize()
    if function is None:
        return HttpResponse(
            "AUTHORIZE is not set, so scripts cannot ask for rooms.", status=404, content_type="text/plain"
        )
    if not _is_from_here(request):
        return HttpResponse("The page is not of this site.", status=403, content_type="text/plain")
    try:
        key = checked_key(request.GET.get("key"), "the request")
    except PresenceKeyError as error:
        return HttpResponse(str(error), status=400, content_type="text/plain")
    granted = call(function, request, key)
    if not granted:
        return HttpResponse("This is not allowed.", status=403, content_type="text/plain")
    issued = _ticket(request, key, granted if isinstance(granted, dict) else {})
    return JsonResponse({"room": issued.room, "ticket": issued.sign(request)})


ticket.login_required = False  # type: ignore[attr-defined]  # AUTHORIZE decides


def _ticket(request: HttpRequest, key: str, granted: dict[str, Any]) -> Ticket:
    user: Any = getattr(request, "user", None)
    meta, keys = granted.get("meta") or {}, granted.get("meta_keys")
    return Ticket(
        key,
        tracks=not (granted.get("watch") or request.GET.get("watch")),
        bound=bound_to(str(user.pk)) if is_logged_in(user) else "",
        meta=encode_given(meta) if meta else "",
        meta_keys=META_KEYS if keys is None else tuple(keys),
        fields=tuple(sorted({*meta, *(keys or ())})),
    )


def _is_from_here(request: HttpRequest) -> bool:
    """Return whether a page of this site has sent the request, by the headers of the browser."""
    if request.headers.get("Origin"):
        return origin_allowed(request)
    if site := request.headers.get("Sec-Fetch-Site"):
        return site == "same-origin"
    return urlsplit(request.headers.get("Referer", "")).netloc == request.get_host()
