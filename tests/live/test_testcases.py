"""Live pages in the tests of those who use them: Django's test cases, pytest-django, and as the docs show it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient, TestCase, TransactionTestCase
from django.urls import include, path
from pytest_django import Settings

from djust_presence import LiveView, PresenceMixin, event_handler
from djust_presence.testing import EventRefused, LivePage
from tests.mysite import Mysite

GUIDE = "docs/how-to/test-live-views.md"


@pytest.fixture(autouse=True)
def urls(pages: None, settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__


class People(PresenceMixin, LiveView):
    """Shows all users, and writes new ones."""

    presence_key = "people"
    presence_unique_per_connection = True
    template_name = "live/people.html"

    def mount(self, request, **kwargs):  # type: ignore[no-untyped-def]
        self.track_presence()

    def get_context_data(self, **kwargs):  # type: ignore[no-untyped-def]
        names = User.objects.order_by("username").values_list("username", flat=True)
        return super().get_context_data(names=list(names), **kwargs)

    def handle_presence_join(self, presence):  # type: ignore[no-untyped-def]
        self.push_event("joined", presence["name"])

    @event_handler()
    def add(self, name: str) -> None:
        User.objects.create(username=name)

    @event_handler()
    async def aadd(self, name: str) -> None:
        await User.objects.acreate(username=name)

    @event_handler()
    def tell(self, text: str) -> None:
        self.broadcast_to_presence("told", {"text": text, "thread": threading.current_thread().name})


class Strict(People):
    def mount(self, request, **kwargs):  # type: ignore[no-untyped-def]
        if self._live:
            raise RuntimeError("only over HTTP")


class Tenants(People):
    def get_context_data(self, **kwargs):  # type: ignore[no-untyped-def]
        return {"names": [self.request.headers["x-tenant"], str(self.request.is_secure())]}


class Table(People):
    template_name = "live/table.html"


urlpatterns = [
    path("table/", Table.as_view()),
    path("people/", People.as_view()),
    path("strict/", Strict.as_view()),
    path("tenants/", Tenants.as_view()),
    path("", include("tests.live.urls")),
]


async def use(client: AsyncClient) -> str:
    """Use two pages, and for a moment a third; return the thread in which a handler ran."""
    await User.objects.acreate(username="ada")
    await client.aforce_login(await User.objects.aget(username="ada"))
    pages = LivePage("/people/", client), LivePage("/people/")
    async with pages[0] as page, pages[1] as other:
        await page.until("2 online", "ada")
        await page.event("add", name="grace")
        assert "ada grace" in page.html
        await page.event("aadd", name="alan")
        assert "ada alan grace" in page.html
        async with LivePage("/people/") as third:
            await other.until("3 online", "ada alan grace")
            await asyncio.gather(
                *(one.event("add", name=f"n{n}") for n, one in enumerate((page, other, third)))
            )
        await other.event("tell", text="hello")
        ((told,)) = await page.broadcasts("told")
        assert told["text"] == "hello"
        assert "ada" in await page.pushed("joined")
    assert await User.objects.acount() == 6
    thread: str = told["thread"]
    return thread


class InATestCase(TestCase):
    async def test_live_pages_are_in_the_transaction(self) -> None:
        assert await use(self.async_client) == await sync_to_async(thread_name)()

    async def test_the_transaction_of_a_live_page_is_rolled_back(self) -> None:
        await self.test_live_pages_are_in_the_transaction()

    def test_from_sync_code(self) -> None:
        async_to_sync(use)(self.async_client)


class InATransactionTestCase(TransactionTestCase):
    async def test_live_pages_see_what_is_there(self) -> None:
        await use(self.async_client)

    def test_they_have_threads_of_their_own_in_a_loop_of_their_own(self) -> None:
        assert asyncio.run(use(self.async_client)).startswith("djust_presence")


def test_within_the_transaction_of_pytest_django(db: None) -> None:
    assert async_to_sync(use)(AsyncClient()) == thread_name()


def test_and_that_is_rolled_back(db: None) -> None:
    assert not User.objects.count()


async def test_without_a_transaction(transactional_db: None) -> None:
    assert (await use(AsyncClient())).startswith("djust_presence")


def thread_name() -> str:
    return threading.current_thread().name


# LivePage


async def test_an_event_that_is_refused_is_an_error_with_its_code(transactional_db: None) -> None:
    async with LivePage("/people/") as page:
        with pytest.raises(EventRefused, match="no such event handler") as error:
            await page.event("delete")
        assert error.value.code == "unknown-event"


async def test_a_missing_frame_is_a_failure(transactional_db: None) -> None:
    async with LivePage("/people/", timeout=1) as page:
        with pytest.raises(AssertionError, match=r"/people/ does not show \('2 online',\).*1 online"):
            await page.until("2 online")


async def test_live_regions_change_in_the_page_that_came_over_http(transactional_db: None) -> None:
    async with LivePage("/regions/") as page:
        await page.event("add", amount=2)
        assert page.html.startswith("<html><body>")
        assert page.html.count("<live-region") == 4
        assert "<b>2 inside</b></live-region>" in page.html
        assert "<i>0</i>" in page.html  # which is not live
        assert await page.pushed("added") == [{"amount": 2}]
    async with LivePage("/optional/") as page:
        assert "first" not in page.html
        await page.event("add")
        assert page.html.count("<live-region") == 2
        assert "first" in page.html


async def test_regions_that_are_elements_change_where_these_end(transactional_db: None) -> None:
    async with LivePage("/table/") as page:
        await page.event("add", name="Ada")
        await page.event("add", name="Eve")
        inner = "<table><tr><td>{}</table>"
        rows = "".join(f"<tr><td>{inner.format(name)}" for name in ("Ada", "Eve"))
        assert f' live-region="live-1">{rows}</tbody><tr><td>end</table>' in page.html
        assert (
            ' live-region="live-2"><div>Ada</div><!-- </div> --><div>Eve</div><!-- </div> --></div>end'
            in page.html
        )


async def test_the_socket_has_the_headers_of_the_client(transactional_db: None) -> None:
    client = AsyncClient()
    client.defaults["X-Tenant"] = "acme"  # type: ignore[typeddict-unknown-key]
    async with LivePage("/tenants/", client) as page:
        assert "acme False" in page.html


async def test_a_log_out_closes_the_page(transactional_db: None) -> None:
    client = AsyncClient()
    await client.aforce_login(await User.objects.acreate(username="ada"))
    async with LivePage("/people/", client) as page:
        await client.alogout()
        assert await page.until_closed() == 4401
        with pytest.raises(AssertionError, match="closed with 4401"):
            await page.event("add", name="grace")


@pytest.mark.parametrize(("path", "failure"), [("/none/", "answers 404"), ("/strict/", "closed with 4500")])
async def test_a_page_that_is_not_live_is_a_failure(transactional_db: None, path: str, failure: str) -> None:
    with pytest.raises(AssertionError, match=failure):
        async with LivePage(path):
            pass


# As the docs show it


def test_the_guide_to_testing_works_to_the_letter(tmp_path: Path) -> None:
    mysite = Mysite(tmp_path)
    mysite.start_project("guestbook")
    mysite.follow(GUIDE)  # among its commands are both test runs
    assert "3 passed" in mysite.run("-W", "error", "-m", "pytest", "guestbook/tests.py")
