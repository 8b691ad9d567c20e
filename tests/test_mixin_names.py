"""Names that belong to views, which the mixins leave alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.http import HttpRequest
from django.urls import path
from pytest_django import Settings

from djust_presence import LiveCursorMixin, LiveView, PresenceMixin, event_handler
from djust_presence.testing import presence
from tests.pages import Visitor, site

pytestmark = pytest.mark.urls(__name__)

COMMON = ("_count", "_track", "_watch", "_listen", "_encode", "_key", "_user", "_meta", "_session")


class Counting(LiveCursorMixin, LiveView):
    template_name = "counting.html"
    presence_key = "counting"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        for name in COMMON:
            setattr(self, name, 5)
        self.track_presence()

    @event_handler()
    def again(self) -> None:
        self.update_presence(color="red")
        self.untrack_presence()
        self.watch_presence()
        self.track_presence()
        self.push_event("kept", [getattr(self, name) for name in COMMON])


urlpatterns = [path("", Counting.as_view())]


@pytest.fixture(autouse=True)
async def nothing_is_left(settings: Settings) -> AsyncIterator[None]:
    for name, value in site({"counting.html": "{{ online_count }} here"}).items():
        setattr(settings, name, value)
    async with presence():
        yield


@pytest.mark.parametrize("mixin", [PresenceMixin, LiveCursorMixin])
def test_every_private_name_of_a_mixin_says_whose_it_is(mixin: type) -> None:
    ours = {name for kind in mixin.__mro__[:-1] for name in vars(kind) if not name.startswith("__")}
    private = {name for name in ours if name.startswith("_") and not name.startswith("_presence")}
    assert private == {"_on_presence_change", "_restore_presence"} | (private & {"_ws_consumer"})


async def test_a_view_may_call_its_own_attributes_what_it_likes() -> None:
    async with Visitor("ada").opens("/") as page:
        await page.until("1 here")
        await page.call("again")
        assert page.pushed("kept") == [[5] * len(COMMON)]
