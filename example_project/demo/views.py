"""The example's pages: a few lines of presence each, and a door through which a visitor becomes somebody."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model, login, logout
from django.core.exceptions import PermissionDenied
from django.core.handlers.wsgi import WSGIRequest
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme

from djust_presence import LiveCursorMixin, PresenceMixin, PresenceUnavailable, presence

from .forms import MessageForm
from .host import HAS_PARTS, LiveView, event_handler
from .models import Message, Stroke, look_of
from .people import COLLEAGUES, row, with_initials

Record = dict[str, Any]


class Together(PresenceMixin):
    """Shows everybody who is on the page, the reader included, looking the same as on every other page."""

    me = ""

    def come_in(self, request: HttpRequest) -> None:
        self.me = self.get_presence_user_id()
        self.track_presence(meta=look_of(request.user))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)  # type: ignore[misc]
        context["presences"] = with_initials(self.list_presences())
        context["more"] = row(context["presences"])["more"]
        return context

    @property
    def own_record(self) -> Record:
        return next((one for one in self.list_presences() if one["id"] == self.me), {"name": "Somebody"})


class IndexView(Together, LiveView):
    """Shows who is on this page, and on each of the others.

    Nothing polls for that: a receiver of the signals broadcasts to this page that somebody has come to
    another one or left it, and the people there are then read once. A change that a killed server could not send is
    seen with the next change there.
    """

    template_name = "demo/index.html"
    presence_key = "first-page"
    # Not those of the members' page: this one is for everybody.
    KEYS = {
        "counter": "demo",
        "document": "document:42",
        "chat": "chat:tea",
        "whiteboard": "whiteboard:friends",
    }

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.elsewhere: dict[str, list[Record]] = {}
        self.come_in(request)
        self.look(self.KEYS.values())
        self.moved = list(
            self.KEYS.values()
        )  # again when one's own coming is seen: broadcasts of before are not

    def handle_presence_event(self, event: str, payload: Any) -> None:
        self.moved.append(payload)

    def _on_presence_change(self, **kwargs: Any) -> None:
        super()._on_presence_change(**kwargs)
        self.look(set(self.moved))
        self.moved = []

    def look(self, keys: Iterable[str]) -> None:
        for key in keys:
            with suppress(PresenceUnavailable):  # then what was known of it stays
                self.elsewhere[key] = with_initials(presence.list(key))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        ctx = super().get_context_data(**kwargs)
        ctx["own"] = [one for one in ctx["presences"] if one["id"] == self.me]
        ctx["others"] = row([one for one in ctx["presences"] if one["id"] != self.me])
        for name, key in self.KEYS.items():
            ctx[name] = row(self.elsewhere.get(key, []))
        return ctx


class DemoView(PresenceMixin, LiveView):
    template_name = "demo.html"
    presence_key = "demo"
    presence_unique_per_connection = True

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()


class DocumentView(Together, LiveView):
    template_name = "document.html"
    presence_key = "document:{doc_id}"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.doc_id = kwargs.get("doc_id")
        self.come_in(request)

    def handle_presence_join(self, presence: Record) -> None:
        self.flash(presence, "joined")

    def handle_presence_leave(self, presence: Record) -> None:
        self.flash(presence, "left")

    def flash(self, presence: Record, what: str) -> None:
        """Let the page's own script show it, unless it is about the reader."""
        name, color = presence["name"], presence.get("color")
        flash = {"message": f"{name} {what}", "name": name, "what": what, "color": color}
        self.push_event("flash", flash | {"own": presence["id"] == self.me})

    @event_handler()
    def wave(self, **kwargs: Any) -> None:
        """Greet everybody who has this document open; the page's own script shows it."""
        own = self.own_record
        self.broadcast_to_presence("wave", {"id": self.me, "name": own["name"], "color": own.get("color")})


class ChatView(Together, LiveView):
    template_name = "chat.html"
    presence_key = "chat:{room_id}"
    is_typing = False

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.room_id: str = kwargs["room_id"]
        self.come_in(request)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        ctx = super().get_context_data(**kwargs)
        ctx["typing"] = [one for one in ctx["presences"] if one.get("typing") and one["id"] != self.me]
        ctx["said"] = Message.latest(self.room_id)
        return ctx

    @event_handler()
    def send(self, text: str = "", **kwargs: Any) -> None:
        user = self.request.user if self.request.user.is_authenticated else None
        message = Message(room=self.room_id, user=user, sender=self.me)
        if user is None:
            message.guest_name, message.guest_color = (
                self.own_record["name"],
                self.own_record.get("color", ""),
            )
        form = MessageForm({"text": text}, instance=message)
        self.say_that_i_am_typing(False)
        if form.is_valid():
            form.save()
            # Pages that hear of it look into the database: it has to be there first.
            transaction.on_commit(lambda: self.broadcast_to_presence("message"))

    def handle_presence_event(self, event: str, payload: Any) -> None:
        """Somebody has said something. The page is rendered after this, which is all that it takes."""

    @event_handler()
    def typing(self, value: str = "", **kwargs: Any) -> None:
        self.say_that_i_am_typing(bool(value))

    @event_handler()
    def pause(self, **kwargs: Any) -> None:
        self.say_that_i_am_typing(False)

    def say_that_i_am_typing(self, typing: bool) -> None:
        """Every change goes to everybody in the room, so it is told only when it is one."""
        if typing != self.is_typing:
            self.is_typing = typing
            self.update_presence(typing=typing or None)


