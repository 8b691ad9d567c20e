"""The recipes that need no browser: users by token, and tenants with a schema each on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import websockets

from tests.feed.tag_page import TagPage
from tests.live.test_postgres import PostgresServer, installed_postgres
from tests.live.test_tenants import DATABASE, HOSTS, Tenant, TenantsSite
from tests.live_pages import LivePage, Person
from tests.markdown import write_files
from tests.mysite import Mysite
from tests.recipes import RECIPES, SIGN_UP, cooked
from tests.servers import ROOT
from tests.until import until_equal

HOUR = 3600
NOW = 2_000_000_000  # and never before the clock of whoever runs this
SUBPROTOCOL = websockets.Subprotocol("access-token")


class Holder(Person):
    """Somebody whose cookie has a token, and who has no session."""

    def __init__(self, site: Mysite, token: str) -> None:
        super().__init__(site)
        self.token = token
        self._opener.addheaders.append(("Cookie", self.cookies))

    @property
    def cookies(self) -> str:
        return f"access={self.token}"


def avatars(html: str) -> list[str]:
    return re.findall('class="presence-avatar[^>]* title="(.*?)"', html)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mysite]:
    recipes = ("on-every-page", "typing-and-away", "invisible", "tokens")
    settings = '\nDJUST_PRESENCE = {"REAUTH_INTERVAL": 1}\n'
    with cooked(tmp_path_factory.mktemp("recipes"), *recipes, settings=settings) as site:
        site.run("manage.py", "shell", "-c", SIGN_UP)
        yield site


class Tokens:
    """Tokens as djangorestframework-simplejwt issues them, for the site with this *key*."""

    def __init__(self, key: str) -> None:
        self.key = key

    def of(self, user: int, **claims: Any) -> str:
        usual = {"token_type": "access", "exp": NOW + HOUR, "iat": 0, "jti": "x", "user_id": str(user)}
        return jwt.encode(
            {name: value for name, value in {**usual, **claims}.items() if value is not None},
            self.key,
            "HS256",
        )


@pytest.fixture(scope="module")
def tokens(site: Mysite) -> Tokens:
    (key,) = re.findall(
        "^SECRET_KEY = '(.*)'$", (site.project / "mysite/settings.py").read_text(), re.MULTILINE
    )
    return Tokens(key)


def team(site: Mysite, *subprotocols: str) -> websockets.connect:
    url = site.url.replace("http", "ws", 1) + "/api/team/"
    return websockets.connect(url, subprotocols=[websockets.Subprotocol(one) for one in subprotocols])


async def until_here(socket: websockets.ClientConnection, *names: str) -> None:
    async with asyncio.timeout(20):
        while json.loads(await socket.recv())["here"] != list(names):
            pass


async def test_a_token_names_the_user_on_pages_and_in_a_consumer(site: Mysite, tokens: Tokens) -> None:
    ada = Holder(site, tokens.of(1))
    async with (
        TagPage(site, "/notes/1/", ada) as page,
        LivePage(site, "/lounge/", ada) as lounge,
        team(site, "access-token", tokens.of(2)) as socket,
    ):
        assert socket.subprotocol == SUBPROTOCOL
        assert avatars(page.html) == ["ada"]
        await lounge.until(lambda: ">ada</li>" in lounge.regions.get("live-1", ""))
        await until_here(socket, "ada", "grace")
        dots = Person(site)
        await until_equal(lambda: dots.get(site, "/team/").count(" online></presence-dot>"), 2)
        deactivate = "from django.contrib.auth.models import User; User.objects.update(is_active={})"
        site.run("manage.py", "shell", "-c", deactivate.format(False))
        try:
            await page.until_closed()
            await lounge.until_closed()
            async with asyncio.timeout(20):
                await socket.wait_closed()
            assert (page.close_code, lounge.close_code, socket.close_code) == (4401, 4401, 4401)
            assert "csrfmiddlewaretoken" in ada.get(site, "/notes/1/")
        finally:
            site.run("manage.py", "shell", "-c", deactivate.format(True))


@pytest.mark.parametrize(
    "claims",
    [{"exp": 1}, {"exp": None}, {"token_type": "refresh"}, {"user_id": "3"}],
    ids=["expired", "lasting", "refresh", "nobody"],
)
async def test_another_token_names_nobody(site: Mysite, tokens: Tokens, claims: dict[str, Any]) -> None:
    await refused(site, tokens.of(1, **claims))


UNSIGNED = jwt.encode({"token_type": "access", "exp": NOW + HOUR, "user_id": "1"}, "", "none")


@pytest.mark.parametrize(
    "token", ["", "x", Tokens("0" * 50).of(1), UNSIGNED], ids=["", "x", "forged", "unsigned"]
)
async def test_what_is_no_token_of_the_site_names_nobody(site: Mysite, token: str) -> None:
    await refused(site, token)


async def refused(site: Mysite, token: str) -> None:
    assert "csrfmiddlewaretoken" in await asyncio.to_thread(Holder(site, token).get, site, "/notes/1/")
    for subprotocols in [("access-token", token), ("access-token",), (token or "x", "access-token"), ()]:
        with pytest.raises(websockets.InvalidStatus, match="403"):
            await team(site, *filter(None, subprotocols)).__aenter__()


TENANTS = """
from tests.live.tenants_site import *
from tests.live.tenants_site import INSTALLED_APPS, SHARED_APPS

