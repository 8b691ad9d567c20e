"""The state that the tags of one page share: its reader, its tickets, and one read of each group."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, finalize

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.safestring import SafeString

from ..errors import PresenceKeyError
from ..identity import encode_given
from ..keys import checked_key
from .identity import Identity
from .reads import Reads
from .tickets import MAX_LENGTH, Ticket, bound_to, room_of

__all__ = ["Subject", "TagPage", "feed_url", "page_of", "renderings", "subject_of"]

logger = logging.getLogger("djust_presence")

ISSUED_EVERY = 60  # seconds for which the text of a ticket stays the same, for caches and patches

ATTRIBUTE = "djust_presence_page"

# Functions of hosts that render a page again with the same request: each returns an object that lives as long as the
# current rendering, or None if that is not the host's.
renderings: list[Callable[[], Any]] = []

_reads: WeakKeyDictionary[Any, Reads] = WeakKeyDictionary()  # by rendering
_unscripted: set[str] = set()  # views that the log has named


class Subject(NamedTuple):
    """A group: its key, and the label of the model if it stands for one of its objects."""

    key: str
    model: str = ""

    @property
    def room(self) -> str:
        return room_of(self.key)


def subject_of(given: Any, tag: str) -> Subject:
    """Return the group that *tag* was given: a key, or a saved instance of a model. Raises ``PresenceKeyError``."""
    if not isinstance(given, Model):
        return Subject(checked_key(given, tag))
    label = given._meta.label_lower
    if given.pk is None or given._state.adding:
        raise PresenceKeyError(
            f"{tag} was given an unsaved {given._meta.label}, which has no presence key yet: save it first, or give a "
            "text as the key."
        )
    return Subject(checked_key(f"{label}:{given.pk}", tag), label)


class Grant(NamedTuple):
    meta: Mapping[str, Any]
    text: str


class TagPage:
    """The page of a response, or a live page: its elements stay as first rendered, as its script updates them from then on.

    Raises ``ImproperlyConfigured`` if the project has no URL for the page's script to ask.
    """

    __slots__ = ("__weakref__", "_grants", "_html", "_own_reads", "_reader", "_script", "given", "tracked")

    def __init__(self, request: HttpRequest) -> None:
        feed_url()
        self.tracked: frozenset[str] = frozenset()  # keys of the groups that the reader will be in
        self.given: frozenset[str] = frozenset()  # keys of the groups whose ticket was printed
        self._reader: Identity | None = None
        self._grants: dict[tuple[str, bool, bool], Grant] = {}
        self._html: dict[tuple[Any, ...], SafeString] = {}
        self._own_reads: Reads | None = None
        self._script: dict[str, bool] | None = None
        if settings.DEBUG and request.headers.get("Sec-Fetch-Dest") == "document":
            self._script = {"found": False}  # read after the page was garbage-collected
            finalize(self, _say_unscripted, self._script, _view_of(request)).atexit = False

    def track(self, key: str) -> None:
        """Note that the reader will be in the group *key*."""
        self.tracked = _with(self.tracked, key)

    def give(self, key: str) -> None:
        """Note that a ticket of the group *key* was printed."""
        self.given = _with(self.given, key)

    def scripted(self) -> None:
        """Note that the page has its script."""
        if self._script:
            self._script["found"] = True

    @property
    def reads(self) -> Reads:
        for rendering in renderings:
            if (owner := rendering()) is not None:
                return _reads.setdefault(owner, Reads())
        if self._own_reads is None:
            self._own_reads = Reads()
        return self._own_reads

    def reader(self, request: HttpRequest) -> Identity:
        """Return the identity of the page's reader."""
        if self._reader is None:
            self._reader = Identity.of(request)
        return self._reader

    def ticket(
        self, request: HttpRequest, subject: Subject, tracks: bool, public: bool, meta: Mapping[str, Any]
    ) -> str:
        """Return a ticket with the meta of all such tags so far: a later tag of the page has a ticket with more meta.

        Raises ``ValueError`` for a meta that cannot be stored.
        """
        kind = subject.key, tracks, public
        before = self._grants.get(kind)
        meta = {**before.meta, **meta} if before else meta
        if before and meta == before.meta:
            return before.text
        now = int(time.time())
        issued = now - now % ISSUED_EVERY
        text = Ticket(
            subject.key,
            tracks,
            bound_to(login) if not public and (login := self.reader(request).login) else "",
            encode_given(meta) if tracks and meta else "",
            fields=tuple(sorted(meta)),
            model=subject.model,
            begun=issued,
            issued=issued,
        ).sign(request)
        if len(text) > MAX_LENGTH:
            raise ValueError("The presence meta is too large for a ticket: give fewer or shorter values.")
        self._grants[kind] = Grant(meta, text)
        return text

    def once(self, element: tuple[Any, ...], render: Callable[[], SafeString]) -> SafeString:
        """Return what *render* returned the first time for this *element*."""
        if element not in self._html:
            self._html[element] = render()
        return self._html[element]


@lru_cache(maxsize=1024)  # live pages keep theirs, and many have the same
def _with(keys: frozenset[str], key: str) -> frozenset[str]:
    return keys | {key}


def feed_url() -> str:
    """Return the URL that the page's script asks. Raises ``ImproperlyConfigured`` if the project has none."""
    try:
        return reverse("djust_presence:feed")
    except NoReverseMatch:
        raise ImproperlyConfigured(
            'A page shows presence, but its URLs are missing: add path("presence/", '
            'include("djust_presence.urls")) to the urlpatterns of the project.'
        ) from None


def page_of(request: HttpRequest) -> TagPage:
    """Return the page that tags rendered for *request* share."""
    page: TagPage = getattr(request, ATTRIBUTE, None) or TagPage(request)
    setattr(request, ATTRIBUTE, page)
    return page


def _view_of(request: HttpRequest) -> str:
    match = request.resolver_match
    return match.view_name if match else request.path


def _say_unscripted(script: Mapping[str, bool], view: str) -> None:
    if script["found"] or view in _unscripted:
        return
    _unscripted.add(view)
    logger.warning(
        "The page of %s shows presence, but has no %s: it stays as it is. Put the tag into its <head>, such as that of "
        "base.html.",
        *(view, "{% presence_script %}"),
    )
