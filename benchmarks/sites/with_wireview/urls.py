"""The page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path


def counter(request: HttpRequest, group: str, who: str) -> HttpResponse:
    return render(request, "with_wireview/page.html", {"group": group, "who": who})


urlpatterns = [path("counter/<group>/<who>/", counter)]
