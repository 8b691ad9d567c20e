"""The examples of the presence guide on djust's own views."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from tests.djust.pages import DjustVisitor, djust_site
from tests.guide.examples import TEMPLATES, GuideExamples
from tests.hosts import store

PAGES = {
    name: f"<!doctype html><html><body><div dj-root>{html}</div></body></html>"
    for name, html in TEMPLATES.items()
}


@pytest.mark.urls("tests.djust.guide_views")
@pytest.mark.django_db  # Channels looks after database connections at every frame
class TestDjustGuide(GuideExamples):
    visitor = DjustVisitor

    @pytest.fixture(params=["memory", "redis"])
    def site(self, request: pytest.FixtureRequest, settings: Settings) -> None:
        for name, value in (djust_site(PAGES) | store(request)).items():
            setattr(settings, name, value)
        settings.DJUST_PRESENCE |= {"GRACE": 0.05}
