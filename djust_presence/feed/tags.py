"""The template tags of presence on any page, for Django's templates and for Jinja2's: the context is of either."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.template import TemplateSyntaxError
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from ..identity import encode_named
from ..keys import opaque_id, user_id_of
from ..state.records import Member
from .identity import Identity
from .page import Subject, TagPage, page_of, subject_of
from .people import Person, person, public_fields, shown_count
from .reads import Reads

__all__ = ["TAGS", "hue", "request_of"]

T = TypeVar("T")

HUES = 12  # classes of colours in presence.css: presence-hue-0 …


def request_of(context: Any) -> HttpRequest | None:
    """Return the request of a template's *context*, None if there is none, as in mails and error pages."""
    request = getattr(context, "request", None) or context.get("request")
    request = getattr(request, "_request", request)  # of Django REST framework's
    return request if isinstance(request, HttpRequest) else None


def _requested(context: Any, tag: str) -> HttpRequest:
    request = request_of(context)
    if request is None:
        raise ImproperlyConfigured(
            f"{tag} needs the request: render its template with one, as render() and "
            "render_to_string(…, request=request) do, or add django.template.context_processors.request to the "
            "context_processors of TEMPLATES."
        )
    return request


class Room(NamedTuple):
    """A group as one tag shows it."""

    request: HttpRequest
    page: TagPage
    subject: Subject
    tracks: bool
    public: bool
    meta: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        context: Any,
        tag: str,
        given: Any,
        watch: bool = False,
        public: bool = False,
        meta: Mapping[str, Any] | None = None,
        name: object = None,
    ) -> Room:
        request = _requested(context, tag)
        if meta is not None and not isinstance(meta, Mapping):
            raise TemplateSyntaxError(f"{tag} wants a dictionary as its meta, not {meta!r:.300}.")
        own = {**(meta or {}), **({"name": str(name)} if name else {})}
        if public and own.get("name"):
            raise TemplateSyntaxError(
                f"{tag} is public, the same for all readers, and so cannot give its reader a name: leave out one of "
                "the two."
            )
        room = cls(request, page_of(request), subject_of(given, tag), not watch, bool(public), own)
        if room.tracks:
            room.page.track(room.key)
        return room

    @property
    def key(self) -> str:
        return self.subject.key

    @property
    def reader(self) -> Identity:
        """The reader's identity, which is empty for a public tag."""
        return Identity() if self.public else self.page.reader(self.request)

    @property
    def joins(self) -> bool:
        """True if the reader will be in the group, by this tag or another one of the page."""
        return self.tracks or (not self.public and self.key in self.page.tracked)

    def once(self, name: str, *details: Any) -> tuple[Any, ...]:
        """Return a key that tells this element from others of the page."""
        meta = repr(self.meta) if self.meta else ""
        return (name, self.key, self.tracks, self.public, meta, *details)

    def attributes(self) -> SafeString:
        """Return the room and the ticket of the element."""
        self.page.give(self.key)
        ticket = self.page.ticket(self.request, self.subject, self.tracks, self.public, self.meta)
        watch = "" if self.tracks else " watch"
        return format_html(' room="{}" ticket="{}"{}', self.subject.room, ticket, watch)

    def size(self) -> int:
        """Return the number of people in the group, with the reader if they are about to join."""
        reader = self.reader.user_id
        count, member = self.page.reads.count_and_member(self.key, reader)
        if not self.joins:
            return count
        return count + (member is None) if reader else max(1, count)

    def people(self) -> dict[str, Member]:
        """Return the people in the group, in their order, with the reader if they are about to join."""
        members = dict(self.page.reads.members(self.key))
        reader = self.reader
        if self.joins and reader.user_id and reader.user_id not in members:
            user = getattr(self.request, "user", None)
            meta = encode_named(self.meta, user, reader.user_id, reader.name)
            members[reader.user_id] = Member(1, time.time(), meta)
        return dict(sorted(members.items(), key=lambda item: (item[1].joined_at, item[0])))


def presence_count(
    context: Any,
    of: Any,
    *,
    watch: bool = False,
    public: bool = False,
    meta: Mapping[str, Any] | None = None,
    name: object = None,
) -> str:
    """Show the number of people in the group *of*, a presence key or a model instance.

    Without a request, as in a mail, it is plain text.
    """
    tag = "{% presence_count %}"
    if request_of(context) is None:
        (count,) = Reads().counts([subject_of(of, tag).key]).values()
        return shown_count(count)
    room = Room.of(context, tag, of, watch, public, meta, name)
    return room.page.once(
        room.once("count"),
        lambda: format_html(
            "<presence-count{}>{}</presence-count>", room.attributes(), shown_count(room.size())
        ),
    )


