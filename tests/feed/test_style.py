"""The colours of the optional style sheet can be read, in both schemes."""

from __future__ import annotations

import re

import pytest

from djust_presence.feed.tags import HUES
from tests.servers import ROOT

CSS = (ROOT / "djust_presence" / "static" / "djust_presence" / "presence.css").read_text()
LIGHT, DARK = CSS.split("prefers-color-scheme: dark")


def color(name: str, scheme: str) -> str:
    found = re.search(rf"--presence-{name}: (#\w+)", scheme) or re.search(
        rf"--presence-{name}: (#\w+)", LIGHT
    )
    assert found, name
    return found[1]


def luminance(color: str) -> float:
    digits = color[1:] if len(color) == 7 else "".join(digit * 2 for digit in color[1:])
    parts = [int(digits[index : index + 2], 16) / 255 for index in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_initials_can_be_read_on_every_colour() -> None:
    hues = re.findall(r"\.presence-hue-(\d+) \{ --presence-hue: (#\w+); \}", CSS)
    assert [int(number) for number, _ in hues] == list(range(HUES))
    assert len({hue for _, hue in hues}) == HUES
    none = re.search(r"var\(--presence-hue, (#\w+)\)", CSS)
    assert none
    assert min(contrast("#fff", one) for one in [none[1], *(hue for _, hue in hues)]) >= 4.5


@pytest.mark.parametrize(("scheme", "page"), [(LIGHT, "#ffffff"), (DARK, "#111827")], ids=["light", "dark"])
def test_numbers_and_dots_can_be_seen(scheme: str, page: str) -> None:
    assert contrast(color("more-text", scheme), color("more-fill", scheme)) >= 4.5
    assert contrast(color("online", scheme), page) >= 3
    assert contrast(color("offline", scheme), page) >= 3
