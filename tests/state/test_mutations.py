"""No condition of the Keeper is idle: negate any one, and a unit test, a timed history or a walk notices."""

from __future__ import annotations

import ast
import copy
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from djust_presence.state import keeper

from . import test_exploration, test_keeper, test_timed, timed
from .explorer import walk
from .pieces import Pieces, run, source
from .world import World

logger = logging.getLogger(__name__)

HISTORIES, WALKS = 120, 150
TREE = ast.parse(source(keeper))


def conditions() -> Iterator[ast.expr]:
    """Every test of the module, and every part of one that is made of several."""
    for node in ast.walk(TREE):
        match node:
            case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
                yield test
            case ast.comprehension(ifs=tests):
                yield from tests
            case ast.BoolOp(values=values):
                yield from values
            case ast.Return(value=ast.Compare() as test):
                yield test


CONDITIONS = list({(one.lineno, one.col_offset, one.end_col_offset): one for one in conditions()}.values())


def negated(condition: ast.expr) -> type[keeper.Keeper]:
    """The Keeper with *condition* negated."""
    tree = copy.deepcopy(TREE)

    class Negate(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> Any:
            node = self.generic_visit(node)
            if isinstance(node, ast.expr) and ast.dump(node, include_attributes=True) == wanted:
                return ast.UnaryOp(ast.Not(), node)
            return node

    wanted = ast.dump(condition, include_attributes=True)
    mutant = ast.fix_missing_locations(Negate().visit(tree))
    assert ast.dump(mutant) != ast.dump(TREE)
    made: type[keeper.Keeper] = run(keeper, mutant)["Keeper"]
    return made


def broken(does: Callable[[], object]) -> bool:
    """Return whether it finds something, or fails: by an assertion, or by the error of a Keeper that makes no sense."""
    try:
        return bool(does())
    except Exception:
        return True


def notices(mutant: type[keeper.Keeper], monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what notices that this is not the real one, if anything does."""
    with monkeypatch.context() as patch:
        patch.setattr(test_keeper, "Keeper", mutant)
        for name, test in vars(test_keeper).items():
            if name.startswith("test_") and broken(test):
                return name
    pieces = Pieces(keeper=mutant)
    for fleet in test_timed.FLEETS:
        if broken(lambda fleet=fleet: timed.explore(pieces, range(HISTORIES), **fleet)):  # type: ignore[misc]
            return f"histories of {fleet}"
    for day, budget in test_exploration.DAYS.items():
        make = lambda: World(budget, processes="ABC", keys="gh", users="uvw", pieces=pieces)  # noqa: B023, E731
        for seed in range(WALKS):
            if broken(lambda: walk(make, seed, test_exploration.STEPS)):  # noqa: B023
                return f"{day} walk {seed}"
    return ""


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize(
    "condition", CONDITIONS, ids=lambda one: f"{one.lineno}:{one.col_offset} {ast.unparse(one)[:60]}"
)
def test_a_negated_condition_is_noticed(condition: ast.expr, monkeypatch: pytest.MonkeyPatch) -> None:
    by = notices(negated(condition), monkeypatch)
    assert by, f"nothing notices if `{ast.unparse(condition)}` of line {condition.lineno} is negated"
    logger.info("noticed by %s", by)
