"""Live views of templates that a test writes, with what a refresh of theirs renders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import RequestFactory
from pytest_django import Settings

from djust_presence.live.rendering import Shown, render

from . import views

Show = Callable[..., "Showing"]


class Tally:
    """Counts how often a template has shown it."""

    def __init__(self) -> None:
        self.times = 0

    def __str__(self) -> str:
        self.times += 1
        return ""


class Showing:
    """A view whose page is live."""

    def __init__(self, view: views.Counter) -> None:
        self.view = view
        self.page = render(view, "a-token")
        self.shown = Shown(self.page)
        self.first = dict(self.shown.first())

    @property
    def html(self) -> str:
        return self.page.html

    def refresh(self, **attributes: Any) -> dict[str, str]:
        vars(self.view).update(attributes)
        return dict(self.shown.refresh(self.view))


@pytest.fixture
def show(settings: Settings) -> Show:
    """Show the template ``page``; the keyword arguments are the source of it and of others."""

    def show(
        page: str,
        templates: dict[str, str] | None = None,
        view: type[views.Counter] = views.Counter,
        **attributes: Any,
    ) -> Showing:
        sources = {
            "page": page,
            "part": "<b>{{ count }}</b>",
            "base": "<body>{% block top %}top {{ count }}{% endblock %}|{% block main %}{% endblock %}</body>",
            **(templates or {}),
        }
        options: Any = django_settings.TEMPLATES[0]["OPTIONS"]
        settings.TEMPLATES = [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "context_processors": options["context_processors"],
                    "builtins": ["djust_presence.templatetags.djust_presence"],
                    "loaders": [
                        (
                            "django.template.loaders.cached.Loader",
                            [("django.template.loaders.locmem.Loader", sources)],
                        )
                    ],
                },
            }
        ]
        instance = view()
        instance.setup(RequestFactory().get("/page/"))
        instance.template_name = "page"
        instance.mount(instance.request)
        vars(instance).update(attributes)
        return Showing(instance)

    return show