SHARED_APPS = [*SHARED_APPS, "pages"]
INSTALLED_APPS = [*INSTALLED_APPS, "pages"]
ROOT_URLCONF = PUBLIC_SCHEMA_URLCONF = "mysite.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
"""
URLS = """
from django.urls import include, path
from django.views.generic import TemplateView

from tests.live.accounts.urls import log_in

urlpatterns = [
    path("presence/", include("djust_presence.urls")),
    path("log-in/<username>/", log_in),
    path("user/", TemplateView.as_view(template_name="pages/user.html")),
]
"""
USER = (
    "{% load djust_presence tenants %}{% tenant_key request.user as key %}{% presence_avatars key %}{{ key }}"
)


class RecipeSite(TenantsSite):
    """The site of the recipe in *directory*, with the tenants and the people of the parent's."""

    def __init__(self, postgres: PostgresServer, directory: Path) -> None:
        super().__init__(postgres)
        path = os.pathsep.join(map(str, (directory, ROOT / "example_project", ROOT)))
        self.variables |= {"DJANGO_SETTINGS_MODULE": "mysite.settings", "PYTHONPATH": path}


@pytest.fixture
def tenants(tmp_path: Path) -> Iterator[dict[str, Tenant]]:
    for name, text in {
        "mysite/settings.py": TENANTS,
        "mysite/urls.py": URLS,
        "pages/__init__.py": "",
        "pages/templates/pages/user.html": USER,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    write_files(f"{RECIPES}/tenants.md", tmp_path)
    with installed_postgres() as postgres:
        postgres.run(f"CREATE DATABASE {DATABASE}")
        with RecipeSite(postgres, tmp_path) as site:
            yield {schema: Tenant(site, host) for schema, host in HOSTS.items()}


async def test_tenants_see_nothing_of_each_other(tenants: dict[str, Tenant]) -> None:
    one, two = tenants["a"], tenants["b"]
    ada, bea = Person(one), Person(two)
    await asyncio.to_thread(ada.get, one, "/log-in/ada/")
    await asyncio.to_thread(bea.get, two, "/log-in/bea/")
    async with (
        LivePage(one, "/boards/1/", ada) as board,
        LivePage(two, "/boards/1/", bea) as other_board,
        TagPage(one, "/overview/", ada) as overview,
        TagPage(two, "/overview/", bea) as other_overview,
        TagPage(one, "/user/", ada),
    ):
        await board.until(lambda: "1 online: ada" in board.regions.get("live-1", ""))
        await other_board.until(lambda: "1 online: bea" in other_board.regions.get("live-1", ""))
        assert "1 online" in overview.text
        assert "1 online" in other_overview.text
        assert (avatars(overview.html), avatars(other_overview.html)) == (["ada"], ["bea"])
        html = await asyncio.to_thread(bea.get, two, "/user/")
        assert avatars(html) == ["bea"]
        assert html.endswith("b:auth.user:1")
        async with LivePage(one, "/boards/1/", Person(one)) as guest:
            await guest.until_online(2)
            await board.until_online(2)
        await board.until_online(1)
        assert other_board.counts == [1]
