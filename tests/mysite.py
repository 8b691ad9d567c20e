"""A project that has just been started, in which a page of the documentation is followed to the letter."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from urllib.parse import urlencode

from tests.live_pages import Person
from tests.markdown import blocks, write_file
from tests.servers import ROOT, SiteServer, run

__all__ = ["Member", "Mysite"]

PASSWORD = "not secret"


class Mysite(SiteServer):
    """A project in *directory*, served by daphne's runserver."""

    usual = (
        r"(HTTP|WebSocket) [A-Z]+ /|Performing system checks|System check identified no issues",
        r"Django version|Starting ASGI/Daphne|Quit the server|[A-Z][a-z]+ \d\d, \d{4} - ",
    )

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.project = directory

    def start_project(self, app: str) -> None:
        """Make the project, and an *app* in it, as Django does."""
        self.run("-m", "django", "startproject", "mysite", ".")
        self.run("manage.py", "startapp", app)

    def follow(self, page: str, section: str | None = None) -> None:
        """Run the commands of *page*, or of one *section* of it, and write its files, in their order.

        Commands that start the server or install packages are left out.
        """
        for block in blocks(page, section):
            if block.file:
                write_file(block, self.project)
            elif block.language == "sh":
                for line in block.text.splitlines():
                    self._obey(shlex.split(line))

    def _obey(self, words: list[str]) -> None:
        match words:
            case (
                ["python", "-m", "pip" | "uvicorn", *_]
                | ["python", "manage.py", "runserver"]
                | ["gunicorn", *_]
            ):
                pass
            case ["python", *rest]:
                self.run(*rest)
            case ["django-admin", *rest]:
                self.run("-m", "django", *rest)
            case _:
                raise ValueError(f"Nobody knows how to follow {shlex.join(words)!r}.")

    def run(self, *words: str) -> str:
        """Run Python with *words* in the project's folder, and return what it prints."""
        return run(words, self.project, self.environment())

    def command(self) -> list[str]:
        where = f"127.0.0.1:{self.port}"
        return [sys.executable, str(self.project / "manage.py"), "runserver", "--noreload", where]

    def environment(self) -> dict[str, str]:
        mine = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        return mine | {"PYTHONPATH": str(ROOT), "DJANGO_SUPERUSER_PASSWORD": PASSWORD}

    def start(self) -> Mysite:
        self.run("manage.py", "migrate", "--verbosity", "0")
        super(SiteServer, self).start()
        return self

    def sign_up(self, username: str) -> None:
        """Make somebody who may come in at ``/admin/``."""
        email = f"{username}@example.com"
        self.run("manage.py", "createsuperuser", "--noinput", "--username", username, "--email", email)


class Member(Person):
    """Somebody who has come in through ``/admin/``."""

    def __init__(self, site: Mysite, username: str) -> None:
        super().__init__(site)
        form = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(site, "/admin/login/"))
        assert form
        fields = {
            "csrfmiddlewaretoken": form[1],
            "username": username,
            "password": PASSWORD,
            "next": "/admin/",
        }
        self._opener.open(site.url + "/admin/login/", urlencode(fields).encode(), timeout=30).close()
        assert self.session_key, "the login was refused"
