"""The interface between the contract and a host: browsers, pages, and the times of the tests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from django.conf import settings
from django.test import override_settings

from ..ending import presence
from .page import HostPage

__all__ = ["EARLY", "GRACE", "LOST_GRACE", "HostSuite"]

GRACE, LOST_GRACE = 1.0, 2.0
EARLY = 0.2  # seconds by which clocks may differ

PARTS = {"each-tab", "online", "render", "session"}  # parts of the contract that a host may lack


class HostSuite(ABC):
    """The methods to override, and the fixtures of each part of the contract."""

    lacks: Mapping[str, str] = {}

    @abstractmethod
    async def browser(self, user: str | None = None) -> Any:
        """Return a new browser, in which "ada", "grace" or nobody is logged in: an object of your own."""

    @abstractmethod
    def page(
        self, browser: Any, room: str, kind: str = "room", params: Mapping[str, str] | None = None
    ) -> HostPage:
        """Return a page of *browser*, not opened yet. *params* are additions of its client, such as a query."""

    def session_key(self, browser: Any) -> str:
        """Return the key of the Django session of a browser that has opened a page."""
        raise NotImplementedError("Override session_key(), or say in `lacks` why there is none.")

    async def render(self, browser: Any, room: str) -> str:
        """Return the HTML of a page of a room, as it comes over HTTP."""
        raise NotImplementedError("Override render(), or say in `lacks` why there is none.")

    @pytest.fixture  # noqa: B027
    def site(self) -> None:
        """The site of the pages. Override it to prepare its settings."""

    @pytest_asyncio.fixture(autouse=True)
    async def quick_site(self, site: None) -> AsyncIterator[None]:
        """The site with short times. After the test nobody is present."""
        ours = {**getattr(settings, "DJUST_PRESENCE", {}), "GRACE": GRACE, "LOST_GRACE": LOST_GRACE}
        with override_settings(DJUST_PRESENCE=ours):
            async with presence():
                yield

    @asynccontextmanager
    async def joined(self, user: str, room: str = "tea") -> AsyncIterator[HostPage]:
        """Open a page of *user* in a new browser, and wait until the user is in the group."""
        async with self.page(await self.browser(user), room) as page:
            await page.until_told("join", user)
            yield page

    def needs(self, part: str) -> None:
        if part in self.lacks:
            pytest.skip(self.lacks[part])

    def test_what_the_host_lacks_is_a_part_of_the_contract(self) -> None:
        assert self.lacks.keys() <= PARTS
