"""A shared Chromium, and pages that may not log an error, throw, or violate the content security policy."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    BrowserType,
    ConsoleMessage,
    Error,
    Page,
    async_playwright,
)

from tests.browser.harness import Site
from tests.browser.harness.libraries import libraries
from tests.servers import find_chromium

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--in-process-gpu",  # a page takes a sixth less of the processor without a process for it
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Playwright's objects live in one loop, so all tests here share the session's."""
    for item in items:
        if "tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


async def launch(chromium: BrowserType, *arguments: str, whole: bool = False, **options: Any) -> Browser:
    """The machine's own Chromium, else the one that Playwright has installed. Without any the test fails.

    The headless shell will do, unless the test needs what only a *whole* browser has: a back/forward cache.
    """
    path = find_chromium(whole=whole)
    if whole and not path:
        options["channel"] = "chromium"
    try:
        return await chromium.launch(executable_path=path, args=(*CHROMIUM_ARGUMENTS, *arguments), **options)
    except Error as error:
        pytest.fail(
            f"These tests need Chromium: put it on PATH, or run `playwright install chromium`.\n{error}",
            pytrace=False,
        )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One headless Chromium for the whole run. Every page has a context, and with it cookies, of its own."""
    async with async_playwright() as playwright:
        browser = await launch(playwright.chromium)
        yield browser
        await browser.close()


class NewPage:
    """Opens pages and remembers what went wrong in them.

    ``await new_page()`` is a page of another person, ``await new_page(context=page.context)`` a second tab of the
    same one. ``new_page.allow(pattern)`` expects a problem: a regular expression, searched in its text.
    """

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.problems: list[str] = []
        self._allowed: list[str] = []
        self._contexts: list[BrowserContext] = []

    async def __call__(self, context: BrowserContext | None = None, **options: Any) -> Page:
        if context is None:
            context = await self.browser.new_context(**options)
            self._contexts.append(context)
        page = await context.new_page()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        page.on("crash", lambda page: self.problems.append(f"crashed: {page.url}"))
        return page

    def allow(self, pattern: str) -> None:
        self._allowed.append(pattern)

    @property
    def unexpected(self) -> list[str]:
        """Problems that nobody has allowed. Chromium reports a violated policy as a console error."""
        return [
            problem
            for problem in self.problems
            if not any(re.search(pattern, problem) for pattern in self._allowed)
        ]

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(f"console: {message.text} ({message.location['url']})")

    async def close(self) -> None:
        for context in self._contexts:
            await context.close()


@asynccontextmanager
async def watched_pages(browser: Browser) -> AsyncIterator[NewPage]:
    """A factory of pages. The block fails if one of them logged an error, threw, or violated its policy."""
    pages = NewPage(browser)
    try:
        yield pages
    finally:
        await pages.close()
    assert not pages.unexpected, "\n".join(pages.unexpected)


@pytest_asyncio.fixture(loop_scope="session")
async def new_page(browser: Browser) -> AsyncIterator[NewPage]:
    """The `watched_pages` of a test. A test names its server first: what is set up before the pages outlives them."""
    async with watched_pages(browser) as pages:
        yield pages


@pytest_asyncio.fixture(loop_scope="session")
async def page(new_page: NewPage) -> Page:
    """One page, watched like all of `new_page`."""
    return await new_page()


@pytest_asyncio.fixture(loop_scope="session")
async def site() -> AsyncIterator[Site]:
    """A site of one page, whose socket the test plays."""
    site = Site()
    await site.start()
    yield site
    await site.stop()


@pytest.fixture
def use(site: Site) -> Callable[..., None]:
    """Put libraries into the head of the site's pages, deferred as their own documentation says."""

    def use(*names: str) -> None:
        site.static |= libraries()
        site.head += "".join(f'<script defer src="/static/{name}"></script>' for name in names)

    return use
