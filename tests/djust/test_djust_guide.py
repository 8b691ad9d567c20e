"""The examples of the presence guide on djust's own views, as they stand there but for where the mixin is from."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.urls import path
from djust import LiveView
from pytest_django import Settings

from djust_presence import PresenceMixin
from tests.djust.pages import DjustVisitor, djust_site

# Channels looks after database connections at every frame.
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

TEMPLATES = {
    "demo.html": """<span class="presence-chip">{{ online_count }} online</span>
""",
    "document.html": """<div class="presence-bar">
{{ online_count }} users online
{% for p in presences %}
<span class="avatar" style="background: {{ p.color }}">
{{ p.name.0 }}
</span>
{% endfor %}
</div>
""",
    "chat.html": """<aside class="sidebar">
<h3>Online ({{ online_count }})</h3>
<ul class="user-list">
{% for user in online_users %}
<li>
<img src="{{ user.avatar }}" alt="{{ user.name }}">
<span>{{ user.name }}</span>
</li>
{% endfor %}
</ul>
</aside>
""",
}
PAGES = {
    name: f"<!doctype html><html><body><div dj-root>{html}</div></body></html>"
    for name, html in TEMPLATES.items()
}


class DemoView(PresenceMixin, LiveView):
    template_name = "demo.html"
    presence_key = "demo"
    # For anonymous-tab demos where two browser tabs of one user should
    # count as two presences (not collapse to one), opt in below:
    # presence_unique_per_connection = True

    def mount(self, request, **kwargs):  # type: ignore[no-untyped-def]
        self.track_presence()


class EachTabView(DemoView):
    presence_unique_per_connection = True  # anonymous tabs count distinctly


class DocumentView(PresenceMixin, LiveView):
    template_name = "document.html"
    presence_key = "document:{doc_id}"

    def mount(self, request, **kwargs):  # type: ignore[no-untyped-def]
        self.doc_id = kwargs.get("doc_id")
        self.track_presence(
            meta={
                "name": request.user.username,
                "color": "#6c63ff",
            }
        )

    def get_context_data(self, **kwargs):  # type: ignore[no-untyped-def]
        ctx = super().get_context_data(**kwargs)
        ctx["presences"] = self.list_presences()
        # `online_count` is already on `self` (v1.0.0rc12+); the
        # imperative `presence_count()` method is still available too.
        return ctx

    def handle_presence_join(self, presence):  # type: ignore[no-untyped-def]
        self.push_event("flash", {"message": f"{presence['name']} joined"})

    def handle_presence_leave(self, presence):  # type: ignore[no-untyped-def]
        self.push_event("flash", {"message": f"{presence['name']} left"})


class ChatView(PresenceMixin, LiveView):
    template_name = "chat.html"
    presence_key = "chat:{room_id}"

    def mount(self, request, **kwargs):  # type: ignore[no-untyped-def]
        self.room_id = kwargs.get("room_id")
        self.track_presence(
            meta={
                "name": request.user.username,
                "avatar": request.user.profile.avatar_url,
            }
        )

    def get_context_data(self, **kwargs):  # type: ignore[no-untyped-def]
        ctx = super().get_context_data(**kwargs)
        ctx["online_users"] = self.list_presences()
        ctx["online_count"] = self.presence_count()
        return ctx


urlpatterns = [
    path("demo/", DemoView.as_view()),
    path("each-tab/", EachTabView.as_view()),
    path("document/<int:doc_id>/", DocumentView.as_view()),
    path("chat/<slug:room_id>/", ChatView.as_view()),
]


@pytest.fixture(params=["memory", "redis"], autouse=True)
def guide_site(request: pytest.FixtureRequest, settings: Settings) -> None:
    for name, value in djust_site(PAGES).items():
        setattr(settings, name, value)
    ours: dict[str, Any] = {"GRACE": 0.05}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    if request.param == "redis":
        url = request.getfixturevalue("valkey_url")
        settings.CHANNEL_LAYERS = {
            "default": {
                "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
                "CONFIG": {"hosts": [url], "prefix": f"guide-{url[-4:]}"},
            }
        }
        ours |= {"BACKEND": "redis", "LOCATION": url}
    settings.DJUST_PRESENCE = ours


async def test_the_minimal_view_counts_browsers() -> None:
    one, two = DjustVisitor(), DjustVisitor()
    assert "0 online" in await one.get("/demo/")
    async with one.opens("/demo/") as first:
        await first.until("1 online")
        while "1 online" not in await two.get("/demo/"):  # the store is told after the page is live
            await asyncio.sleep(0.01)
        async with two.opens("/demo/") as second:
            await second.until("2 online")
            await first.until("2 online")
        await first.until("1 online")


async def test_two_tabs_of_one_browser_count_once() -> None:
    one, other = DjustVisitor(), DjustVisitor()
    async with one.opens("/demo/") as first, one.opens("/demo/") as second, other.opens("/demo/") as third:
        for page in (first, second, third):
            await page.until("2 online")
    assert all("3 online" not in str(page.frames) for page in (first, second, third))


async def test_tabs_count_singly_where_the_view_says_so() -> None:
    visitor = DjustVisitor()
    async with visitor.opens("/each-tab/") as first:
        async with visitor.opens("/each-tab/") as second:
            await first.until("2 online")
            await second.until("2 online")
        await first.until("1 online")


async def test_the_document_shows_who_has_it_open_and_tells_of_comings_and_goings() -> None:
    ada, grace, guest = DjustVisitor("ada"), DjustVisitor("grace"), DjustVisitor()
    async with ada.opens("/document/42/") as first:
        assert await first.until_pushed("flash") == [{"message": "ada joined"}]
        async with grace.opens("/document/42/") as second, guest.opens("/document/43/"):
            await second.until("2 users online")
            assert await second.until_pushed("flash") == [{"message": "grace joined"}]
            html = await first.until("2 users online")
            assert html.count('class="avatar"') == html.count("#6c63ff") == 2
        await first.until("1 users online")
        flashes = [{"message": f"{what}"} for what in ("ada joined", "grace joined", "grace left")]
        assert await first.until_pushed("flash", 3) == flashes


async def test_a_guest_in_the_document_has_a_name() -> None:
    async with DjustVisitor().opens("/document/42/") as page:
        await page.until("1 users online")
        assert await page.until_pushed("flash") == [{"message": "Guest joined"}]


async def test_the_chat_room_shows_avatars() -> None:
    ada, grace = DjustVisitor("ada"), DjustVisitor("grace")
    async with ada.opens("/chat/tea/") as first, grace.opens("/chat/tea/"):
        html = await first.until("Online (2)", ">grace</span>")
        assert 'src="/ada.png"' in html
        assert 'src="/grace.png"' in html
