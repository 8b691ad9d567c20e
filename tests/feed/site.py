"""A site whose pages show presence by template tags, and readers of them."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django.template import engines
from django.test import RequestFactory
from django.urls import include, path, resolve
from django.views.generic import View

__all__ = ["ADA", "GRACE", "asked", "attributes", "rendered", "urlpatterns"]

ADA, GRACE = User(pk=7, username="ada"), User(pk=8, username="grace")


urlpatterns = [
    path("presence/", include("djust_presence.urls")),
    path("plain/", View.as_view()),
]


def asked(user: Any = None, session: Any = None, **headers: str) -> HttpRequest:
    """A request of *user*, or of a visitor with this *session*."""
    request = RequestFactory().get("/", headers=headers)
    request.resolver_match = resolve("/plain/", "tests.feed.site")
    request.user = user or AnonymousUser()
    request.session = {} if session is None else session
    return request


def rendered(source: str, request: HttpRequest | None = None, **context: Any) -> str:
    """Render the template *source* for *request*."""
    template = engines["django"].from_string("{% load djust_presence %}" + source)
    return str(template.render(context, request))


def attributes(markup: str, element: str) -> list[Mapping[str, str | None]]:
    """Return the attributes of each *element* in *markup*."""
    tags: Callable[[str], list[str]] = re.compile(rf"<{element}((?:\s+[\w-]+(?:=\"[^\"]*\")?)*)>").findall
    return [
        {
            name: html.unescape(value) if given else None
            for name, given, value in re.findall(r"([\w-]+)(=\"([^\"]*)\")?", attributes)
        }
        for attributes in tags(markup)
    ]
