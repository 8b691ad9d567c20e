"""Tickets: the right of a page to see a group, or to take part in it, as signed text that the page carries."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, NamedTuple, Self

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare, salted_hmac

from ..keys import opaque_id

__all__ = ["LIFE", "MAX_LENGTH", "META_KEYS", "BadTicket", "Ticket", "bound_to", "room_of"]

LIFE = 12 * 3600  # seconds for which a ticket can be used to join
META_KEYS = ("status", "typing")  # the keys of a meta that scripts may set, where nothing else is said
MAX_LENGTH = 8 * 1024  # characters


class BadTicket(Exception):
    """A ticket that gives no right. *code* is the protocol's: ``bad-ticket``, ``expired`` or ``other``."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Ticket(NamedTuple):
    """The right to see the group *key*, and with *tracks* to be present in it.

    It says nothing about who its bearer is. Times are in whole epoch seconds.
    """

    key: str
    tracks: bool
    bound: str = ""  # `bound_to` of the only user who may use it; empty: any visitor may
    meta: str = ""  # JSON text of the meta that its bearer is present with; empty: none is given
    meta_keys: tuple[str, ...] = META_KEYS  # the keys of its bearer's meta that scripts may set
    fields: tuple[str, ...] = ()  # the keys of all metas that this page's scripts see besides PUBLIC_META
    model: str = ""  # the label of the model, if *key* stands for one of its objects
    begun: int = 0  # when the ticket was first issued; renewals keep it
    issued: int = 0

    @property
    def room(self) -> str:
        return room_of(self.key)

    @property
    def pk(self) -> str:
        """The primary key of the object that *key* stands for, as text."""
        return self.key[len(self.model) + 1 :]

    def sign(self, request: HttpRequest) -> str:
        """Return the ticket as text, for the host of *request* only, issued now unless it has a time of issue."""
        now = int(time.time())
        values = self._replace(begun=self.begun or now, issued=self.issued or now)
        text = json.dumps(values, separators=(",", ":"), ensure_ascii=False)
        return _signer(request).sign(urlsafe_b64encode(text.encode()).decode().rstrip("="))

    @classmethod
    def read(cls, text: object, request: HttpRequest, user_id: str | None) -> Self:
        """Return the ticket *text*, used by the user *user_id* (None: not logged in) with *request*.

        Raises ``BadTicket``.
        """
        values = _values(text, request)
        if len(values) != len(cls._fields):
            raise BadTicket("expired")  # issued by another version of this package
        ticket = cls._make(tuple(value) if isinstance(value, list) else value for value in values)
        if ticket.bound and not (user_id and constant_time_compare(ticket.bound, bound_to(user_id))):
            raise BadTicket("other")
        if time.time() - ticket.issued > LIFE:
            raise BadTicket("expired")
        return ticket

    @staticmethod
    def key_of(text: object, request: HttpRequest) -> str:
        """Return the key in the ticket *text*, even if it has expired or is another user's; empty if not signed here."""
        try:
            return str(_values(text, request)[0])
        except BadTicket:
            return ""

    def renewed(self, age: float = LIFE / 2) -> Self | None:
        """Return a copy that is issued now, if this ticket is *age* seconds old or older; else None.

        Renewals end SESSION_COOKIE_AGE after the ticket was first issued.
        """
        now = int(time.time())
        if now - self.issued < age or now - self.begun > settings.SESSION_COOKIE_AGE:
            return None
        return self._replace(issued=now)


def _values(text: object, request: HttpRequest) -> list[Any]:
    """Return the values in the ticket *text*. Raises ``BadTicket`` if it was not signed for the host of *request*."""
    if not isinstance(text, str) or len(text) > MAX_LENGTH:
        raise BadTicket("bad-ticket")
    try:
        signed = _signer(request).unsign(text)
    except BadSignature:
        raise BadTicket("bad-ticket") from None
    values: list[Any] = json.loads(urlsafe_b64decode(signed + "=" * (-len(signed) % 4)))
    return values


def bound_to(user_id: str) -> str:
    """Return the mark of the user *user_id* in tickets, which does not reveal the id."""
    mac = salted_hmac("djust_presence.ticket", user_id, algorithm="sha256")
    return urlsafe_b64encode(mac.digest()[:9]).decode()


def room_of(key: str) -> str:
    """Return the id of the group *key* in pages: 16 url-safe characters that do not reveal it."""
    return opaque_id(key, "")


def _signer(request: HttpRequest) -> Signer:
    # Tenants of one site, told apart by host, may use the same keys.
    return Signer(salt=f"djust_presence.ticket:{request.get_host()}")
