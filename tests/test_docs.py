"""The reference pages say what the code does: settings, checks and the protocol are compared with their sources."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields

from djust_presence.conf import Settings
from tests.servers import ROOT

PACKAGE = ROOT / "djust_presence"
REFERENCE = ROOT / "docs" / "reference"


def rows(page: str, heading: str | None = None) -> dict[str, list[str]]:
    """The rows of a page's tables (below *heading* only), by what stands in backquotes in their first cell."""
    text = (REFERENCE / page).read_text()
    if heading:
        text = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    cells = [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    return {row[0].strip("`"): row[1:] for row in cells if re.match(r"`|\d{4}$", row[0])}


def test_the_settings_page_has_every_option_with_its_default() -> None:
    told = rows("settings.md")
    for field in fields(Settings):
        default = field.default if field.default is not MISSING else {}
        shown = (
            f'"{default}"'
            if isinstance(default, str)
            else f"{default:g}"
            if isinstance(default, float)
            else "{}"
        )
        assert told[field.name.upper()][0] == f"`{shown}`", field.name


def test_the_checks_page_has_every_check() -> None:
    sources = [PACKAGE / "checks.py", *(PACKAGE / "backends").glob("*.py")]
    ids = {
        f"djust_presence.{number}"
        for source in sources
        for number in re.findall(r'"(?:djust_presence\.)?([EW]\d{3})"', source.read_text())
    }
    assert set(rows("checks.md")) == ids


def test_the_protocol_page_has_every_frame_code_and_close() -> None:
    live = "".join(path.read_text() for path in (PACKAGE / "live").glob("*.py"))
    script = (PACKAGE / "static" / "djust_presence" / "presence.js").read_text()
    sent = set(re.findall(r'encode\(\s*"([a-z]+)"', live))
    assert set(rows("protocol.md", "From the server")) - set(rows("protocol.md", "Regions")) >= sent
    handled = re.search(r"const receive = \{(.*?)\n  \};", script, re.DOTALL)
    assert handled
    understood = set(re.findall(r"^    (\w+)(?:\(|:)", handled[1], re.MULTILINE))
    assert sent - {"pong"} == understood
    asked = set(re.findall(r'type: "([a-z]+)"', script))
    assert set(rows("protocol.md", "From the page")) == asked == {"event", "ping", "pong"}
    codes = set(re.findall(r'"(bad-frame|too-large|too-many|unknown-event|bad-arguments|failed)"', live))
    assert codes <= set(rows("protocol.md", "From the server"))
    closes = set(re.findall(r"\b4[04-5]\d\d\b", live + script)) - {"4000"}
    assert closes <= {*rows("protocol.md", "Closing")} | {"4408"}
