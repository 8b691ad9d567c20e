"""What the chat keeps: a profile for each person, and what was said."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.templatetags.static import static
from django.utils.translation import gettext

__all__ = ["Message", "Profile", "profile_of"]


class Profile(models.Model):
    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE)
    avatar = models.SlugField(default="guest")  # a picture of static/demo/avatars

    def __str__(self) -> str:
        return self.avatar

    @property
    def avatar_url(self) -> str:
        return static(f"demo/avatars/{self.avatar}.svg")


def profile_of(user: AbstractBaseUser | AnonymousUser | None) -> Profile:
    """The profile of *user*; that of a guest for whoever has none."""
    return getattr(user, "profile", None) or Profile()


class Message(models.Model):
    room = models.SlugField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True)  # null: a guest
    sender = models.CharField(max_length=255)  # as whom the others saw them: their presence's id
    text = models.CharField(max_length=500)
    sent_at = models.DateTimeField(auto_now_add=True)

    objects = models.Manager["Message"]()

    class Meta:
        indexes = [models.Index(fields=["room", "-id"], name="newest_of_a_room")]

    def __str__(self) -> str:
        return self.text

    @property
    def name(self) -> str:
        return self.user.get_username() if self.user else gettext("Guest")

    @property
    def avatar_url(self) -> str:
        return profile_of(self.user).avatar_url

    @classmethod
    def latest(cls, room: str, count: int = 50) -> list[Self]:
        """The last messages of a room, the newest at the end."""
        return [*cls.objects.filter(room=room).select_related("user__profile").order_by("-id")[:count]][::-1]
