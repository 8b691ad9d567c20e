"""A page that gives its visitor a session."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

__all__ = ["begin"]


def begin(request: HttpRequest) -> HttpResponse:
    request.session["visits"] = 1
    return HttpResponse()
