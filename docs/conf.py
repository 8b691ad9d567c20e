"""How Sphinx builds the documentation."""

from __future__ import annotations

import importlib.metadata

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
