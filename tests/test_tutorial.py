"""The tutorial and the guide for existing projects, followed to the letter, until two browsers see each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import websockets

from tests.feed.tag_page import TagPage
from tests.live_pages import LivePage, Person
from tests.mysite import Member, Mysite

TUTORIAL = "docs/tutorial.md"
ADMIN = "docs/how-to/in-the-admin.md"
GUIDE = "docs/how-to/add-to-a-project.md"


@pytest.fixture
def mysite(tmp_path: Path) -> Mysite:
    return Mysite(tmp_path)


class PrefixedPage(LivePage):
    """A page whose socket has the prefix that the guide gives to sockets."""

    async def _connect(self) -> None:
        self.path = "/ws" + self.path
        await super()._connect()


def shown(page: LivePage) -> str:
    return " ".join(re.sub("<[^>]+>", " ", page.regions.get("live-1", "")).split())


async def test_the_tutorial_leads_to_two_browsers_that_see_each_other_and_then_talk(mysite: Mysite) -> None:
    for section in ("A project", "How many are here"):
        mysite.follow(TUTORIAL, section)
    with mysite as site:
        path = "/room/kitchen/"
        async with LivePage(site, path, Person(site)) as one, LivePage(site, path, Person(site)) as two:
            for page in (one, two):
                await page.until(lambda page=page: shown(page) == "2 online")  # type: ignore[misc]
            await two.close()
            await one.until(lambda: shown(one) == "1 online")
        site.stop()
        for section in ("Who is here", "What they say"):
            mysite.follow(TUTORIAL, section)
        assert mysite.run("manage.py", "check") == "System check identified no issues (0 silenced).\n"
        site.start()
        site.sign_up("ada")
        ada = LivePage(site, "/room/kitchen/?drinks=coffee", Member(site, "ada"))
        guest = LivePage(site, path, Person(site))
        async with ada, guest:
            for page in (ada, guest):
                await page.until(
                    lambda page=page: shown(page) == "2 online ada drinks coffee Guest drinks tea"  # type: ignore[misc]
                )
            await ada.send(type="event", ref=1, name="send", params={"text": "Another cup?"})
            await guest.send(type="event", ref=1, name="send", params={"text": "  "})
            await guest.until(lambda: shown(guest).endswith("ada: Another cup?"))
            await guest.send(type="event", ref=2, name="send", params={"text": "<b>Yes</b>"})
            await ada.until(lambda: shown(ada).endswith("ada: Another cup? Guest: &lt;b&gt;Yes&lt;/b&gt;"))


async def test_the_tutorial_goes_on_to_ordinary_pages(mysite: Mysite) -> None:
    for section in ("A project", "How many are here", "Who is here", "What they say", "On any page"):
        mysite.follow(TUTORIAL, section)
    assert mysite.run("manage.py", "check") == "System check identified no issues (0 silenced).\n"
    with mysite as site:
        for name in ("ada", "grace"):
            site.sign_up(name)
        make = "from tea.models import Ticket; [Ticket.objects.create(title=f'Kettle {n}', owner_id=n) for n in (1, 2)]"
        mysite.run("manage.py", "shell", "-c", make)
        ada, grace = Member(site, "ada"), Member(site, "grace")
        async with TagPage(site, "/tickets/1/", ada) as first:
            assert re.findall('title="(.*?)"', first.html) == ["ada"]
            assert "1 online" in first.text
            tickets = grace.get(site, "/tickets/")
            assert re.findall('role="img" aria-label="(.*?)"', tickets) == ["online", "online"]
            assert re.findall('role="img" aria-label="(.*?)"', Person(site).get(site, "/tickets/")) == [
                "online",
                "offline",
            ]
            async with TagPage(site, "/tickets/1/", grace) as second:
                assert re.findall('title="(.*?)"', second.html) == ["ada", "grace"]
                assert "2 online" in second.text
                await first.until(lambda: any("grace" in str(one.get("joins")) for one in first.got("diff")))


async def test_objects_in_the_admin_show_who_has_them_open(mysite: Mysite) -> None:
    for section in ("A project", "How many are here", "Who is here", "What they say", "On any page"):
        mysite.follow(TUTORIAL, section)
    mysite.follow(ADMIN)
    assert mysite.run("manage.py", "check") == "System check identified no issues (0 silenced).\n"
    with mysite as site:
        for name in ("ada", "grace"):
            site.sign_up(name)
        mysite.run(
            "manage.py",
            "shell",
            "-c",
            "from tea.models import Ticket; Ticket.objects.create(title='K', owner_id=1)",
        )
        ada, grace = Member(site, "ada"), Member(site, "grace")
        async with TagPage(site, "/admin/tea/ticket/1/change/", ada):
            page = grace.get(site, "/admin/tea/ticket/1/change/")
            assert re.findall('aria-label="(ada|grace)"', page) == ["ada", "grace"]
            assert page.count("client.js") == 1
            assert re.findall('aria-label="(ada|grace)"', grace.get(site, "/tickets/1/")) == ["ada", "grace"]
        assert "presence-avatars" not in grace.get(site, "/admin/tea/ticket/add/")


async def test_a_project_with_consumers_and_logins_gets_a_live_page(mysite: Mysite) -> None:
    mysite.start_project("pages")
    mysite.follow(GUIDE)
    settings = mysite.project / "mysite" / "settings.py"
    settings.write_text(settings.read_text() + '\nINSTALLED_APPS += ["pages"]\n')
    assert mysite.run("manage.py", "check") == "System check identified no issues (0 silenced).\n"
    with mysite as site:
        site.sign_up("ada")
        site.sign_up("grace")
        assert Person(site).get(site, "/document/1/readers/") == "Nobody"
        assert "csrfmiddlewaretoken" in Person(site).get(site, "/document/1/")
        pages = [PrefixedPage(site, "/document/1/", Member(site, name)) for name in ("ada", "grace")]
        async with pages[0], pages[1]:
            for page in pages:
                await page.until_online(2)
            assert 'data-socket-prefix="/ws"' in pages[0].html
            assert Person(site).get(site, "/document/1/readers/") == "ada, grace"
        origin = websockets.Origin(site.url)
        async with websockets.connect(site.url.replace("http", "ws", 1) + "/echo/", origin=origin) as echo:
            await echo.send("Hello?")
            assert await echo.recv() == "Hello?"
