"""Rules of the modules: imports only downwards, no cycles, private names only at home."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Collection, Iterator
from importlib import import_module
from pathlib import Path

import djust_presence
from djust_presence.state.audience import Viewer
from djust_presence.tracker import Session

PACKAGE = Path(djust_presence.__file__).parent
NAME = PACKAGE.name

# From the bottom up: each may import what stands in the lines above its own.
LAYERS = [
    {"forks", "tasks"},
    {"background"},
    {"conf", "calls", "codes"},
    {"errors", "outages", "rates", "signals"},
    {"keys", "guests", "greenlets"},
    {"state"},
    {"identity"},
    {"backends"},
    {"bus"},
    {"tracker"},
    {"presence", "cursors", "events"},
    {"view_presence"},
    {"mixins"},
    {"cursor_mixin"},
    {"hosts"},
    {"live", "djust", "channels", "feed"},
    {"templatetags", "context_processors", "checks", "testing", "management", "urls"},
    {"apps", "contract", "jinja2", "pytest_plugin"},
]
HEIGHTS = {module: height for height, layer in enumerate(LAYERS) for module in layer}
# Neighbours that know nothing of each other.
STRANGERS = [
    {"conf", "errors", "signals"},
    {"presence", "cursors", "events"},
    {"live", "djust", "channels", "feed"},
]

# Private names of Django and djust, for which there is no public one. An entry that is no longer needed fails.
BORROWED = {
    ("cursors/caches.py", "_dir"): "the folder of a file cache, for a lock in it",
    ("djust/consumer.py", "_extract_liveview_content"): "the page as djust sends it whole",
    ("djust/consumer.py", "_strip_comments_and_whitespace"): "the same",
    (
        "djust/host.py",
        "_initialize_temporary_assigns",
    ): "the first that djust calls of a view with its request",
    ("djust/host.py", "_tenant"): "the tenant of a djust view",
    ("feed/polling.py", "_has_been_logged"): "what keeps Django from a line for each response of an outage",
    ("hosts/access.py", "_cache"): "the cache that Django's session engine reads from",
    ("hosts/request.py", "_get_raw_host"): "the Host header for a message, even if Django refuses it",
    ("hosts/request.py", "_origin_verified"): "Django's own check of an Origin",
    ("hosts/users.py", "_wrapped"): "the user in a lazy one",
    ("hosts/middleware.py", "_handler_class"): "the sender of the signal that a request is finished",
    (
        "hosts/middleware.py",
        "_template_response_middleware",
    ): "what Django's handlers process template responses by",
}
# Public API of others, in spite of the underscore.
DOCUMENTED = {
    "_asdict": "typing.NamedTuple",
    "_default_manager": "a Django model's default manager",
    "_meta": "a Django model's options",
    "_replace": "typing.NamedTuple",
    "_state": "a Django model's state",
}


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


def module_of(imported: str, names: Collection[str]) -> str:
    """Return which of *names* is imported, or imported from; an empty string if none is."""
    while imported and imported not in names:
        imported = imported.rpartition(".")[0]
    return imported


def import_graph() -> dict[str, set[str]]:
    """Return the modules that each module imports. A name re-exported by `__init__` is imported from `__init__`."""
    files = dict(modules())
    return {
        name: {module_of(imported, files) for imported in imports(name, path)} - {"", name}
        for name, path in files.items()
    }


def reachable(start: str, graph: dict[str, set[str]]) -> set[str]:
    """Return the modules that *start* imports, directly or not."""
    found: set[str] = set()
    pending = [start]
    while pending:
        unseen = graph[pending.pop()] - found
        found |= unseen
        pending.extend(unseen)
    return found


def cycles() -> set[str]:
    """Return the strongly connected components of more than one module, each as its sorted names."""
    graph = import_graph()
    reached = {name: reachable(name, graph) for name in graph}
    components = (sorted(other for other in reached[name] if name in reached[other]) for name in graph)
    return {" ".join(name.removeprefix(f"{NAME}.") for name in names) for names in components if names}


def defined(node: ast.AST) -> Iterator[str]:
    """The names that a node of the syntax tree gives to a function, class, variable, field, slot or attribute."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Name(id=name, ctx=ast.Store()):
            yield name
        case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
            yield name
        case ast.Assign(targets=[ast.Name(id="__slots__")], value=value):
            constants = (one.value for one in ast.walk(value) if isinstance(one, ast.Constant))
            yield from (one for one in constants if isinstance(one, str))


