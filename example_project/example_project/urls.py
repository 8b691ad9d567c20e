"""The addresses of the pages."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [path("presence/", include("djust_presence.urls")), path("", include("demo.urls"))]
