"""URLs of presence on any page: ``path("presence/", include("djust_presence.urls"))``."""

from __future__ import annotations

from django.urls import path

from .feed import views

__all__ = ["app_name", "urlpatterns"]

app_name = "djust_presence"
urlpatterns = [
    path("", views.feed, name="feed"),
    path("ticket/", views.ticket, name="ticket"),
]
