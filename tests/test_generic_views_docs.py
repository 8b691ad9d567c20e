"""The guide to generic views, followed to the letter in a project that is set up for live pages."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlencode

from tests.live_pages import LivePage, Person
from tests.markdown import blocks, write_file
from tests.mysite import Mysite

GUIDE = "docs/how-to/generic-views.md"
SETTINGS = """
INSTALLED_APPS = ["daphne", *INSTALLED_APPS, "djust_presence", "tickets"]
ASGI_APPLICATION = "mysite.asgi.application"
"""
TICKETS = (
    "from tickets.models import Ticket; [Ticket.objects.create(title=title) for title in ('Leak', 'Fire')]"
)


class Editor(Person):
    def post(self, site: Mysite, path: str, **fields: str) -> str:
        """Send the form that stands at *path*; the page that is shown then."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(site, path))
        assert token
        data = urlencode({"csrfmiddlewaretoken": token[1], **fields}).encode()
        with self._opener.open(site.url + path, data, timeout=30) as response:
            return str(response.read().decode())


def shown(page: LivePage) -> str:
    return " ".join(re.sub("<[^>]+>", " ", page.regions.get("live-1", "")).split())


async def until(page: LivePage, text: str) -> None:
    await page.until(lambda: shown(page) == text)


async def test_tickets_show_who_looks_at_them_and_what_was_saved(tmp_path: Path) -> None:
    mysite = Mysite(tmp_path)
    mysite.start_project("tickets")
    settings = mysite.project / "mysite" / "settings.py"
    settings.write_text(settings.read_text() + SETTINGS)
    (asgi,) = (one for one in blocks("docs/tutorial.md") if one.file == "mysite/asgi.py")
    for block in (asgi, *blocks(GUIDE)):
        assert block.file
        write_file(block, mysite.project)
    mysite.run("manage.py", "makemigrations", "tickets")
    assert mysite.run("manage.py", "check") == "System check identified no issues (0 silenced).\n"
    with mysite as site:
        site.run("manage.py", "shell", "--command", TICKETS)
        reader, editor = Person(site), Editor(site)
        assert "1 here: Guest" in reader.get(site, "/tickets/1/")
        ticket, tickets = LivePage(site, "/tickets/1/", reader), LivePage(site, "/tickets/", reader)
        async with ticket, tickets, LivePage(site, "/tickets/1/edit/", editor):
            await until(ticket, "Leak 2 here: Guest Guest edits")
            await until(tickets, "Leak Fire")
            assert "This field is required." in editor.post(site, "/tickets/1/edit/", title="")
            assert "<h1>Leaks (done)</h1>" in editor.post(site, "/tickets/1/edit/", title="Leaks", done="on")
            await until(ticket, "Leaks (done) 2 here: Guest Guest edits")
            await until(tickets, "Leaks (done) Fire")
        site.allow("Not Found: /tickets/3/")
        assert "Page not found" in reader.get(site, "/tickets/3/")
