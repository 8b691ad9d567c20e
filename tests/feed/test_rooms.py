from __future__ import annotations

import pytest
from django.test import AsyncClient

from tests.feed.pages import opened

pytestmark = pytest.mark.usefixtures("any_backend", "quiet_presence")


def of(name: str) -> AsyncClient:
    client = AsyncClient()
    client.cookies["user"] = name
    return client


async def test_two_pages_see_each_other_come_and_go() -> None:
    async with opened(of("ada")) as ada:
        await ada.join("site")
        assert ada.names("site") == ["ada"]
        async with opened(of("grace")) as grace:
            await grace.join("site")
            assert grace.names("site") == ["ada", "grace"]
            await ada.until_names("site", "ada", "grace")
            assert ada.counts["site"] == 2
            await grace.say("leave", "site")
            await ada.until_names("site", "ada")
