"""Tests of the presence guide's examples, on any host."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from djust_presence.testing import presence

__all__ = ["TEMPLATES", "GuideExamples"]

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


class GuideExamples:
    """Override the fixture ``site``, and say who visits."""

    visitor: Any

    @pytest.fixture
    def site(self) -> None:
        """The settings of the site."""

    @pytest.fixture(autouse=True)
    async def nobody_is_left(self, site: None) -> AsyncIterator[None]:
        async with presence():
            yield

    async def test_the_minimal_view_counts_browsers(self) -> None:
        one, two = self.visitor(), self.visitor()
        assert "1 online" in await one.get("/demo/")
        async with one.opens("/demo/") as first:
            await first.until("1 online")
            while "2 online" not in await two.get("/demo/"):  # the store is told after the page is live
                await asyncio.sleep(0.01)
            async with two.opens("/demo/") as second:
                await second.until("2 online")
                await first.until("2 online")
            await first.until("1 online")

    async def test_two_tabs_of_one_browser_count_once(self) -> None:
        one, other = self.visitor(), self.visitor()
        async with (
            one.opens("/demo/") as first,
            one.opens("/demo/") as second,
            other.opens("/demo/") as third,
        ):
            for page in (first, second, third):
                await page.until("2 online")
        assert all("3 online" not in str(page.frames) for page in (first, second, third))

    async def test_tabs_count_singly_where_the_view_says_so(self) -> None:
        visitor = self.visitor()
        async with visitor.opens("/each-tab/") as first:
            async with visitor.opens("/each-tab/") as second:
                await first.until("2 online")
                await second.until("2 online")
            await first.until("1 online")

    async def test_the_document_shows_who_has_it_open_and_tells_of_comings_and_goings(self) -> None:
        ada, grace, guest = self.visitor("ada"), self.visitor("grace"), self.visitor()
        async with ada.opens("/document/42/") as first:
            assert await first.until_pushed("flash") == [{"message": "ada joined"}]
            async with grace.opens("/document/42/") as second, guest.opens("/document/43/"):
                await second.until("2 users online")
                assert await second.until_pushed("flash") == [{"message": "grace joined"}]
                html = await first.until("2 users online")
                assert html.count('class="avatar"') == html.count("#6c63ff") == 2
                assert re.findall(r">\s*(\w)\s*</span>", html) == ["a", "g"]
            await first.until("1 users online")
            flashes = [{"message": what} for what in ("ada joined", "grace joined", "grace left")]
            assert await first.until_pushed("flash", 3) == flashes

    async def test_a_guest_in_the_document_has_a_name(self) -> None:
        async with self.visitor().opens("/document/42/") as page:
            assert re.findall(r">\s*(\w)\s*</span>", await page.until("1 users online")) == ["G"]
            assert await page.until_pushed("flash") == [{"message": "Guest joined"}]

    async def test_the_chat_room_shows_avatars(self) -> None:
        ada, grace = self.visitor("ada"), self.visitor("grace")
        async with ada.opens("/chat/tea/") as first, grace.opens("/chat/tea/"):
            html = await first.until("Online (2)", ">grace</span>")
            for attribute, values in {"src": ["/ada.png", "/grace.png"], "alt": ["ada", "grace"]}.items():
                assert re.findall(rf'<img [^>]*{attribute}="([^"]*)"', html) == values
