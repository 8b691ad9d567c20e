"""Tells the first page that somebody has come to another one, or left it."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from djust_presence import presence
from djust_presence.signals import presence_joined, presence_left

from .views import IndexView


@receiver([presence_joined, presence_left])
def tell_the_first_page(key: str, **kwargs: Any) -> None:
    if key in IndexView.KEYS.values():
        presence.broadcast(IndexView.presence_key, "moved", key)
