"""The user of an open page through its access checks: what middleware of real packages and other user models make of it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request

import pytest
from django.contrib.auth.models import User

from djust_presence.hosts.users import refresh_user
from tests.live_pages import LivePage, Person
from tests.servers import SiteServer

SETTINGS = "tests.live.access_site"
NOTE = "tests.live.accounts.urls.note"
EMPLOYEES = "tests.live.accounts.backends.Employees"
CHECKS = 2  # that a page stays open for

PACKAGES = {
    "otp": {
        "apps": ["django_otp", "django_otp.plugins.otp_static"],
        "middleware": ["django_otp.middleware.OTPMiddleware"],
    },
    "hijack": {"apps": ["hijack"], "middleware": ["hijack.middleware.HijackUserMiddleware"]},
    "impersonate": {
        "apps": ["impersonate"],
        "middleware": ["impersonate.middleware.ImpersonateMiddleware"],
    },
}
PACKAGED = "from django.contrib.auth.models import User\n" + "\n".join(
    f"User.objects.create_user({name!r}, password='secret', is_superuser={admin}, is_staff={admin})"
    for name, admin in (("ada", False), ("grace", True), ("edith", True), ("mary", False))
)
CREATED = {
    "ByUUID": "ByUUID.objects.create(username='ada')",
    "ByPhone": "ByPhone.objects.create(username='123')",
    "ByRelation": "ByRelation.objects.create(username=Badge.objects.create(pk=7))",
    "ByNumber": "ByNumber.objects.create(pk=7, username=42)",
    "Account": "Employee.objects.create(username='ada', office='Turin')",
}
NAMES = {"ByPhone": "123", "ByRelation": "7", "ByNumber": "42"}


class AccessSite(SiteServer):
    """A site with these settings, and the users that *script* makes."""

    def __init__(self, given: dict[str, Any], script: str) -> None:
        super().__init__({"DJANGO_SETTINGS_MODULE": SETTINGS, "ACCESS": json.dumps(given)})
        self.script = script
        # Deprecations in packages, and what Django says of a page that is not to be seen.
        self.allow(r"site-packages/(django_otp|hijack|impersonate)/")
        self.allow(r"^(Forbidden|Not Found|Bad Request): ")

    def start(self) -> Any:
        self.manage("migrate", "--verbosity", "0", "--run-syncdb")
        self.manage("shell", "--no-imports", "-c", self.script)
        return super().start()

    def sql(self, statement: str, *values: Any) -> None:
        with sqlite3.connect(self.variables["DB"], timeout=30) as connection:
            assert connection.execute(statement, values).rowcount
        connection.close()


@pytest.fixture(scope="module", params=PACKAGES)
def packaged(request: pytest.FixtureRequest) -> Iterator[AccessSite]:
    with AccessSite(PACKAGES[request.param], PACKAGED) as site:
        yield site


@pytest.fixture(scope="module", params=CREATED)
def modelled(request: pytest.FixtureRequest) -> Iterator[AccessSite]:
    given = {
        "AUTH_USER_MODEL": f"accounts.{request.param}",
        "middleware": [NOTE],
        "AUTHENTICATION_BACKENDS": ["django.contrib.auth.backends.ModelBackend", EMPLOYEES],
    }
    script = f"from tests.live.accounts.models import *\n{CREATED[request.param]}"
    with AccessSite(given, script) as site:
        site.model = request.param  # type: ignore[attr-defined]
        yield site


def post(person: Person, site: SiteServer, path: str, **data: Any) -> None:
    token = next(cookie.value for cookie in person.jar if cookie.name == "csrftoken")
    headers = {"X-CSRFToken": str(token), "Referer": site.url}
    with person._opener.open(Request(site.url + path, urlencode(data).encode(), headers)) as response:
        assert response.status == 200


class Watching:
    """An open page, and what its view says of its user."""

    def __init__(self, page: LivePage) -> None:
        self.page = page

    async def look(self) -> dict[str, Any]:
        answer = await self.page.call("look")
        assert answer["type"] == "ack", answer
        seen: dict[str, Any] = self.page.heard("seen")[-1]
        return seen

    async def after_checks(self) -> dict[str, Any]:
        """Return what the page says once the next CHECKS checks have passed."""
        before = (await self.look())["checks"]
        while (seen := await self.look())["checks"] < before + CHECKS:
            await asyncio.sleep(0.1)
        return seen

    async def closed(self) -> int | None:
        await self.page.until(lambda: self.page.close_code is not None)
        return self.page.close_code


@asynccontextmanager
async def watching(site: SiteServer, person: Person, path: str) -> AsyncIterator[Watching]:
    async with LivePage(site, path, person) as page:
        yield Watching(page)


async def logged_in(site: SiteServer, name: str, query: str = "") -> Person:
    person = Person(site)
    await asyncio.to_thread(person.get, site, f"/log-in/{name}/{query}")
    return person


# django-otp, django-hijack, django-impersonate


@pytest.mark.parametrize("packaged", ["otp"], indirect=True)
async def test_a_user_verified_by_a_second_factor_stays_so_while_their_page_is_open(
    packaged: AccessSite,
) -> None:
    ada = await logged_in(packaged, "ada")
    await asyncio.to_thread(ada.get, packaged, "/verify/")
    async with watching(packaged, ada, "/verified/") as page:
        before = await page.look()
        assert before["verified"]
        packaged.sql("UPDATE auth_user SET first_name = 'Augusta', is_superuser = 1 WHERE username = 'ada'")
        after = await page.after_checks()
        assert after["verified"]
        assert after["same"]
        assert after["first_name"] == "Augusta"
        assert (before["may"], after["may"]) == (False, True)
        await asyncio.to_thread(ada.get, packaged, "/log-out/")
        assert await page.closed() == 4401


@pytest.mark.parametrize("packaged", ["hijack"], indirect=True)
async def test_a_hijacked_user_stays_hijacked_until_they_are_released(packaged: AccessSite) -> None:
    grace = await logged_in(packaged, "grace")
    await asyncio.to_thread(post, grace, packaged, "/hijack/acquire/", user_pk=1)
    async with watching(packaged, grace, "/hijacked/") as page:
        after = await page.after_checks()
        assert after["username"] == "ada"
        assert after["is_hijacked"]
        assert after["same"]
        packaged.sql("UPDATE auth_user SET first_name = 'Augusta' WHERE username = 'ada'")
        after = await page.after_checks()
        assert (after["first_name"], after["is_hijacked"]) == ("Augusta", True)
        await asyncio.to_thread(grace.get, packaged, "/watch/")  # the token has changed with the log-in
        await asyncio.to_thread(post, grace, packaged, "/hijack/release/")
        assert await page.closed() == 4401
    async with watching(packaged, grace, "/watch/") as page:
        after = await page.after_checks()
        assert (after["username"], after["is_hijacked"]) == ("grace", False)


@pytest.mark.parametrize("packaged", ["hijack"], indirect=True)
async def test_a_hijacker_who_logs_out_is_gone(packaged: AccessSite) -> None:
    grace = await logged_in(packaged, "grace")
    await asyncio.to_thread(post, grace, packaged, "/hijack/acquire/", user_pk=1)
    async with watching(packaged, grace, "/hijacked/") as page:
        await page.after_checks()
        await asyncio.to_thread(grace.get, packaged, "/log-out/")
        assert await page.closed() == 4401


@pytest.mark.parametrize("packaged", ["impersonate"], indirect=True)
async def test_an_impersonated_user_stays_so_until_that_is_stopped(packaged: AccessSite) -> None:
    grace = await logged_in(packaged, "grace")
    await asyncio.to_thread(grace.get, packaged, "/impersonate/1/")
    async with watching(packaged, grace, "/impersonated/") as page:
        packaged.sql("UPDATE auth_user SET first_name = 'Augusta' WHERE username = 'ada'")
        after = await page.after_checks()
        assert after["username"] == "ada"
        assert after["is_impersonate"]
        assert after["same"]
        assert after["first_name"] == "Augusta"
        await asyncio.to_thread(grace.get, packaged, "/impersonate/stop/")
        assert await page.closed() == 4401
    async with watching(packaged, grace, "/watch/") as page:
        after = await page.after_checks()
        assert (after["username"], after["is_impersonate"]) == ("grace", False)


@pytest.mark.parametrize("packaged", ["impersonate"], indirect=True)
@pytest.mark.parametrize(
    "what", ["logs out", "is deactivated", "gets another password", "takes over another"]
)
async def test_an_impersonation_ends_with_the_rights_of_the_impersonator(
    packaged: AccessSite, what: str
) -> None:
    edith = await logged_in(packaged, "edith")
    await asyncio.to_thread(edith.get, packaged, "/impersonate/1/")
    async with watching(packaged, edith, "/impersonated/") as page:
        await page.after_checks()
        match what:
            case "logs out":
                await asyncio.to_thread(edith.get, packaged, "/log-out/")
            case "is deactivated":
                packaged.sql("UPDATE auth_user SET is_active = 0 WHERE username = 'edith'")
            case "gets another password":
                packaged.sql("UPDATE auth_user SET password = 'other' WHERE username = 'edith'")
            case "takes over another":
                await asyncio.to_thread(edith.get, packaged, "/impersonate/stop/")
                await asyncio.to_thread(edith.get, packaged, "/impersonate/4/")
        assert await page.closed() == 4401
    packaged.sql("UPDATE auth_user SET is_active = 1 WHERE username = 'edith'")


# Other user models


async def test_a_user_of_any_model_is_refreshed_in_place(modelled: Any) -> None:
    ada = await logged_in(modelled, NAMES.get(modelled.model, "ada"))
    table = f"accounts_{modelled.model.lower()}"
    async with watching(modelled, ada, "/watch/") as page, watching(modelled, ada, "/quiet/") as quiet:
        before = await page.look()
        assert before["greeting"] == "Hello "
        modelled.sql(f"UPDATE {table} SET first_name = 'Augusta'")
        try:
            after = await page.after_checks()
            changed = {"first_name": "Augusta", "greeting": "Hello Augusta", "checks": after["checks"]}
            assert after == before | changed
            assert after["note"] == "by middleware"
            assert after["same"]
            assert (await quiet.look())["first_name"] == "Augusta"
            modelled.sql(f"UPDATE {table} SET is_active = 0")
            assert [await page.closed(), await quiet.closed()] == [4401, 4401]
        finally:
            modelled.sql(f"UPDATE {table} SET is_active = 1, first_name = ''")


@pytest.mark.parametrize("modelled", ["Account"], indirect=True)
@pytest.mark.parametrize("kind", ["Employee", "Member", "by backend"])
async def test_a_user_of_a_class_below_the_user_model_keeps_it(modelled: AccessSite, kind: str) -> None:
    ada = await logged_in(modelled, "ada", f"?backend={EMPLOYEES}" if kind == "by backend" else "")
    employee = kind != "Member"
    if kind != "by backend":
        await asyncio.to_thread(ada.get, modelled, f"/as/{kind}/")
    async with watching(modelled, ada, "/watch/") as page:
        before = await page.look()
        assert before["kind"] == ("Employee" if employee else "Member")
        assert before["deferred"] == ([] if kind == "by backend" else ["bio"])
        modelled.sql("UPDATE accounts_account SET first_name = 'Augusta'")
        modelled.sql("UPDATE accounts_employee SET office = 'Paris'")
        try:
            after = await page.after_checks()
            changed = {"first_name": "Augusta", "greeting": "Hello Augusta", "checks": after["checks"]}
            assert after == before | changed | ({"office": "Paris"} if employee else {})
        finally:
            modelled.sql("UPDATE accounts_account SET first_name = ''")
            modelled.sql("UPDATE accounts_employee SET office = 'Turin'")


def test_a_field_that_cannot_be_copied_is_refreshed_all_the_same() -> None:
    user, fresh = User(pk=1, username="ada"), User(pk=1, username="ada")
    fresh.first_name = memoryview(b"as some databases return binary fields")  # type: ignore[assignment]
    refresh_user(user, fresh)
    assert user.first_name is fresh.first_name
