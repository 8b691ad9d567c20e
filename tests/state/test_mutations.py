"""No condition is idle: negate any one, and a unit test, a timed history or a walk notices."""

from __future__ import annotations

import ast
import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import pytest

from djust_presence.state import audience, keeper, submissions

from . import test_audience, test_exploration, test_keeper, test_submissions, test_timed, timed
from .explorer import walk
from .pieces import replaced, run, source
from .world import World

logger = logging.getLogger(__name__)

HISTORIES, WALKS = 120, 150
UNIT_TESTS = {keeper: test_keeper, audience: test_audience, submissions: test_submissions}
TREES = {module: ast.parse(source(module)) for module in UNIT_TESTS}

Names = Mapping[str, Any]  # of a module, with what they stand for


def conditions(tree: ast.AST) -> Iterator[ast.expr]:
    """Every test of a module, and every part of one that is made of several."""
    for node in ast.walk(tree):
        match node:
            case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
                yield test
            case ast.comprehension(ifs=tests):
                yield from tests
            case ast.BoolOp(values=values):
                yield from values
            case ast.Call(func=ast.Name(id="any" | "all"), args=[ast.GeneratorExp(elt=test)]):
                yield test
            case ast.Return(value=test) | ast.Assign(value=test) | ast.keyword(value=test):
                if isinstance(test, ast.Compare):
                    yield test
            case ast.UnaryOp(op=ast.Not(), operand=test):
                yield test


def place(one: ast.expr) -> tuple[int, int, int | None]:
    return one.lineno, one.col_offset, one.end_col_offset


CONDITIONS = [
    pytest.param(
        module,
        one,
        id=f"{module.__name__.rpartition('.')[2]} {one.lineno}:{one.col_offset} {ast.unparse(one)[:60]}",
    )
    for module, tree in TREES.items()
    for one in {place(one): one for one in conditions(tree)}.values()
]


def negated(module: ModuleType, condition: ast.expr) -> Names:
    """Return the names of *module* with *condition* negated."""
    tree = copy.deepcopy(TREES[module])

    class Negate(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> Any:
            node = self.generic_visit(node)
            if isinstance(node, ast.expr) and ast.dump(node, include_attributes=True) == wanted:
                return ast.UnaryOp(ast.Not(), node)
            return node

    wanted = ast.dump(condition, include_attributes=True)
    mutant = ast.fix_missing_locations(Negate().visit(tree))
    assert ast.dump(mutant) != ast.dump(TREES[module])
    return run(module, mutant)


def broken(does: Callable[[], object]) -> bool:
    """Return whether it finds something, or fails: by an assertion, or by the error of a piece that makes no sense."""
    try:
        return bool(does())
    except Exception:
        return True


def failing(module: ModuleType, names: Names, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the unit test of *module* that fails with *names* in its place, if one does."""
    tests = UNIT_TESTS[module]
    with monkeypatch.context() as patch:
        for name, real in vars(module).items():
            if real is vars(tests).get(name) and getattr(real, "__module__", "") == module.__name__:
                patch.setattr(tests, name, names[name])
        for name, test in vars(tests).items():
            if name.startswith("test_") and broken(test):
                return name
    return ""


def exploring(module: ModuleType, names: Names) -> str:
    """Return the timed histories, or the walk, that go wrong with *names* in the place of *module*, if any do."""
    pieces = replaced(module, names)
    for fleet in test_timed.FLEETS:
        if broken(lambda fleet=fleet: timed.explore(pieces, range(HISTORIES), **fleet)):  # type: ignore[misc]
            return f"histories of {fleet}"
    for day, budget in test_exploration.DAYS.items():
        make = lambda: World(budget, processes="ABC", keys="gh", users="uvw", pieces=pieces)  # noqa: B023, E731
        for seed in range(WALKS):
            if broken(lambda: walk(make, seed, test_exploration.STEPS)):  # noqa: B023
                return f"{day} walk {seed}"
    return ""


@pytest.mark.parametrize("module", TREES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_copy_goes_unnoticed_in_unit_tests(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not failing(module, run(module, TREES[module]), monkeypatch)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_copies_go_unnoticed_in_explorations() -> None:
    for module, tree in TREES.items():
        assert not exploring(module, run(module, tree))


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize(("module", "condition"), CONDITIONS)
def test_a_negated_condition_is_noticed(
    module: ModuleType, condition: ast.expr, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = negated(module, condition)
    by = failing(module, names, monkeypatch) or exploring(module, names)
    assert by, f"nothing notices if `{ast.unparse(condition)}` of line {condition.lineno} is negated"
    logger.info("noticed by %s", by)
