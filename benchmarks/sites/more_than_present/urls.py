"""The address of the log-in."""

from __future__ import annotations

from django.contrib.auth import login
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import path


def log_in(request: HttpRequest, name: str) -> HttpResponse:
    user, _ = User.objects.get_or_create(username=name)
    login(request, user)
    return HttpResponse()


urlpatterns = [path("log-in/<name>/", log_in)]
