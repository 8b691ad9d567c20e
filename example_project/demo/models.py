"""Models of the pages: profiles of people, messages of the chat, strokes on whiteboards."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.templatetags.static import static
from django.utils.translation import gettext

from .people import COLORS, initials

__all__ = ["Message", "Profile", "Stroke", "look_of", "profile_of"]


class Profile(models.Model):
    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE)
    avatar = models.SlugField(blank=True)  # a picture of static/demo/avatars

    def __str__(self) -> str:
        return self.avatar

    @property
    def avatar_url(self) -> str:
        return static(f"demo/avatars/{self.avatar}.svg") if self.avatar else ""


def profile_of(user: AbstractBaseUser | AnonymousUser | None) -> Profile:
    """The profile of *user*, or one without a picture."""
    return getattr(user, "profile", None) or Profile()


def look_of(user: AbstractBaseUser | AnonymousUser) -> dict[str, Any]:
    """The meta of *user* on every page. A visitor's is empty: GUEST_NAMES gives them a name and a colour."""
    if not user.is_authenticated:
        return {}
    return {"name": user.get_username(), "color": color_of(user), "avatar": profile_of(user).avatar_url}


def color_of(user: AbstractBaseUser | AnonymousUser) -> str:
    return COLORS[int(user.pk or 0) % len(COLORS)]


class Message(models.Model):
    room = models.SlugField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True)  # null: a guest
    sender = models.CharField(max_length=255)  # as whom the others saw them: their presence's id
    text = models.CharField(max_length=500)
    guest_name = models.CharField(max_length=150, blank=True)
    guest_color = models.CharField(max_length=7, blank=True)
    sent_at = models.DateTimeField(auto_now_add=True)

    objects = models.Manager["Message"]()

    class Meta:
        indexes = [models.Index(fields=["room", "-id"], name="newest_of_a_room")]

    def __str__(self) -> str:
        return self.text

    @property
    def name(self) -> str:
        return self.user.get_username() if self.user else self.guest_name or gettext("Guest")

    @property
    def color(self) -> str:
        return color_of(self.user) if self.user else self.guest_color

    @property
    def avatar(self) -> str:
        return profile_of(self.user).avatar_url

    @property
    def initials(self) -> str:
        return initials(self.name)

    @classmethod
    def latest(cls, room: str, count: int = 50) -> list[Self]:
        """The last messages of a room, the newest at the end."""
        return [*cls.objects.filter(room=room).select_related("user__profile").order_by("-id")[:count]][::-1]


class Stroke(models.Model):
    """A line on a whiteboard. A board measures 1600 by 1280 units in a window of whatever size."""

    BOARD = (1600, 1280)
    WIDTHS = (6, 14, 32)
    MOST_POINTS = 500
    MOST_STROKES = 500  # of a board: then the oldest go

    board = models.SlugField()
    sender = models.CharField(max_length=255)  # as whom the others saw them: their presence's id
    token = models.UUIDField()  # the page's own name for it: sent twice, it is drawn once
    color = models.CharField(max_length=7)
    width = models.PositiveSmallIntegerField()
    points = models.JSONField()  # x and y in turns

    objects: ClassVar[models.Manager[Stroke]] = models.Manager()

    class Meta:
        indexes = [models.Index(fields=["board", "-id"], name="newest_of_a_board")]
        constraints = [models.UniqueConstraint(fields=["board", "sender", "token"], name="drawn_once")]

    def __str__(self) -> str:
        return f"{self.sender} on {self.board}"

    @classmethod
    def can_be(cls, width: int, points: list[int]) -> bool:
        """Return whether a stroke is within the bounds: *points* are x and y in turns."""
        xs, ys = points[::2], points[1::2]
        return (
            width in cls.WIDTHS
            and 1 <= len(xs) == len(ys) <= cls.MOST_POINTS
            and 0 <= min(xs) <= max(xs) <= cls.BOARD[0]
            and 0 <= min(ys) <= max(ys) <= cls.BOARD[1]
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the fields that a page needs to draw it."""
        return {
            "id": self.pk,
            "token": self.token.hex,
            "color": self.color,
            "width": self.width,
            "points": self.points,
        }

    @classmethod
    def erase(cls, strokes: models.QuerySet[Stroke]) -> list[int]:
        """Delete these, and say which they were."""
        ids = [*strokes.values_list("pk", flat=True)]
        cls.objects.filter(pk__in=ids).delete()
        return ids
