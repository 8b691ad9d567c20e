from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import djust_presence

PACKAGE = Path(djust_presence.__file__).parent
NAME = PACKAGE.name

# From the bottom up: each may import what stands in the lines above its own.
LAYERS = [
    {"conf", "forks", "calls"},
    {"errors", "outages", "rates", "signals"},
    {"keys"},
    {"state"},
    {"backends"},
    {"bus"},
    {"tracker"},
    {"presence"},
    {"cursors"},
    {"events"},
    {"mixins"},
    {"cursor_mixin"},
    {"live"},
    {"hosts"},
    {"templatetags", "context_processors", "checks", "testing", "contract", "management"},
    {"apps", "pytest_plugin"},
]
HEIGHTS = {module: height for height, layer in enumerate(LAYERS) for module in layer}
# Neighbours that know nothing of each other.
STRANGERS = [{"conf", "errors", "signals"}, {"presence", "cursors", "events"}, {"live", "hosts"}]


def modules() -> Iterator[tuple[str, Path]]:
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), path


def imports(name: str, path: Path) -> Iterator[str]:
    """The full names of what a module imports, at whatever place."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def ours(imported: str) -> str | None:
    """The module or package of ours, just below the top, that this is of."""
    top, _, rest = imported.partition(".")
    return rest.partition(".")[0] if top == NAME and rest else None


def test_every_module_has_its_layer() -> None:
    tops = {name.split(".")[1] for name, _ in modules() if "." in name}
    assert tops <= HEIGHTS.keys()


def test_nothing_imports_upwards() -> None:
    wrong = [
        f"{name} imports {imported}"
        for name, path in modules()
        if "." in name
        for imported in imports(name, path)
        if (theirs := ours(imported)) is not None
        and theirs != (mine := name.split(".")[1])
        and (HEIGHTS[theirs] >= HEIGHTS[mine] or any({mine, theirs} <= group for group in STRANGERS))
    ]
    assert wrong == []


def test_only_the_registry_knows_the_redis_backend_and_only_by_its_path() -> None:
    redis = f"{NAME}.backends.redis"
    wrong = [
        name
        for name, path in modules()
        for imported in imports(name, path)
        if f"{imported}.".startswith(f"{redis}.") or (imported.split(".")[0] == "redis" and name != redis)
    ]
    assert wrong == []
    mentioned = [name for name, path in modules() if f'"{redis}.' in path.read_text()]
    assert mentioned == [f"{NAME}.backends.registry"]


def test_the_pure_pieces_need_only_the_standard_library() -> None:
    wrong = [
        f"{name} imports {imported}"
        for name, path in modules()
        if name.startswith(f"{NAME}.state")
        for imported in imports(name, path)
        if imported.split(".")[0] not in sys.stdlib_module_names and ours(imported) != "state"
    ]
    assert wrong == []


def test_no_clock_and_no_io_in_the_pure_pieces() -> None:
    wrong = [
        f"{name} imports {imported}"
        for name, path in modules()
        if name.startswith(f"{NAME}.state")
        for imported in imports(name, path)
        if imported.split(".")[0] in {"asyncio", "os", "random", "socket", "threading", "time", "uuid"}
    ]
    assert wrong == []


def test_the_mixins_know_no_host() -> None:
    (path,) = (path for name, path in modules() if name == f"{NAME}.mixins")
    assert not any(".live" in one or "djust." in one for one in imports(f"{NAME}.mixins", path))
