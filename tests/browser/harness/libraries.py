"""Scripts of others, as npm has them: `tests/browser/npm/package.json` says which."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

NPM = Path(__file__).resolve().parent.parent / "npm"
LIBRARIES = {
    "alpine.js": "alpinejs/dist/cdn.min.js",
    "alpine-csp.js": "@alpinejs/csp/dist/cdn.min.js",
    "axe.js": "axe-core/axe.min.js",
    "chart.js": "chart.js/dist/chart.umd.min.js",
    "flatpickr.js": "flatpickr/dist/flatpickr.min.js",
    "htmx-2.js": "htmx-2/dist/htmx.min.js",
    "htmx-4.js": "htmx-4/dist/htmx.min.js",
    "sortable.js": "sortablejs/Sortable.min.js",
    "tom-select.js": "tom-select/dist/js/tom-select.complete.min.js",
}


def libraries() -> dict[str, Path]:
    """The path of each library, which `npm ci` installs the first time. Raises `CalledProcessError`."""
    lock = NPM / "package-lock.json"
    installed = NPM / "node_modules" / ".package-lock.json"
    with lock.open() as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=NPM, check=True)
    return {name: NPM / "node_modules" / path for name, path in LIBRARIES.items()}
