"""The client agrees with its page of the documentation, and with that of the protocol."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import djust_presence
from djust_presence.codes import CloseCode
from djust_presence.conf import ANONYMOUS
from tests.test_docs import REFERENCE, table

CLIENT = Path(djust_presence.__path__[0], "static/djust_presence/client.js")
TEXT = CLIENT.read_text()
PAGE = (REFERENCE / "client.md").read_text()


def test_the_page_has_every_time_with_its_default() -> None:
    block = re.search(r"^const times = \{(.*?)\n\};", TEXT, re.DOTALL | re.MULTILINE)
    assert block
    assert {name: row[0] for name, row in table("client.md", "Times").items()} == dict(
        re.findall(r"^  (\w+): ([\d.]+),", block[1], re.MULTILINE)
    )


def test_the_page_has_every_event_and_state() -> None:
    events = re.search(r"^const EVENTS = \[(.*?)\]", TEXT, re.MULTILINE)
    assert events
    assert list(table("client.md", "Events")) == re.findall(r"\"(\w+)\"", events[1])
    states = {*re.findall(r'setState\(.*?"(\w+)"', TEXT), *re.findall(r'\? "(\w+)" : "reconnecting"', TEXT)}
    assert set(table("client.md", "The page")) == states


def test_the_page_has_all_that_a_room_can_do() -> None:
    handle = TEXT.split("return Object.freeze({")[1].split("\n  });")[0]
    can = set(re.findall(r"^    (?:get )?(\w+)[(:]", handle, re.MULTILINE))
    assert {re.split(r"\W", name)[1] for name in table("client.md", "A room")} == can


def test_the_page_has_every_attribute_and_element() -> None:
    names = {*re.findall(r"data-presence[\w-]*|presence-client:\w+", TEXT)}
    assert names
    assert not [name for name in names if name not in PAGE]
    elements = {f"<{name}>" for name in re.findall(r'^  "(presence-\w+)": \{', TEXT, re.MULTILINE)}
    assert set(table("client.md", "Elements")) == elements


def test_the_client_knows_the_close_codes_of_the_server() -> None:
    final = re.search(r"^const FINAL = \[(.*)\];", TEXT, re.MULTILINE)
    assert final
    assert [int(code) for code in final[1].split(",")] == [
        CloseCode.BAD_REQUEST,
        CloseCode.FORBIDDEN,
        CloseCode.NOT_FOUND,
        CloseCode.FLOOD,
    ]
    assert f"LOG_IN = {int(CloseCode.LOG_IN)};" in TEXT
    assert f"FAILED = {int(CloseCode.FAILED)};" in TEXT
    assert f"{int(CloseCode.RETRY)}]" in TEXT


def test_the_client_knows_every_way_to_be_anonymous() -> None:
    assert {"none", "tab"} < set(ANONYMOUS)
    assert set(re.findall(r'settings\.anonymous === "(\w+)"', TEXT)) == {"none", "tab"}  # else the browser


def test_the_client_is_small_and_needs_no_other_file() -> None:
    assert len(gzip.compress(TEXT.encode(), 9)) < 12_500
    assert not re.search(r"^import\b|\bimport\(|innerHTML|\beval\(|new Function", TEXT, re.MULTILINE)
