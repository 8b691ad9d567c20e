"""djust's tenants: users of one never see users of another, however a view gets its key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpRequest
from django.urls import path
from djust import LiveView
from djust.presence import tenant_scoped_presence_key
from djust.tenants import TenantMixin
from djust.tenants.resolvers import TenantInfo
from pytest_django import Settings

from djust_presence import PresenceMixin
from djust_presence import presence as facade
from tests.djust.pages import DjustVisitor, djust_site
from tests.until import until_equal

# Channels looks after database connections at every frame.
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

PAGE = """<!doctype html><html><body><div dj-root>
<p>{{ online_count }} here:{% for p in presences %} [{{ p.name }}]{% endfor %}</p>
</div></body></html>"""


class Document:
    """The tenant is who is logged in; a visitor has none."""

    template_name: str | None = "document.html"
    presence_key: str | None = "document:{doc_id}"
    tenant_required = False
    request: Any

    def resolve_tenant(self, request: HttpRequest) -> TenantInfo | None:
        return TenantInfo(request.user.username) if request.user.is_authenticated else None

    def mount(self, request: HttpRequest, doc_id: str = "", **kwargs: Any) -> None:
        self.doc_id = doc_id
        self.track_presence()  # type: ignore[attr-defined]

    def get_context_data(self, **kwargs: Any) -> Any:
        context = super().get_context_data(**kwargs)  # type: ignore[misc]
        context["presences"] = self.list_presences()  # type: ignore[attr-defined]
        return context


class Overridden(Document):
    def get_presence_key(self) -> str:
        return f"document:{self.doc_id}"


class PresenceFirst(Document, PresenceMixin, TenantMixin, LiveView):
    pass


class TenantFirst(Document, TenantMixin, PresenceMixin, LiveView):
    pass


class OverriddenPresenceFirst(Overridden, PresenceMixin, TenantMixin, LiveView):
    pass


class OverriddenTenantFirst(Overridden, TenantMixin, PresenceMixin, LiveView):
    pass


VIEWS: dict[str, Any] = {
    view.__name__: view
    for view in (PresenceFirst, TenantFirst, OverriddenPresenceFirst, OverriddenTenantFirst)
}
urlpatterns = [path(f"{name}/<str:doc_id>/", view.as_view()) for name, view in VIEWS.items()]


@pytest.fixture(autouse=True)
def tenants(settings: Settings, said: list[str]) -> Iterator[None]:
    for name, value in djust_site({"document.html": PAGE}).items():
        setattr(settings, name, value)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    settings.DJUST_PRESENCE = {"GRACE": 0.05}
    yield
    said[:] = [line for line in said if "value: TenantInfo" not in line]  # djust, of its own context


@pytest.mark.parametrize("view", VIEWS)
async def test_nobody_of_another_tenant_is_seen(view: str) -> None:
    async with DjustVisitor("ada").opens(f"/{view}/1/") as ada:
        await ada.until("1 here", "[ada]")
        assert "1 here" in (html := await DjustVisitor("grace").get(f"/{view}/1/"))
        assert "[ada]" not in html
        async with (
            DjustVisitor("grace").opens(f"/{view}/1/") as grace,
            DjustVisitor("ada").opens(f"/{view}/1/"),
        ):
            await grace.until("1 here", "[grace]")
            await stored("tenant:ada:document:1", "ada x2")
            await stored("tenant:grace:document:1", "grace x1")
        await stored("tenant:ada:document:1", "ada x1")
        assert await facade.acount("document:1") == 0
    assert "grace" not in str(ada.frames)
    assert "ada" not in re.findall(r"\w+", str(grace.frames))  # an id in hexadecimal may have these letters


@pytest.mark.parametrize("view", VIEWS)
async def test_a_page_without_a_tenant_sees_those_without_one(view: str) -> None:
    async with DjustVisitor().opens(f"/{view}/1/") as page:
        await page.until("1 here", "[Guest]")
        await stored("document:1", "Guest x1")


async def stored(key: str, *users: str) -> None:
    async def here() -> list[str]:
        return [f"{one['name']} x{one['connections']}" for one in await facade.alist(key)]

    await until_equal(here, list(users), 5)


def view_of(kind: type, tenant: str) -> Any:
    view = kind()
    view.tenant = TenantInfo(tenant)
    view.doc_id = "1"
    return view


def test_a_key_is_that_of_djusts_own_mixin() -> None:
    for kind in (PresenceFirst, TenantFirst):
        view = view_of(kind, "acme")
        assert view.get_presence_key() == tenant_scoped_presence_key(view, "document:1")
        assert view._presence.checked_key() == view.get_presence_key() == "tenant:acme:document:1"


def test_a_key_that_begins_like_another_tenants_is_of_ones_own() -> None:
    view = view_of(PresenceFirst, "acme")
    view.presence_key = "tenant:other:{doc_id}"
    assert view._presence.checked_key() == "tenant:acme:tenant:other:1"


def test_a_view_of_a_class_without_a_key_has_a_tenant_all_the_same() -> None:
    view = view_of(PresenceFirst, "acme")
    view.presence_key = None
    assert view.get_presence_key() == f"tenant:acme:{__name__}.PresenceFirst"
