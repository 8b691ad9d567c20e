"""The README, followed to the letter in a project that has just been started."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live_pages import LivePage, Person
from tests.servers import ROOT, SiteServer

README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"(?:#|<!--) (\S+?)(,.*?)?(?: -->)?\n")


def blocks() -> Iterator[tuple[str, str]]:
    """Each code block's language and text, without the indentation of the list that it stands in."""
    for indent, language, text in BLOCK.findall(README):
        yield language, "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))


class Mysite(SiteServer):
    """The project as it stands after the README's five steps, served by daphne's runserver."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.project = directory
        self.run("-m", "django", "startproject", "mysite", ".")
        self.run("manage.py", "startapp", "pages")
        for _, text in blocks():
            if named := FILE.match(text):
                path = directory / named[1]
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("a" if named[2] else "w") as file:
                    file.write("\n" + text if named[2] else text)
        self.run("manage.py", "migrate", "--verbosity", "0")

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.project,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert not done.returncode, done.stdout
        return done.stdout

    def command(self) -> list[str]:
        where = f"127.0.0.1:{self.port}"
        return [sys.executable, str(self.project / "manage.py"), "runserver", "--noreload", where]

    def environment(self) -> dict[str, str]:
        mine = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        return mine | {"PYTHONPATH": str(ROOT)}

    def start(self) -> Mysite:
        super(SiteServer, self).start()
        return self


async def test_five_steps_make_a_live_page(tmp_path: Path) -> None:
    mysite = Mysite(tmp_path)
    assert "no issues" in mysite.run("manage.py", "check")
    with mysite as site:
        async with LivePage(site, "/document/1/", Person(site)) as one:
            await one.until_online(1)
            async with LivePage(site, "/document/1/", Person(site)) as two:
                await one.until_online(2)
                await two.until_online(2)
                assert one.regions["live-1"].count("Guest") == 2
            await one.until_online(1)
    log = site.log.read_text() if site.log.exists() else ""
    assert "Traceback" not in log


def test_it_names_five_steps_and_every_file_of_them() -> None:
    files = [named[1] for _, text in blocks() if (named := FILE.match(text))]
    assert files == [
        "mysite/settings.py",
        "mysite/asgi.py",
        "pages/views.py",
        "mysite/urls.py",
        "pages/templates/document.html",
    ]


def test_it_is_short_and_its_links_lead_somewhere() -> None:
    assert len(README.splitlines()) <= 150
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README)
    assert targets
    assert not [target for target in targets if not (ROOT / target).exists()]


@pytest.mark.parametrize(
    "page", ["README.md", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md"))]
)
def test_every_python_block_compiles(page: str) -> None:
    for indent, language, text in BLOCK.findall((ROOT / page).read_text()):
        if language == "python":
            code = "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))
            compile(code, page, "exec", flags=0x2000)  # a top-level await is an example of one
