"""The example project: its pages as a browser gets them, its one-click logins, and its production-like server."""

from __future__ import annotations

import http.cookiejar
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.servers import ROOT, SiteServer, free_port

PAGES = ["/", "/counter/", "/document/42/", "/chat/tea/", "/whiteboard/friends/", "/any/", "/private/"]


class Visitor:
    """A browser without scripts: it keeps its cookies and follows redirects."""

    def __init__(self, site: SiteServer) -> None:
        self.site = site
        self.cookies = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def get(self, path: str) -> HTTPResponse | urllib.error.HTTPError:
        try:
            response: HTTPResponse = self.opener.open(self.site.url + path, timeout=10)
        except urllib.error.HTTPError as error:
            return error
        return response

    def text(self, path: str) -> str:
        return self.get(path).read().decode()


@pytest.fixture(scope="module")
def site() -> Iterator[SiteServer]:
    with SiteServer() as server:
        server.allow("Not Found: /as/mallory/|Forbidden .*: /private/")
        yield server


@pytest.fixture
def visitor(site: SiteServer) -> Visitor:
    return Visitor(site)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_needs_nothing_but_this_site(visitor: Visitor, path: str) -> None:
    visitor.get("/as/katherine/")
    response = visitor.get(path)
    assert response.status == 200
    assert response.headers["Content-Security-Policy"] == (
        "default-src 'self'; require-trusted-types-for 'script'; trusted-types djust_presence"
    )
    page = response.read().decode()
    assert not re.search(r"""\sstyle=|\son\w+=|<style|(src|href)="(https?:)?//""", page)
    assert not re.search(r"<script(?![^>]*\ssrc=)", page)
    assert page.count("presence.js") == (path != "/any/")
    assert page.count("client.js") == 1


def test_an_ordinary_page_lists_people_here_and_dots_for_fifty_on_the_site(visitor: Visitor) -> None:
    visitor.get("/as/ada/")
    page = visitor.text("/any/")
    assert re.findall('aria-label="(ada|online)"', page) == ["ada", "online"]
    assert page.count("<presence-dot ") == 50
    assert re.search(r"<presence-count [^>]*>1</presence-count> online", page)


def test_one_click_makes_somebody_of_a_visitor(visitor: Visitor) -> None:
    assert re.search(r'aria-current="true">Guest<', visitor.text("/"))
    response = visitor.get("/as/ada/?next=/document/7/")
    assert response.url.endswith("/document/7/")
    assert re.search(r'aria-current="true">Ada<', response.read().decode())
    assert re.search(r'aria-current="true">Guest<', visitor.text("/as/guest/"))


def test_a_guest_who_becomes_a_guest_stays_the_same(visitor: Visitor) -> None:
    visitor.get("/document/7/")
    before = [cookie.value for cookie in visitor.cookies if cookie.name == "sessionid"]
    visitor.get("/as/guest/?next=/document/7/")
    assert before
    assert [cookie.value for cookie in visitor.cookies if cookie.name == "sessionid"] == before


def test_nobody_unknown_comes_in(visitor: Visitor) -> None:
    assert visitor.get("/as/mallory/").status == 404


@pytest.mark.parametrize("goal", ["https://example.com/", "//example.com/", "javascript:alert(1)", ""])
def test_next_does_not_lead_away_from_the_site(visitor: Visitor, site: SiteServer, goal: str) -> None:
    assert visitor.get(f"/as/ada/?next={goal}").url == site.url + "/"


def test_members_only(visitor: Visitor) -> None:
    visitor.get("/as/ada/")
    assert visitor.get("/private/").status == 403
    assert visitor.get("/as/katherine/?next=/private/").status == 200


def test_one_click_logins_can_be_switched_off() -> None:
    with SiteServer({"DEMO": "0"}) as site:
        site.allow("Not Found: /as/ada/")
        assert Visitor(site).get("/as/ada/").status == 404


class ServeScript(SiteServer):
    """The server that ``make serve`` runs."""

    usual = (
        r"The (store|demo): ",
        r"(sys:1|<sys>:0): ResourceWarning: unclosed <socket|ResourceWarning: Enable tracemalloc",  # of uvicorn's parent
    )

    def command(self) -> list[str]:
        script = str(ROOT / "example_project" / "serve.py")
        return [sys.executable, script, "--port", str(self.port), "--workers", "2"]


def pids_that_mention(text: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:  # it has just ended
            continue
        if text.encode() in command:
            found.append(int(path.parent.name))
    return found


@pytest.mark.redis
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for left-over processes in /proc")
def test_serve_brings_its_own_store_and_takes_it_away_again() -> None:
    with ServeScript() as site:
        match = re.search(r"redis://127\.0\.0\.1:(\d+)/0", site.log.read_text())
        assert match is not None
        assert Visitor(site).get("/counter/").status == 200
        assert pids_that_mention(match[1])
    assert not pids_that_mention(match[1])


class DemoScript(SiteServer):
    """The server that ``make demo`` runs."""

    usual = (
        r"(HTTP|WebSocket) [A-Z]+ /|Performing system checks|System check identified no issues|Watching for file",
        r"Django version|Starting ASGI/Daphne|Quit the server|[A-Z][a-z]+ \d\d, \d{4} - ",
        *SiteServer.usual,
    )

    def __init__(self) -> None:
        super().__init__({"DEBUG": "1"})
        self.beside = free_port()

    def command(self) -> list[str]:
        script = str(ROOT / "example_project" / "both.py")
        return [sys.executable, script, "--port", str(self.port), "--beside", str(self.beside)]


@pytest.mark.redis
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for left-over processes in /proc")
def test_the_demo_serves_an_ordinary_page_by_asgi_and_by_wsgi_and_leaves_no_process() -> None:
    with DemoScript() as site:
        visitor = Visitor(site)
        by_asgi = visitor.text("/any/")
        assert f'href="http://127.0.0.1:{site.beside}/any/"' in by_asgi
        assert 'data-socket="/presence/"' in by_asgi
        with visitor.opener.open(f"http://127.0.0.1:{site.beside}/any/", timeout=10) as response:
            by_wsgi = response.read().decode()
        assert f'href="{site.url}/any/"' in by_wsgi
        assert "data-socket" not in by_wsgi
        assert pids_that_mention(str(site.beside))
    assert not pids_that_mention(str(site.beside))
