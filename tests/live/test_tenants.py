"""Access checks of pages whose users and sessions are in a schema of their tenant, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.live_pages import LivePage, Person
from tests.servers import SiteServer

from .test_open_users import Watching, watching
from .test_postgres import PostgresServer, installed_postgres, variables

DATABASE = "tenants"
HOSTS = {"a": "127.0.0.1", "b": "localhost"}
# Both tenants have one user, with the same id.
SCRIPT = f"""
from django_tenants.utils import schema_context
from tests.live.tenants.models import Domain, Tenant
for schema, domain in {HOSTS}.items():
    tenant = Tenant.objects.create(schema_name=schema)
    Domain.objects.create(domain=domain, tenant=tenant, is_primary=True)
    with schema_context(schema):
        from django.contrib.auth.models import Group, User
        assert Group.objects.create(name="all").pk == 1
        assert User.objects.create_user({{"a": "ada", "b": "bea"}}[schema], password="secret").pk == 1
"""


class TenantsSite(SiteServer):
    def __init__(self, postgres: PostgresServer) -> None:
        self.postgres = postgres
        super().__init__(
            variables(postgres, DATABASE, {}) | {"DJANGO_SETTINGS_MODULE": "tests.live.tenants_site"}
        )
        self.allow(r"site-packages/django_tenants/")
        self.allow(r"^Not Found: ")

    def start(self) -> Any:
        self.manage("migrate_schemas", "--shared", "--run-syncdb", "--verbosity", "0")
        self.manage("shell", "--no-imports", "-c", SCRIPT)
        return super().start()

    def sql(self, statement: str) -> None:
        with self.postgres.connect(DATABASE) as connection:
            assert connection.execute(statement).rowcount


class Tenant(SiteServer):
    """The running *site* by the host of one of its tenants."""

    def __init__(self, site: SiteServer, host: str) -> None:
        self.site, self.host = site, host

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.site.port}"


@pytest.fixture(scope="module")
def site() -> Iterator[TenantsSite]:
    with installed_postgres() as postgres:
        postgres.run(f"CREATE DATABASE {DATABASE}")
        with TenantsSite(postgres) as site:
            yield site


@pytest.mark.parametrize("how", ["session", "token"])
async def test_a_visitor_is_checked_among_the_people_of_their_tenant(site: TenantsSite, how: str) -> None:
    tenants = {schema: Tenant(site, host) for schema, host in HOSTS.items()}
    paths = {"session": {"a": "/log-in/ada/", "b": "/log-in/bea/"}, "token": dict.fromkeys("ab", "/token/1/")}
    people = {}
    for schema, tenant in tenants.items():
        people[schema] = Person(tenant)
        await asyncio.to_thread(people[schema].get, tenant, paths[how][schema])
    async with (
        watching(tenants["a"], people["a"], "/watch/") as ada,
        watching(tenants["b"], people["b"], "/watch/") as bea,
        watching(tenants["a"], people["a"], "/quiet/") as quiet_ada,
        watching(tenants["b"], people["b"], "/quiet/") as quiet_bea,
    ):
        assert await names(ada, bea, quiet_ada, quiet_bea) == [("ada", ""), ("bea", "")] * 2
        site.sql("UPDATE a.auth_user SET first_name = 'Augusta'")
        await asyncio.gather(ada.after_checks(), bea.after_checks())
        assert await names(ada, bea, quiet_ada, quiet_bea) == [("ada", "Augusta"), ("bea", "")] * 2
        site.sql("UPDATE a.auth_user SET is_active = false")
        try:
            assert [await ada.closed(), await quiet_ada.closed()] == [4401, 4401]
            await bea.after_checks()
            assert await names(bea, quiet_bea) == [("bea", "")] * 2
            if how == "session":
                site.sql("DELETE FROM b.django_session")
                assert [await bea.closed(), await quiet_bea.closed()] == [4401, 4401]
        finally:
            site.sql("UPDATE a.auth_user SET is_active = true, first_name = ''")


async def names(*pages: Watching) -> list[tuple[str, str]]:
    seen = [await page.look() for page in pages]
    return [(one["username"], one["first_name"]) for one in seen]


class Reader(LivePage):
    """A page on which somebody is in the rooms of an ordinary page, by its own socket or by that of a live page."""

    async def open(self) -> None:
        html = await asyncio.to_thread(self.person.get, self.site, "/plain/")
        self.rooms = re.findall(r'<presence-room room="([^"]+)" ticket="([^"]+)"', html)
        await super().open()
        for room, ticket in self.rooms:
            await self.send(type="join", room=room, ticket=ticket, want={"list": True})
        await self.until(lambda: len(self.of("state")) == 2)

    async def until_refused(self, which: int, code: str) -> None:
        refusal = {"type": "refused", "room": self.rooms[which][0], "code": code}
        await self.until(lambda: refusal in self.frames)


@pytest.mark.parametrize("path", ["/presence/", "/quiet/", "/plainly-live/"])
async def test_rights_to_rooms_are_asked_in_the_tenant_of_their_page(site: TenantsSite, path: str) -> None:
    site.allow("Not Found: /presence/|Upgrade Required: /presence/")
    tenants = {schema: Tenant(site, host) for schema, host in HOSTS.items()}
    people = {schema: Person(tenant) for schema, tenant in tenants.items()}
    for schema, name in (("a", "ada"), ("b", "bea")):
        await asyncio.to_thread(people[schema].get, tenants[schema], f"/log-in/{name}/")
    try:
        async with (
            Reader(tenants["a"], path, people["a"]) as ada,
            Reader(tenants["b"], path, people["b"]) as bea,
        ):
            site.sql("DELETE FROM a.auth_group")
            await ada.until_refused(1, "gone")
            site.sql("UPDATE a.auth_user SET first_name = 'Out'")
            await ada.until_refused(0, "forbidden")
            site.sql("UPDATE a.auth_user SET is_active = false")
            await ada.until_closed()
            assert ada.close_code == 4401
            await asyncio.sleep(1)  # checks go on
            assert bea.of("refused") == []
            site.sql("DELETE FROM b.auth_group")
            await bea.until_refused(1, "gone")
    finally:
        site.sql("UPDATE a.auth_user SET is_active = true, first_name = ''")
        for schema in HOSTS:
            site.sql(
                f"INSERT INTO {schema}.auth_group VALUES (1, 'all') ON CONFLICT (id) DO UPDATE SET name = 'all'"
            )


async def test_a_tenant_whose_schema_is_away_costs_no_other_tenant_its_checks(site: TenantsSite) -> None:
    site.allow(
        "Could not re-check access|Access to open pages is checked again|One of the open pages|^(LINE 1: |The above exception|Traceback|django.db.utils)"
    )
    tenants = {schema: Tenant(site, host) for schema, host in HOSTS.items()}
    ada, bea = Person(tenants["a"]), Person(tenants["b"])
    await asyncio.to_thread(ada.get, tenants["a"], "/token/1/")
    await asyncio.to_thread(bea.get, tenants["b"], "/token/1/")
    async with (
        watching(tenants["a"], ada, "/quiet/") as page,
        watching(tenants["b"], bea, "/watch/") as other,
    ):
        await other.after_checks()
        site.sql("ALTER TABLE a.auth_user RENAME TO away")
        try:
            await other.after_checks()
            # Ada's check fails: her page has to come back through the middleware.
            assert await page.closed() == 4000
            site.sql("UPDATE b.auth_user SET is_active = false")
            assert await other.closed() == 4401
        finally:
            site.sql("ALTER TABLE a.away RENAME TO auth_user")
            site.sql("UPDATE b.auth_user SET is_active = true")