class WhiteboardView(Together, LiveCursorMixin, LiveView):
    template_name = "whiteboard.html" if HAS_PARTS else "demo/whiteboard_page.html"
    presence_key = "whiteboard:{board_id}"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.board_id: str = kwargs["board_id"]
        self.come_in(request)
        self.color = str(self.own_record.get("color", ""))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        ctx = super().get_context_data(**kwargs)
        ctx["strokes"] = self.strokes  # read where it is used: when the page is loaded, and not again
        ctx["board"] = Stroke.BOARD
        ctx["widths"] = Stroke.WIDTHS
        return ctx

    @property
    def strokes(self) -> QuerySet[Stroke]:
        return Stroke.objects.filter(board=self.board_id).order_by("id")

    # Drawing. The page's own script shows it: a board is not rendered again for each stroke

    @event_handler()
    def sketch(self, token: UUID, width: int, at: int, points: list[int], **kwargs: Any) -> None:
        """Show the others how a stroke grows: its points from the one with the number *at* on."""
        if Stroke.can_be(width, points) and 0 <= at < Stroke.MOST_POINTS:
            part = Stroke(token=token, color=self.color, width=width, points=points)
            self.broadcast_to_presence("sketch", part.as_dict() | {"at": at})

    @event_handler()
    def drop(self, token: UUID, **kwargs: Any) -> None:
        """Take back what the others were shown of a stroke: it was none."""
        self.broadcast_to_presence("dropped", {"token": token.hex})

    @event_handler()
    def draw(self, token: UUID, width: int, points: list[int], **kwargs: Any) -> None:
        """Keep a whole stroke, and show it to everybody."""
        if not Stroke.can_be(width, points):
            return
        stroke, _ = Stroke.objects.get_or_create(
            board=self.board_id,
            sender=self.me,
            token=token,
            defaults={"color": self.color, "width": width, "points": points},
        )
        self.broadcast_to_presence("stroke", stroke.as_dict())
        self.erase(self.strokes.reverse()[Stroke.MOST_STROKES :])

    @event_handler()
    def undo(self, **kwargs: Any) -> None:
        """Take one's own last stroke away again."""
        self.erase(self.strokes.reverse().filter(sender=self.me)[:1])

    @event_handler()
    def clear(self, **kwargs: Any) -> None:
        if self.erase(self.strokes):
            self.broadcast_to_presence("cleared", {"name": self.own_record["name"], "color": self.color})

    def erase(self, strokes: QuerySet[Stroke]) -> list[int]:
        ids = Stroke.erase(strokes)
        if ids:
            self.broadcast_to_presence("erased", {"ids": ids})
        return ids

    @event_handler()
    def compare(self, have: list[int], **kwargs: Any) -> None:
        """Tell a page that has just come, or come back, what is missing there, and what there is at all."""
        ids = [*self.strokes.values_list("pk", flat=True)]
        missing = self.strokes.filter(pk__in=set(ids) - set(have))
        self.push_event("strokes", {"ids": ids, "strokes": [stroke.as_dict() for stroke in missing]})


class PrivateView(PresenceMixin, LiveView):
    template_name = "demo/private.html"
    presence_key = "private"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        if not getattr(request.user, "is_staff", False):
            raise PermissionDenied
        self.track_presence()


def any_page(request: HttpRequest) -> HttpResponse:
    """An ordinary view: its template's tags show who is here."""
    users = get_user_model().objects.order_by("pk")
    people = [{"id": user.pk, "name": user.get_username().title()} for user in users]
    people += [{"id": f"nobody-{number}", "name": name} for number, name in enumerate(COLLEAGUES)]
    people = [{**one, "desk": desk} for desk, one in enumerate(people[:50], 1)]
    context = {"people": people, "look": look_of(request.user), "wsgi": isinstance(request, WSGIRequest)}
    if ports := getattr(settings, "PORTS", []):
        asgi, wsgi = ports
        host = request.get_host().rpartition(":")[0]
        context["beside"] = f"{request.scheme}://{host}:{asgi if context['wsgi'] else wsgi}/any/"
    return render(request, "any.html", context)


def become(request: HttpRequest, username: str) -> HttpResponse:
    """Log the visitor in as *username*, or out as ``guest``, and go on to ``?next=``. Only for the demo."""
    if not getattr(settings, "DEMO", False):
        raise Http404
    if username != "guest":
        login(request, get_object_or_404(get_user_model(), username=username))
    elif request.user.is_authenticated:
        logout(request)
    goal = request.GET.get("next", "")
    if not url_has_allowed_host_and_scheme(goal, {request.get_host()}, require_https=request.is_secure()):
        goal = resolve_url("demo:index")
    return HttpResponseRedirect(goal)
