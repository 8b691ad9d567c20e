"""The README, followed to the letter in a project that has just been started."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.live_pages import LivePage, Person
from tests.markdown import blocks, write_file
from tests.mysite import Mysite
from tests.servers import ROOT

README = (ROOT / "README.md").read_text()


@pytest.fixture
def mysite(tmp_path: Path) -> Mysite:
    """The project as it stands after the README's five steps."""
    mysite = Mysite(tmp_path)
    mysite.follow("README.md", "In your own project")
    return mysite


async def test_five_steps_make_an_ordinary_page_and_a_live_one(mysite: Mysite) -> None:
    assert mysite.run("manage.py", "check") == "System check identified no issues (0 silenced).\n"
    with mysite as site:
        assert re.search(r"<presence-count[^>]*>1</presence-count> online", Person(site).get(site, "/"))
        async with LivePage(site, "/document/1/", Person(site)) as one:
            await one.until_online(1)
            async with LivePage(site, "/document/1/", Person(site)) as two:
                await one.until_online(2)
                await two.until_online(2)
                names = re.findall(r">([A-Z][a-z]+ [A-Z][a-z]+)</b>", one.regions["live-1"])
                assert len(names) == 2
                assert len(re.findall(r'data-presence-color="#[0-9a-f]{6}"', one.regions["live-1"])) == 2
                await two.send(type="event", ref=1, name="rename", params={"value": "Ada", "field": ""})
                await one.until(lambda: ">Ada</b>" in one.regions["live-1"])
            await one.until_online(1)
        log = site.log.read_text()
    assert "/document/1/" in log
    assert "Traceback" not in log


def test_the_consumer_can_be_driven_by_hand_in_that_project_as_the_testing_page_does(mysite: Mysite) -> None:
    (talk,) = [block.text for block in blocks("docs/reference/testing.md") if "async def talk" in block.text]
    (ini,) = [block for block in blocks("docs/how-to/test-live-views.md") if block.file == "pytest.ini"]
    write_file(ini, mysite.project)
    (mysite.project / "test_by_hand.py").write_text(
        f"import pytest\n{talk}\n"
        "@pytest.mark.django_db(transaction=True)\n"
        "async def test_by_hand():\n"
        "    await talk()\n"
    )
    said = mysite.run("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider")
    assert "1 passed" in said


def test_it_names_the_files_of_the_five_steps() -> None:
    assert re.findall(r"^(\d)\. ", README, re.MULTILINE) == ["1", "2", "3", "4", "5"]
    assert [block.file for block in blocks("README.md") if block.file] == [
        "mysite/settings.py",
        "mysite/asgi.py",
        "mysite/urls.py",
        "pages/templates/home.html",
        "pages/views.py",
        "mysite/urls.py",
        "pages/templates/document.html",
    ]


def test_it_is_short_and_its_links_lead_somewhere() -> None:
    assert len(README.splitlines()) <= 150
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README)
    assert targets
    assert not [target for target in targets if not (ROOT / target).exists()]