def accessed(node: ast.AST) -> Iterator[str]:
    """The private name that a node of the syntax tree uses of anything but `self`, `cls` and `super()`."""
    match node:
        case ast.Attribute(value=ast.Name(id="self" | "cls") | ast.Call(func=ast.Name(id="super"))):
            return
        case ast.Attribute(attr=name) if name.startswith("_") and not name.endswith("__"):
            yield name


def foreign_accesses() -> set[tuple[str, str]]:
    """Return each file with each private name that it uses and does not define."""
    found: set[tuple[str, str]] = set()
    for _, path in modules():
        nodes = list(ast.walk(ast.parse(path.read_text())))
        own = {name for node in nodes for name in defined(node)}
        foreign = {name for node in nodes for name in accessed(node)} - own - DOCUMENTED.keys()
        found |= {(path.relative_to(PACKAGE).as_posix(), name) for name in foreign}
    return found


def test_every_module_has_its_layer() -> None:
    tops = {name.split(".")[1] for name, _ in modules() if "." in name}
    assert tops <= HEIGHTS.keys()


def test_the_map_for_contributors_has_every_module_below_what_it_imports() -> None:
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text()
    _, _, table = text.partition("| place in `djust_presence/` |")
    lines = table.partition("\n\n")[0].splitlines()
    rows = {
        name: row
        for row, line in enumerate(lines)
        for name in re.findall(r"`(\w+)(?:\.py|/)`", line.split(" | ")[0])
    }
    tops = {name.split(".")[1] for name, _ in modules() if "." in name}
    assert rows.keys() == tops | {"static"}
    wrong = [
        f"{name} imports {imported}"
        for name, path in modules()
        if "." in name
        for imported in imports(name, path)
        if (theirs := ours(imported)) in rows and rows[theirs] > rows[name.split(".")[1]]
    ]
    assert wrong == []


def test_nothing_imports_upwards() -> None:
    wrong = [
        f"{name} imports {imported}"
        for name, path in modules()
        if "." in name
        for imported in imports(name, path)
        if (theirs := ours(imported)) is not None
        and theirs != (mine := name.split(".")[1])
        and (
            HEIGHTS.get(theirs, len(LAYERS)) >= HEIGHTS[mine]
            or any({mine, theirs} <= group for group in STRANGERS)
        )
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_cycle() -> None:
    assert cycles() == set()


def test_private_names_are_used_only_where_they_are_defined() -> None:
    assert foreign_accesses() == BORROWED.keys()


def imported_names() -> dict[str, set[str]]:
    """Return the names that other modules import from each module."""
    files = dict(modules())
    found: dict[str, set[str]] = {}
    for name, path in files.items():
        for imported in set(imports(name, path)) - files.keys():
            origin, _, imported_name = imported.rpartition(".")
            if origin in files.keys() - {name}:
                found.setdefault(origin, set()).add(imported_name)
    return found


def test_the_names_that_other_modules_import_are_in_all() -> None:
    wrong = {
        name: missing
        for name, names in imported_names().items()
        if (missing := names - set(getattr(import_module(name), "__all__", ())))
    }
    assert wrong == {}


def test_only_a_session_writes_its_fields() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{node.lineno} writes session.{node.attr}"
        for _, path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "session"
        and node.attr in {*Session.__slots__, *Viewer.__slots__}
    ]
    assert wrong == []


def test_no_module_has_grown_into_two() -> None:
    lines = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for _, path in modules()}
    assert {name: count for name, count in lines.items() if count > 300} == {}


def test_only_the_registry_knows_the_redis_backend_and_only_by_its_path() -> None:
    redis = f"{NAME}.backends.redis"
    wrong = [
        name
        for name, path in modules()
        for imported in imports(name, path)
        if not f"{name}.".startswith(f"{redis}.")
        and (f"{imported}.".startswith(f"{redis}.") or imported.split(".")[0] == "redis")
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
