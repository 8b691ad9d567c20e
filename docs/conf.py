"""Configuration of Sphinx for the documentation."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

from sphinx.application import Sphinx

project = "djust presence"
author = "The djust-presence contributors"
copyright = "2026, the djust-presence contributors"
release = importlib.metadata.version("djust-presence")

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = True

html_theme = "furo"
html_title = "djust presence"
html_static_path = ["_static"]
html_css_files = ["docs.css"]


def publish_llms_txt(app: Sphinx, error: Exception | None) -> None:
    """Put llms.txt beside the built pages; there it links to their Markdown sources."""
    if error is None and app.builder.format == "html":
        text = (Path(__file__).parents[1] / "llms.txt").read_text()
        (Path(app.outdir) / "llms.txt").write_text(re.sub(r"\(docs/(.+?\.md)\)", r"(_sources/\1.txt)", text))


def setup(app: Sphinx) -> None:
    app.connect("build-finished", publish_llms_txt)
