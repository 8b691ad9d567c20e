"""With DEBUG, pages of djust with our tags get no advice that no live view serves them."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpRequest
from django.urls import path
from djust import LiveView
from pytest_django import Settings

from djust_presence import LiveCursorMixin
from tests.checked import presence_checks
from tests.djust.pages import DjustVisitor, djust_site

# Channels looks after database connections at every frame.
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

BOARD = """{% load djust_presence %}<!doctype html><html><body><div dj-root>{% load djust_presence %}
{% live_cursors %}<div>{% live %}{{ online_count }} here{% endlive %}</div>{% endlive_cursors %}</div></body></html>"""


class Board(LiveCursorMixin, LiveView):
    template_name = "board.html"
    presence_key = "board"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()


urlpatterns = [path("board/", Board.as_view())]


async def test_nothing_is_said_of_a_page_of_djust(settings: Settings) -> None:
    for name, value in djust_site({"board.html": BOARD}).items():
        setattr(settings, name, value)
    settings.DEBUG = True
    html = await DjustVisitor("ada").get("/board/")
    assert "1 here" in html
    assert "data-advice" not in html
    assert not [one for one in presence_checks() if one.id in ("djust_presence.W008", "djust_presence.W005")]
