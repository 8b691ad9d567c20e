"""The URLs of the test suite. Tests that need pages of their own use ``@pytest.mark.urls``."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = []
