"""The documentation says what the code does: its tables are compared with the sources, and its Python is run."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import djust_presence.backends.registry
from djust_presence import PresenceMixin, presence
from djust_presence.backends.base import Backend
from djust_presence.backends.memory import MemoryBackend
from djust_presence.backends.redis.options import PASSED_ON, Options
from djust_presence.channels import PresenceConsumerMixin
from djust_presence.codes import CloseCode
from djust_presence.conf import Settings
from djust_presence.hosts import Host
from djust_presence.live.page import WHAT_FAILED
from djust_presence.tracker import Connection, Session
from tests.markdown import PAGES, blocks
from tests.servers import ROOT

PACKAGE = ROOT / "djust_presence"
REFERENCE = ROOT / "docs" / "reference"
OTHERS = ("djust.js", "client.js")  # which are no part of a live page
SCRIPTS = sorted(path for path in PACKAGE.glob("static/djust_presence/*.js") if path.name not in OTHERS)
SCRIPT = "".join(path.read_text() for path in SCRIPTS)
LIVE = "".join(
    path.read_text()
    for part in ("hosts", "live", "cursors")
    for path in sorted((PACKAGE / part).glob("*.py"))
)


def table(page: str, heading: str) -> dict[str, list[str]]:
    """The rows of the only table between *heading* and the next one, by what stands in their first cell."""
    below = (REFERENCE / page).read_text().split(f"# {heading}\n", 1)[1]
    text = re.split(r"^#+ ", below, maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<= )\|(?= )", line.strip("|"))] for line in lines[2:]]
    return {row[0].strip("`"): row[1:] for row in cells}


def named(page: str, heading: str) -> set[str]:
    """The names of the methods or functions in such a table."""
    return {name.split("(")[0] for name in table(page, heading)}


def shown(default: Any) -> str:
    if default is MISSING:
        return "`{}`"
    if default is None:
        return ""
    if isinstance(default, bool):
        return f"`{default}`"
    if isinstance(default, tuple):
        return f"`{json.dumps(default)}`"
    return f'`"{default}"`' if isinstance(default, str) else f"`{default:g}`"


@pytest.mark.parametrize("page", PAGES)
def test_every_python_block_compiles(page: str) -> None:
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, page, "exec")


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/")])
def test_every_python_block_runs(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = ModuleType("myproject.presence")
    mine.MyBackend = MemoryBackend  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "myproject", ModuleType("myproject"))
    monkeypatch.setitem(sys.modules, "myproject.presence", mine)
    registry = djust_presence.backends.registry
    monkeypatch.setattr(registry, "_classes", registry._classes.copy())
    for block in blocks(page):
        if block.language == "python" and not block.file:
            exec(compile(block.text, page, "exec"), {"__name__": "docs"})


def test_the_contract_suite_runs_over_a_backend_of_ones_own_as_shown(tmp_path: Path) -> None:
    (suite,) = [block.text for block in blocks("docs/reference/backends.md") if "Contract" in block.text]
    (tmp_path / "myproject").mkdir()
    (tmp_path / "myproject" / "presence.py").write_text(
        "from djust_presence.backends.memory import MemoryBackend as MyBackend\n"
    )
    (tmp_path / "test_contract.py").write_text(suite)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\npythonpath = .\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert not done.returncode, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_the_settings_page_has_every_option_with_its_default() -> None:
    told = {name: row[0] for name, row in table("settings.md", "Settings").items()}
    assert told == {field.name.upper(): shown(field.default) for field in fields(Settings)}


def test_the_settings_page_has_every_option_of_the_redis_backend() -> None:
    heading = "Options of the Redis backend"
    told = {name: row[0] for name, row in table("settings.md", heading).items()}
    assert told == {field.name: shown(field.default) for field in fields(Options)}
    text = (REFERENCE / "settings.md").read_text()
    assert not [name for name in PASSED_ON if f"`{name}`" not in text]


def test_the_checks_page_has_every_check() -> None:
    sources = [*(PACKAGE / "checks").glob("*.py"), *(PACKAGE / "backends").rglob("*.py")]
    ids = {
        f"djust_presence.{number}"
        for source in sources
        for number in re.findall(r'"(?:djust_presence\.)?([EIW]\d{3})"', source.read_text())
    }
    assert set(table("checks.md", "System checks")) == ids


def test_the_mixins_page_has_every_public_name() -> None:
    told = {
        *table("mixin.md", "Attributes"),
        *named("mixin.md", "Methods"),
        *named("mixin.md", "Callbacks"),
    }
    public = {name for name in vars(PresenceMixin) if not name.startswith("_")}
    twins = {name for name in public if name[0] == "a" and name[1:] in public}
    called_if_there = {"handle_presence_event"}
    hooks = {"_on_presence_change", "_restore_presence"}
    assert told == public - twins | called_if_there | hooks
    text = (REFERENCE / "mixin.md").read_text()
    assert set(re.findall(r"`(a\w+_presences?|apresence_count)`", text)) == twins


def test_the_consumers_page_has_every_public_name() -> None:
    text = (REFERENCE / "consumer.md").read_text()
    told = set(
        re.findall(r"`(\w+)\([^`]*\)`(?=[ ,])", "\n".join(re.findall(r"^\|[^|]*\|", text, re.MULTILINE)))
    )
    public = {name for name in vars(PresenceConsumerMixin) if not name.startswith("_")}
    assert told == public - {"as_asgi", "dispatch"}  # Channels' own


def test_the_hosts_page_names_what_is_there() -> None:
    assert methods("hosts.md", "`Host`") == {name for name in vars(Host) if not name.startswith("_")}
    for kind in (Connection, Session):
        told = methods("hosts.md", f"`{kind.__name__}`")
        assert told
        assert not [name for name in told if not hasattr(kind, name)]


def methods(page: str, heading: str) -> set[str]:
    """The names in the first cells of such a table, of which one may have several."""
    cells = "\n".join(f"`{cell}`" for cell in table(page, heading))
    return set(re.findall(r"`(?:async )?(\w+)[(`]", cells))


def test_the_facades_page_has_every_function() -> None:
    text = (REFERENCE / "presence.md").read_text()
    assert {name for name in presence.__all__ if re.search(rf"`{name}[`(]", text)} == set(presence.__all__)


def test_the_backends_page_has_every_verb() -> None:
    verbs = {name for name, value in vars(Backend).items() if inspect.isfunction(value) and name[0] != "_"}
    twins = {name for name in verbs if name[0] == "a" and name[1:] in verbs}
    assert named("backends.md", "The contract") == verbs - twins


def test_the_protocol_page_has_every_frame() -> None:
    sent = set(re.findall(r'encode\(\s*"([a-z]+)"', LIVE))
    assert set(table("protocol.md", "From the server")) == sent
    handled = re.search(r"const receive = \{(.*?)\n    \};", SCRIPT, re.DOTALL)
    assert handled
    assert {*re.findall(r"^      (\w+)(?:\(|:)", handled[1], re.MULTILINE), "pong"} == sent
    taken_in = set(re.findall(r'case "([a-z]+)"', LIVE))
    assert set(table("protocol.md", "From the page")) == taken_in
    assert set(re.findall(r'type: "([a-z]+)"', SCRIPT)) == taken_in


def test_the_protocol_page_has_every_error_code() -> None:
    codes = {*re.findall(r'(?:refuse|put_error|FrameError)\(\s*"([a-z-]+)"', LIVE), *WHAT_FAILED}
    assert set(table("protocol.md", "Errors")) == codes


def test_the_protocol_page_has_every_close_code() -> None:
    told = set(table("protocol.md", "Closing"))
    of_server = {str(int(code)) for code in CloseCode if code >= 4000}
    of_script = set(re.findall(r"\b4[045]\d\d\b", SCRIPT.replace("4_000", "")))
    assert told == of_server | of_script | {"any other"}


def test_the_script_has_the_close_codes_of_the_server() -> None:
    entries = re.search(r"const CloseCode = \{(.*?)\}", SCRIPT, re.DOTALL)
    assert entries
    codes = {name: int(code) for name, code in re.findall(r"(\w+): (\d+)", entries[1])}
    assert codes == {code.name: code for code in CloseCode if code > CloseCode.RETRY}


def test_the_live_view_page_has_what_the_script_listens_to_and_says() -> None:
    text = (REFERENCE / "live-view.md").read_text()
    names = {*re.findall(r"\bdj-[a-z]+(?:-[a-z]+)*\b", SCRIPT), *re.findall(r"data-presence-\w+", SCRIPT)}
    names |= {*re.findall(r'emit\("(presence-client:\w+)"', SCRIPT)}
    assert names
    assert not [name for name in sorted(names) if name not in text]


def logged() -> Iterator[tuple[str, str]]:
    """The level and the text of every line that the package logs, with … for what is filled in."""
    for source in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            match node:
                case (
                    ast.Call(func=ast.Attribute(value=ast.Name(id="logger"), attr=level), args=[text, *_])
                    | ast.Call(args=[ast.Attribute(value=ast.Name(id="logger"), attr=level), text, *_])
                ):
                    assert isinstance(text, ast.Constant), (
                        f"{source}:{node.lineno} logs what is made up elsewhere"
                    )
                    yield level.replace("exception", "error"), re.sub(r"%[.\d]*[a-z]", "…", str(text.value))


def test_the_troubleshooting_page_has_every_line_of_the_log_with_its_level() -> None:
    told = table("../how-to/troubleshoot.md", "Every line of the log")
    found = {
        (beginning, level) for level, text in logged() for beginning in told if text.startswith(beginning)
    }
    assert found == {(beginning, cells[0]) for beginning, cells in told.items()}
    untold = [text for _, text in logged() if not text.startswith(tuple(told))]
    assert untold == []


def test_the_logging_setting_of_the_troubleshooting_page_shows_the_lines() -> None:
    (setting,) = [block.text for block in blocks("docs/how-to/troubleshoot.md") if "LOGGING" in block.text]
    program = (
        f"{setting}\nimport django, logging\nfrom django.conf import settings\nsettings.configure(LOGGING=LOGGING)\n"
        "django.setup()\nlogging.getLogger('djust_presence').info('hello')\n"
        "logging.getLogger('django.request').error('traceback')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    lines = done.stderr.splitlines()
    assert [line.split(" ", 3)[3] for line in lines] == [
        "INFO djust_presence: hello",
        "ERROR django.request: traceback",
    ]


def test_every_mention_of_a_page_of_the_documentation_names_one_that_exists() -> None:
    sources = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.js")]
    named = {page for source in sources for page in re.findall(r"docs/[\w/-]+\.md", source.read_text())}
    assert named
    assert all((ROOT / page).is_file() for page in named)
