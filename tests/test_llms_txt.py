"""llms.txt lists the pages of the documentation."""

from __future__ import annotations

import re

from tests.markdown import PAGES
from tests.servers import ROOT

LLMS = (ROOT / "llms.txt").read_text()


def test_it_has_every_page_with_its_title_and_a_line_on_it() -> None:
    titles = {page: (ROOT / page).read_text().splitlines()[0] for page in PAGES if page.startswith("docs/")}
    listed = re.findall(r"^- \[(.+)\]\((docs/.+?)\): \S.*$", LLMS, re.MULTILINE)
    assert {page: f"# {title}" for title, page in listed} == titles
    assert len(listed) == len(titles)


def test_it_has_a_title_a_summary_and_the_sections_of_the_documentation() -> None:
    title, summary, *_ = re.split(r"\n\n", LLMS)
    assert title == "# djust presence"
    assert all(line.startswith("> ") for line in summary.splitlines())
    assert re.findall(r"^## (.+)$", LLMS, re.MULTILINE) == ["Start", "How to", "Reference", "Explanation"]
