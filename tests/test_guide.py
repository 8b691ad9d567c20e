"""The examples of the presence guide on the built-in host."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from tests.guide.examples import TEMPLATES, GuideExamples
from tests.hosts import store
from tests.pages import Visitor, site


@pytest.mark.urls("tests.guide.views")
class TestGuide(GuideExamples):
    visitor = Visitor

    @pytest.fixture(params=["memory", "redis"])
    def site(self, request: pytest.FixtureRequest, settings: Settings) -> None:
        for name, value in (site(TEMPLATES) | store(request)).items():
            setattr(settings, name, value)
        settings.DJUST_PRESENCE |= {"GRACE": 0.05}

    async def test_tabs_that_count_singly_need_no_session(self) -> None:
        visitor = Visitor()
        async with visitor.opens("/each-tab/") as page:
            await page.until("1 online")
        assert "sessionid" not in visitor.client.cookies
