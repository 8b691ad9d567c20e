"""The pieces that are explored: the real classes, or a copy of them with one rule off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from djust_presence.state import audience, keeper, outbox, replica, store, submissions
from djust_presence.state.audience import Audience, Viewer
from djust_presence.state.keeper import Keeper
from djust_presence.state.outbox import Outbox
from djust_presence.state.replica import Replica
from djust_presence.state.store import Store
from djust_presence.state.submissions import Submissions


class Pieces(NamedTuple):
    """One class of each."""

    store: type[Store] = Store
    replica: type[Replica] = Replica
    outbox: type[Outbox] = Outbox
    keeper: type[Keeper] = Keeper
    viewer: type[Viewer] = Viewer
    audience: type[Audience[Any]] = Audience
    submissions: type[Submissions] = Submissions


REAL = Pieces()
HOMES: Mapping[ModuleType, Sequence[str]] = {
    store: ["Store"],
    replica: ["Replica"],
    outbox: ["Outbox"],
    keeper: ["Keeper"],
    audience: ["Viewer", "Audience"],
    submissions: ["Submissions"],
}

# A page of a World is made with the viewer of its pieces, which may have one rule off.
if TYPE_CHECKING:
    AnyViewer = Viewer
else:
    AnyViewer = object


class Patch(NamedTuple):
    """A rule switched off in the text of a module."""

    module: ModuleType
    before: str
    after: str


def source(module: ModuleType) -> str:
    assert module.__file__
    return Path(module.__file__).read_text(encoding="utf-8")


def run(module: ModuleType, code: Any) -> dict[str, Any]:
    """The names that *module* has if it is made of *code*, text or a syntax tree."""
    scope: dict[str, Any] = {"__name__": module.__name__, "__package__": module.__package__}
    exec(compile(code, f"{module.__file__}, patched", "exec"), scope)
    return scope


def replaced(module: ModuleType, names: Mapping[str, Any], pieces: Pieces = REAL) -> Pieces:
    """Return *pieces* with the classes of *module* as they are in *names*."""
    return pieces._replace(**{name.lower(): names[name] for name in HOMES[module]})


def patched(patches: Sequence[Patch]) -> Pieces:
    """The pieces as they would be with these patches."""
    texts = {patch.module: source(patch.module) for patch in patches}
    for module, before, after in patches:
        text = texts[module]
        assert text.count(before) == 1, f"{module.__name__} has not exactly one {before!r}"
        texts[module] = text.replace(before, after)
    pieces = REAL
    for module, text in texts.items():
        pieces = replaced(module, run(module, text), pieces)
    return pieces


def carry_out(store: Store, verb: str, args: Sequence[Any], now: float) -> Any:
    """Do what a Keeper's call, or a read, asks of the store."""
    match verb:
        case "open":
            lease, ttl, unheard, pause = args
            return store.open(lease, ttl, now, unheard, pause)
        case "renew":
            lease, seq, keys, ahead = args
            return store.renew(lease, seq, keys, now, ahead)
        case "write" | "drain" | "claim" | "beat":
            return getattr(store, verb)(*args, now)
    return getattr(store, verb)(*args)
