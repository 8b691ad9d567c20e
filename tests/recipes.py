"""A project in which recipes of the documentation are followed to the letter."""

from __future__ import annotations

from pathlib import Path

from tests.markdown import blocks, write_file
from tests.mysite import PASSWORD, Mysite

__all__ = ["RECIPES", "SIGN_UP", "cooked"]

RECIPES = "docs/how-to/recipes"
SIGN_UP = f"""
from django.contrib.auth.models import User
for name in ("ada", "grace"):
    User.objects.create_superuser(name, password={PASSWORD!r})
"""


def cooked(directory: Path, *recipes: str, settings: str = "") -> Mysite:
    """A project in *directory* with these recipes, and *settings* after theirs. It is not started yet."""
    site = Mysite(directory)
    site.follow("docs/tutorial.md", "A project")
    site.run("manage.py", "startapp", "pages")
    append(site, '\nINSTALLED_APPS += ["pages"]\n')
    for block in blocks("docs/how-to/any-page.md", "Wire it up"):
        if block.file == "mysite/urls.py":
            write_file(block, directory)
    for recipe in recipes:
        site.follow(f"{RECIPES}/{recipe}.md")
    append(site, settings)
    assert site.run("manage.py", "check") == "System check identified no issues (0 silenced).\n"
    site.allow("/favicon.ico")
    return site


def append(site: Mysite, settings: str) -> None:
    with (site.project / "mysite" / "settings.py").open("a") as file:
        file.write(settings)
