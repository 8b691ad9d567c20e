"""The example's pages: a few lines of presence each, and a door through which a visitor becomes somebody."""

from __future__ import annotations

from typing import Any
from uuid import UUID
from zlib import crc32

from django.conf import settings
from django.contrib.auth import get_user_model, login, logout
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme

from djust_presence import LiveCursorMixin, PresenceMixin

from .forms import MessageForm
from .host import HAS_PARTS, LiveView, event_handler
from .models import Message, Stroke, profile_of

# White text is readable on each of them.
COLORS = ["#2f7d32", "#1864ab", "#a61e4d", "#b54708", "#862e9c", "#0b7285", "#c2255c", "#5b4fe8"]


def color_of(user_id: str) -> str:
    """Always the same colour for the same person."""
    return COLORS[crc32(user_id.encode()) % len(COLORS)]


def name_of(user_id: str, people: list[dict[str, Any]]) -> str:
    return next((str(one["name"]) for one in people if one["id"] == user_id), "Somebody")


class IndexView(PresenceMixin, LiveView):
    """Shows how many are on the counter's page, and is counted by nobody."""

    template_name = "demo/index.html"
    presence_key = "demo"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.watch_presence()


class DemoView(PresenceMixin, LiveView):
    template_name = "demo.html"
    presence_key = "demo"
    presence_unique_per_connection = True

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()


class DocumentView(PresenceMixin, LiveView):
    template_name = "document.html"
    presence_key = "document:{doc_id}"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.doc_id = kwargs.get("doc_id")
        self.me = self.get_presence_user_id()
        self.color = color_of(self.me)
        self.track_presence(meta={"name": request.user.get_username(), "color": self.color})

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        ctx = super().get_context_data(**kwargs)
        ctx["presences"] = self.list_presences()
        return ctx

    def handle_presence_join(self, presence: dict[str, Any]) -> None:
        self.push_event("flash", {"message": f"{presence['name']} joined", "color": presence.get("color")})

    def handle_presence_leave(self, presence: dict[str, Any]) -> None:
        self.push_event("flash", {"message": f"{presence['name']} left", "color": presence.get("color")})

    @event_handler()
    def wave(self, **kwargs: Any) -> None:
        """Greet everybody who has this document open; the page's own script shows it."""
        name = name_of(self.me, self.list_presences())
        self.broadcast_to_presence("wave", {"id": self.me, "name": name, "color": self.color})


class ChatView(PresenceMixin, LiveView):
    template_name = "chat.html"
    presence_key = "chat:{room_id}"
    is_typing = False

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.room_id: str = kwargs["room_id"]
        self.me = self.get_presence_user_id()
        self.track_presence(
            meta={
                "name": request.user.get_username(),
                "avatar": profile_of(request.user).avatar_url,
            }
        )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        ctx = super().get_context_data(**kwargs)
        ctx["online_users"] = self.list_presences()
        ctx["online_count"] = self.presence_count()
        ctx["typing"] = [one for one in ctx["online_users"] if one.get("typing") and one["id"] != self.me]
        ctx["said"] = Message.latest(self.room_id)
        return ctx

    @event_handler()
    def send(self, text: str = "", **kwargs: Any) -> None:
        user = self.request.user if self.request.user.is_authenticated else None
        form = MessageForm({"text": text}, instance=Message(room=self.room_id, user=user, sender=self.me))
        self.say_that_i_am_typing(False)
        if form.is_valid():
            form.save()
            # Whoever hears of it looks into the database: not before it is there.
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


class WhiteboardView(LiveCursorMixin, LiveView):
    template_name = "whiteboard.html" if HAS_PARTS else "demo/whiteboard_page.html"
    presence_key = "whiteboard:{board_id}"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.board_id: str = kwargs["board_id"]
        self.me = self.get_presence_user_id()
        self.color = self.assign_color()
        self.track_presence(meta={"name": request.user.get_username(), "color": self.color})

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        ctx = super().get_context_data(**kwargs)
        ctx["presences"] = self.list_presences()
        ctx["strokes"] = self.strokes  # read where it is used: when the page is loaded, and not again
        ctx["board"] = Stroke.BOARD
        ctx["widths"] = Stroke.WIDTHS
        return ctx

    @property
    def strokes(self) -> QuerySet[Stroke]:
        return Stroke.objects.filter(board=self.board_id).order_by("id")

    # Colours

    def assign_color(self) -> str:
        """One's own of before, or one that nobody has as long as there are any left."""
        colors = {one["id"]: one.get("color") for one in self.list_presences()}  # who came first stands first
        own = colors.get(self.me)
        if own and next(user_id for user_id, color in colors.items() if color == own) == self.me:
            return str(own)
        free = [color for color in COLORS if color not in colors.values()]
        return free[0] if free else str(own or COLORS[len(colors) % len(COLORS)])

    def keep_colors_apart(self) -> None:
        """Two who came at the same moment may have chosen the same: the later one takes another."""
        color = self.assign_color()
        if color != self.color:
            self.color = color
            self.update_presence(color=color)

    def handle_presence_join(self, presence: dict[str, Any]) -> None:
        self.keep_colors_apart()

    def handle_presence_update(self, presence: dict[str, Any]) -> None:
        self.keep_colors_apart()

    # Drawing. The page's own script shows it: a board is not rendered again for each stroke

    @event_handler()
    def sketch(self, token: UUID, width: int, at: int, points: list[int], **kwargs: Any) -> None:
        """Show the others how a stroke grows: its points from the one with the number *at* on."""
        if Stroke.can_be(width, points) and 0 <= at < Stroke.MOST_POINTS:
            part = Stroke(token=token, color=self.color, width=width, points=points)
            self.broadcast_to_presence("sketch", part.as_dict() | {"at": at})

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
            name = name_of(self.me, self.list_presences())
            self.broadcast_to_presence("cleared", {"name": name, "color": self.color})

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


def become(request: HttpRequest, username: str) -> HttpResponse:
    """Log the visitor in as *username*, or out as ``guest``, and go on to ``?next=``. Only for the demo."""
    if not getattr(settings, "DEMO", False):
        raise Http404
    if username == "guest":
        logout(request)
    else:
        login(request, get_object_or_404(get_user_model(), username=username))
    goal = request.GET.get("next", "")
    if not url_has_allowed_host_and_scheme(goal, {request.get_host()}, require_https=request.is_secure()):
        goal = resolve_url("demo:index")
    return HttpResponseRedirect(goal)
