"""The parts of the package's metadata that need the repository's address: project URLs, and links of the README."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)]+)\)")


class Metadata(MetadataHookInterface):
    """Fills in ``readme`` and ``urls``. Without an address there are no URLs, and links stay relative."""

    def update(self, metadata: dict[str, Any]) -> None:
        readme = Path(self.root, "README.md").read_text(encoding="utf-8")
        repository = self.config["repository"].rstrip("/")
        if repository:
            tag = f"v{metadata['version']}"

            def absolute(link: re.Match[str]) -> str:
                image, text, target = link.groups()
                return f"{image}[{text}]({repository}/{'raw' if image else 'blob'}/{tag}/{target})"

            readme = RELATIVE.sub(absolute, readme)
            metadata["urls"] = {
                "Changelog": f"{repository}/blob/main/CHANGELOG.md",
                "Documentation": f"{repository}/blob/main/docs/index.md",
                "Issues": f"{repository}/issues",
                "Repository": repository,
            }
        else:
            metadata["urls"] = {}
        metadata["readme"] = {"content-type": "text/markdown", "text": readme}
