"""The code blocks of the README and the documentation, as their readers would use them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.servers import ROOT

__all__ = ["PAGES", "Block", "blocks", "write_file", "write_files"]

PAGES = ["README.md", *sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/**/*.md"))]

BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"(?:#|//|<!--) ([\w/]+\.\w+)(, at the end)?(?: -->)?\n")


class Block(NamedTuple):
    """A block of code. Its first line may name the *file* that it is, or at the end of which it is *added*."""

    language: str
    text: str
    file: str | None
    added: bool


def blocks(page: str, section: str | None = None) -> Iterator[Block]:
    """The code blocks of *page*, or of one *section*, without the indentation of the list that they may stand in."""
    text = (ROOT / page).read_text()
    if section is not None:
        text = text.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    for indent, language, code in BLOCK.findall(text):
        text = "".join(line.removeprefix(indent) for line in code.splitlines(keepends=True))
        named = FILE.match(text)
        yield Block(language, text, named[1] if named else None, bool(named and named[2]))


def write_file(block: Block, directory: Path) -> None:
    """Do in *directory* what *block* says to the file that it names."""
    assert block.file
    path = directory / block.file
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a" if block.added else "w") as file:
        file.write("\n" + block.text if block.added else block.text)


def write_files(page: str, directory: Path) -> None:
    """Do in *directory* what the blocks of *page* say to the files that they name."""
    for block in blocks(page):
        if block.file:
            write_file(block, directory)
