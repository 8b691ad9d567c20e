"""Answers to polls of pages without a socket. Such a page has a lease of its own, and sends its whole state each time."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.utils.crypto import salted_hmac

from ..backends.base import Backend
from ..conf import get_settings
from ..errors import PresenceUnavailable
from ..forks import after_fork
from ..presence.store import Throttle, checked_backend
from ..rates import LogLimit, user_code
from ..tracker.store_outages import write_failed, write_worked
from .given import MAX_ROOMS, meta_of, script_keys
from .identity import Identity, visitor_of
from .newcomers import Newcomers, address_of
from .people import public_fields
from .polls import MAX_BYTES, LeaseState, Poll, Times, lease_of
from .rights import Right, answers, is_old
from .tickets import BadTicket, Ticket, room_of
from .visits import Lost, Wish, end, visit

__all__ = ["answer"]

logger = logging.getLogger("djust_presence")

RETRY = 10  # seconds until a page may try again when the store does not answer
AGAIN = {"again": True}

_newcomers = Newcomers()
_reaping = Throttle()
_refusals = LogLimit(burst=10)
after_fork(_newcomers.renew_lock)


def answer(request: HttpRequest) -> HttpResponse:
    """Answer a poll from a page of this site. Waits for nothing but the store and AUTHORIZE."""
    try:
        body = _body(request)
        poll = None if body is None else Poll.read(body)
    except (ValueError, UnreadablePostError) as error:
        return HttpResponse(f"This is not a poll: {error}", status=400, content_type="text/plain")
    address = address_of(request.META)
    state = LeaseState.read(poll.state) if poll else None
    if poll is None or not ((state and poll.bye) or _newcomers.admit(address, poll.page)):
        return _too_many("request" if poll is None else "page")
    if poll.bye:
        _newcomers.gone(address, poll.page)
    backend = checked_backend()
    try:
        found = _Polling(request, backend, poll, state).answer()
    except PresenceUnavailable as error:
        write_failed(backend, error)
        return _later(503, "The presence store does not answer.", round(random.uniform(0.9, 1.1) * RETRY))
    finally:
        if settings.SESSION_SAVE_EVERY_REQUEST and hasattr(request, "session"):
            del request.session  # polls of an open page must not extend the session
    write_worked(backend)
    return JsonResponse(found)


def _body(request: HttpRequest) -> bytes | None:
    """Return the body of *request*; None, without reading it, if it is too long."""
    if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BYTES:
        return None
    body = request.body
    return body if len(body) <= MAX_BYTES else None


def _too_many(what: str) -> HttpResponse:
    _refusals.log(
        logger.info,
        "A poll was refused: %s.",
        "its body is too long" if what == "request" else "too many pages of its address poll",
        of=what,
    )
    return _later(429, "Too many pages poll, or the request is too long.", 60)


def _later(status: int, text: str, seconds: int) -> HttpResponse:
    response = HttpResponse(
        text, status=status, headers={"Retry-After": str(seconds)}, content_type="text/plain"
    )
    # Django would log each of these, and mail those of an outage to the admins.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


class _Polling:
    """One poll. *state* is that of the page's lease after its last one."""

    def __init__(self, request: HttpRequest, backend: Backend, poll: Poll, state: LeaseState | None) -> None:
        self._request = request
        self._backend = backend
        self._poll = poll
        self._state = state

    def answer(self) -> dict[str, Any]:
        poll, state, backend = self._poll, self._state, self._backend
        if poll.bye and state:
            backend.drain(state.lease, get_settings().grace)
            return {}
        self._identity = Identity.of(self._request)
        self._user = self._identity.user_id or visitor_of(poll.visitor) or _alone(poll.page)
        lease = lease_of(poll.page, self._user)
        if poll.bye:
            backend.drain(lease, get_settings().grace)
            return {}
        if state and state.lease != lease:  # somebody has logged in or out
            keys = {room_of(key): key for one in (*poll.rooms, *poll.left) if (key := self._key(one.ticket))}
            end(backend, state, keys)
            return AGAIN
        try:
            if poll.state and not state:
                raise Lost
            return self._visit(state or LeaseState(0, lease, frozenset()))
        except Lost:
            # Short, until it has joined again: if an answer was lost, the lease may hold more than the page knows.
            backend.drain(lease, get_settings().lost_grace)
            return AGAIN

    def _visit(self, state: LeaseState) -> dict[str, Any]:
        poll, backend, lease_ttl = self._poll, self._backend, get_settings().lease_ttl
        times = Times.of(lease_ttl)
        refused: dict[str, str] = {}
        tickets = self._tickets(refused)
        renewed = self._check(tickets, refused)
        leaving = {
            room_of(key): key
            for one in (*poll.left, *(one for one in poll.rooms if one.room in refused))
            if (key := self._key(one.ticket))
        }
        wishes = [self._wish(room, ticket, room in renewed) for room, ticket in tickets.items()]
        done = visit(
            backend,
            times,
            state,
            wishes,
            leaving,
            first=not poll.state,
            reaps=_reaping.take(backend, get_settings().renew_interval),
        )
        rooms: dict[str, dict[str, Any]] = {room: {"refused": code} for room, code in refused.items()}
        for room, news in done.news.items():
            rooms[room] = news | ({"ticket": renewed[room].sign(self._request)} if room in renewed else {})
        return {
            "seq": done.state.sign(),
            "every": times.every(poll.hidden, done.in_company, random.random()),
            "rooms": rooms,
        }

    def _tickets(self, refused: dict[str, str]) -> dict[str, Ticket]:
        """Return the tickets of the rooms; add the reasons of rooms without one to *refused*."""
        tickets: dict[str, Ticket] = {}
        for one in self._poll.rooms:
            try:
                if len(tickets) >= MAX_ROOMS and one.room not in tickets:
                    raise BadTicket("too-many")
                ticket = Ticket.read(one.ticket, self._request, self._identity.login or None)
                if ticket.room != one.room:
                    raise BadTicket("bad-ticket")
                tickets[one.room] = ticket
            except BadTicket as refusal:
                refused[one.room] = refusal.code
        return tickets

    def _check(self, tickets: dict[str, Ticket], refused: dict[str, str]) -> Mapping[str, Ticket]:
        """Refuse those of *tickets* whose right has ended; return younger tickets for others.

        A ticket's time of issue is that of its last check, and the page sends it with each poll: so the check
        needs no memory in a worker. A right that cannot be checked stands.
        """
        renewed = {room: one for room, ticket in tickets.items() if (one := ticket.renewed())}
        old = {room: ticket for room, ticket in tickets.items() if is_old(ticket)}
        found = answers([Right(self._request, ticket) for ticket in old.values()]) if old else ()
        for (room, ticket), code in zip(old.items(), found, strict=True):
            if isinstance(code, Exception):
                user_code.log(logger.error, "Could not check a right to %r.", ticket.key, exc_info=code)
                renewed.pop(room, None)
            elif code:
                refused[room] = code
                del tickets[room]
            elif checked := ticket.renewed(0):
                renewed[room] = checked
        return renewed

    def _wish(self, room: str, ticket: Ticket, read: bool) -> Wish:
        asked = next(one for one in self._poll.rooms if one.room == room)
        meta = None
        if ticket.tracks:
            given = {name: asked.meta[name] for name in script_keys(ticket) & asked.meta.keys()}
            given = {name: value for name, value in given.items() if value is not None}
            meta = meta_of(ticket, given, self._request, self._user, self._identity.name)
        told = asked.mark._replace(tag="") if read else asked.mark
        wants = replace(asked.wants, fields=public_fields(ticket.fields))
        return Wish(room, ticket.key, self._user, meta, wants, told)

    def _key(self, ticket: object) -> str:
        return Ticket.key_of(ticket, self._request)


def _alone(page: str) -> str:
    """Return a user id for a visitor without session or token: that of their page."""
    mac = salted_hmac("djust_presence.poll.user", page, algorithm="sha256")
    return f"anon_conn_{mac.hexdigest()[:32]}"
