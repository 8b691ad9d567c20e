"""Says what keeps the wheel in a folder from being published under a tag.

usage: python tools/release_check.py v0.1.0 dist
"""

from __future__ import annotations

import re
import sys
import zipfile
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RELATIVE = re.compile(r"\]\((?![a-z]+:|#)([^)]+)\)")


def problems(tag: str, wheel: Path, changelog: str) -> Iterator[str]:
    """Yield a sentence for each reason not to publish *wheel* as *tag* with *changelog*."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_string(archive.read(name).decode())
    version = metadata["Version"]
    if tag != f"v{version}":
        yield f"The tag is {tag!r}, and version {version} wants v{version} (pyproject.toml: version)."
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        yield f"{version} is no version to publish (pyproject.toml: version)."
    if not re.search(rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        yield f"The changelog has no heading '## {version} - YEAR-MONTH-DAY' (CHANGELOG.md)."
    if not metadata.get_all("Project-URL"):
        yield "The repository's address is not filled in (pyproject.toml: tool.hatch.metadata.hooks.custom)."
    if relative := RELATIVE.findall(str(metadata.get_payload())):
        yield f"{len(relative)} links of the README would lead nowhere on PyPI, such as {relative[0]}."


def main(tag: str, folder: str) -> int:
    (wheel,) = Path(folder).glob("*.whl")
    found = list(problems(tag, wheel, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
    for problem in found:
        print(problem)
    print(f"{wheel.name} {'must not' if found else 'can'} be published as {tag or 'an unnamed tag'}.")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