def presence_avatars(
    context: Any,
    of: Any,
    *,
    max: int | str = 5,
    announce: bool = False,
    watch: bool = False,
    public: bool = False,
    meta: Mapping[str, Any] | None = None,
    name: object = None,
) -> SafeString:
    """Show the first *max* people in the group *of*, and the number of the others.

    With *announce*, screen readers say who comes and who leaves.
    """
    tag = "{% presence_avatars %}"
    try:
        most = int(max)
    except (TypeError, ValueError):
        most = 0
    if most < 1:
        raise TemplateSyntaxError(f"{tag} wants a number above 0 as its max, not {max!r:.300}.")
    room = Room.of(context, tag, of, watch, public, meta, name)
    return room.page.once(room.once("avatars", most, announce), lambda: _avatars(room, most, announce))


def _avatars(room: Room, most: int, announce: bool) -> SafeString:
    guest, fields, found = gettext("Guest"), public_fields(room.meta), room.people()
    people: list[Person] = [
        person(room.key, user, member, fields) for user, member in [*found.items()][:most]
    ]
    if not found and room.joins:
        people = [{}]  # the reader, without a name
    more = len(found) - len(people)
    spoken = format_html(
        ' announce data-joined="{}" data-left="{}"', gettext("{} joined"), gettext("{} left")
    )
    return format_html(
        '<presence-avatars{} max="{}" data-guest="{}" data-more="+{{}}"{}>'
        '<span class="presence-list"{}>{}</span>{}</presence-avatars>',
        room.attributes(),
        most,
        guest,
        spoken if announce else "",
        SafeString(' role="list"') if people else "",
        format_html_join("", "{}", ((_avatar(one, guest),) for one in people)),
        format_html('<span class="presence-more">+{}</span>', shown_count(more)) if more > 0 else "",
    )


def hue(opaque: str) -> int:
    """Return the number of the colour class of somebody without a colour, by their opaque id: 0 to 11."""
    return ord(opaque[0]) % HUES


def _avatar(one: Person, guest: str) -> SafeString:
    name, color, picture = one.get("name") or guest, one.get("color"), one.get("avatar")
    colored = isinstance(color, str) and color
    return format_html(
        '<span class="presence-avatar{}" role="listitem"{}{} title="{}" aria-label="{}">{}</span>',
        f" presence-hue-{hue(one['id'])}" if one and not colored else "",
        format_html(' data-id="{}"', one["id"]) if one else "",
        format_html(' data-presence-color="{}"', color) if colored else "",
        name,
        name,
        format_html('<img src="{}" alt="">', picture)
        if picture
        else format_html('<span aria-hidden="true">{}</span>', name[:1].upper()),
    )


def presence_dot(
    context: Any,
    user: Any,
    of: Any,
    *,
    among: Iterable[Any] | None = None,
    watch: bool = True,
    public: bool = False,
) -> SafeString:
    """Show a dot: is *user*, a user or an id, in the group *of*? Shows nothing for None and users who are not logged in.

    It only watches. In a large group, *among* lets all users of whom the page has a dot be read at once.
    """
    tag = "{% presence_dot %}"
    if not watch:
        raise TemplateSyntaxError(f"{tag} only watches: put {{% presence %}} beside it to take part.")
    room = Room.of(context, tag, of, True, public)
    user_id = user_id_of(user)
    if user_id is None:
        return SafeString("")
    others = (lambda: [found for one in among if (found := user_id_of(one))]) if among is not None else None
    return room.page.once(room.once("dot", user_id), lambda: _dot(room, user_id, others))


def _dot(room: Room, user: str, among: Callable[[], Iterable[str]] | None) -> SafeString:
    online = room.page.reads.member(room.key, user, among) is not None
    online = online or (room.joins and room.reader.user_id == user)
    texts = gettext("online"), gettext("offline")
    # Fragments that are the same for everybody may be cached one by one.
    bare = room.key in room.page.given and not room.public
    return format_html(
        '<presence-dot{} of="{}" data-online="{}" data-offline="{}" role="img" aria-label="{}"{}></presence-dot>',
        format_html(' room="{}" watch', room.subject.room) if bare else room.attributes(),
        opaque_id(room.key, user),
        *texts,
        texts[not online],
        " online" if online else "",
    )


def presence(
    context: Any,
    of: Any,
    *,
    watch: bool = False,
    public: bool = False,
    meta: Mapping[str, Any] | None = None,
    name: object = None,
) -> SafeString:
    """Let the reader take part in the group *of*, or with *watch* let scripts see it; shows nothing."""
    room = Room.of(context, "{% presence %}", of, watch, public, meta, name)
    return room.page.once(
        room.once("room"),
        lambda: format_html("<presence-room{} hidden></presence-room>", room.attributes()),
    )


def presence_count_many(context: Any, several: Iterable[T]) -> dict[T, int]:
    """Return the number of people in each of *several* groups, by the keys or model instances given, in one read."""
    found = [(one, subject_of(one, "{% presence_count_many %}").key) for one in several]
    counts = Reads().counts([*dict.fromkeys(key for _, key in found)])
    return {one: counts[key] for one, key in found}


TAGS = (presence, presence_avatars, presence_count, presence_count_many, presence_dot)
