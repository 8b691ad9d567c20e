from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from decimal import Decimal
from types import MethodType
from typing import TYPE_CHECKING, Annotated, Any, Optional, TypeVar, Union
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from djust_presence.errors import PresenceError
from djust_presence.events import ArgumentError, bind, event_handler, find_handler, is_event_handler

if TYPE_CHECKING:
    from somewhere import Something  # type: ignore[import-not-found]

F = TypeVar("F", bound=Callable[..., Any])

SOME_ID = UUID("550e8400-e29b-41d4-a716-446655440000")


def logged(function: F) -> F:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper  # type: ignore[return-value]


class View:
    shadow = "not callable"

    @event_handler()
    def called(self, x: int) -> int:
        return x

    @event_handler
    def bare(self) -> None: ...

    @event_handler()
    async def waits(self) -> None: ...

    @logged
    @event_handler()
    def wrapped(self, x: int) -> None: ...

    def helper(self) -> None: ...

    @property
    def computed(self) -> str:
        raise AssertionError("evaluated")


class Same(View):
    def called(self, x: int) -> int:
        return x


class Again(View):
    @event_handler()
    def called(self, x: int, y: int = 0) -> int:
        return x + y


class Hidden(View):
    bare = None  # type: ignore[assignment]


def handler(function: Callable[..., Any]) -> MethodType:
    return MethodType(event_handler(function), View())


# Which methods


@pytest.mark.parametrize("name", ["called", "bare", "waits", "wrapped"])
def test_decorated_methods_are_found(name: str) -> None:
    view = View()
    found = find_handler(view, name)
    assert found is not None
    assert found.__self__ is view


@pytest.mark.parametrize(
    "name",
    ["helper", "computed", "shadow", "missing", "", "__init__", "__class__", "_private", "called.x", "\0"],
)
def test_nothing_else_is_found(name: str) -> None:
    assert find_handler(View(), name) is None


def test_an_override_is_callable_if_it_is_decorated_again() -> None:
    assert find_handler(Again(), "called") is not None
    assert find_handler(Same(), "called") is None
    assert find_handler(Hidden(), "bare") is None
    assert find_handler(Same(), "bare") is not None


def test_an_attribute_of_the_instance_neither_hides_nor_becomes_a_handler() -> None:
    view = View()
    view.called = "text"  # type: ignore[method-assign, assignment]
    view.helper = view.bare  # type: ignore[method-assign]
    assert find_handler(view, "called") is not None
    assert find_handler(view, "helper") is None


def test_the_decorated_method_is_the_method_itself() -> None:
    def method(self: Any) -> None: ...

    assert event_handler()(method) is method
    assert is_event_handler(method)
    assert not is_event_handler(None)


def test_private_names_cannot_be_handlers() -> None:
    with pytest.raises(TypeError, match="private"):

        @event_handler()
        def _private(self: Any) -> None: ...


def test_positional_only_parameters_cannot_be_given() -> None:
    with pytest.raises(TypeError, match="'x' by position only"):

        @event_handler()
        def moved(self: Any, x: int, /) -> None: ...


# Arguments by name


def test_arguments_go_by_name() -> None:
    def move(self: Any, x: int, y: int = 0, *, fast: bool = False) -> None: ...

    assert bind(handler(move), {"x": "1", "fast": "on"}) == {"x": 1, "fast": True}


def test_a_missing_argument_is_named() -> None:
    def move(self: Any, x: int, y: int) -> None: ...

    with pytest.raises(ArgumentError, match="'y' is missing"):
        bind(handler(move), {"x": 1})


@pytest.mark.parametrize("name", ["z", "self", "", "X"])
def test_an_unknown_argument_is_named(name: str) -> None:
    def move(self: Any, x: int) -> None: ...

    with pytest.raises(ArgumentError, match=f"no argument '{name}'"):
        bind(handler(move), {"x": 1, name: 2})


def test_a_handler_may_take_everything_but_its_own_receiver() -> None:
    def move(self: Any, x: int = 0, **kwargs: Any) -> dict[str, Any]:
        return kwargs

    assert bind(handler(move), {"x": "3", "value": "v", "other": 1}) == {"x": 3, "value": "v", "other": 1}
    with pytest.raises(ArgumentError, match="'self'"):
        bind(handler(move), {"self": 1})


def test_framework_keys_are_dropped_where_they_are_not_taken() -> None:
    def search(self: Any, value: str) -> None: ...
    def clear(self: Any) -> None: ...

    sent = {"value": "x", "field": "q", "_target": "q", "_args": []}
    assert bind(handler(search), sent) == {"value": "x"}
    assert bind(handler(clear), sent) == {}


def test_positional_arguments_of_the_template_fill_the_parameters_in_order() -> None:
    def pick(self: Any, number: int, name: str = "") -> None: ...

    assert bind(handler(pick), {"_args": ["3", "x"]}) == {"number": 3, "name": "x"}
    assert bind(handler(pick), {"_args": [3], "number": 5, "name": "y"}) == {"number": 3, "name": "y"}
    with pytest.raises(ArgumentError, match="at most 2"):
        bind(handler(pick), {"_args": [1, "x", "y"]})
    with pytest.raises(ArgumentError, match="_args"):
        bind(handler(pick), {"_args": "abc"})


def test_a_handler_gets_the_data_that_it_takes() -> None:
    def pick(self: Any, number: int, name: str = "") -> None: ...
    def take(self: Any, **kwargs: Any) -> None: ...

    assert bind(handler(pick), {"_data": {"number": "3", "bs_toggle": "modal"}}) == {"number": 3}
    assert bind(handler(pick), {"_data": {"number": "3"}, "number": "4"}) == {"number": 4}
    assert bind(handler(take), {"_data": {"number": "3", "self": "x"}}) == {"number": "3"}
    with pytest.raises(ArgumentError, match="'number' is not a valid int"):
        bind(handler(pick), {"_data": {"number": "x"}})
    with pytest.raises(ArgumentError, match="'bs_toggle'"):
        bind(handler(pick), {"_data": {"number": "3"}, "bs_toggle": "modal"})
    with pytest.raises(ArgumentError, match="'_data' is not an object"):
        bind(handler(pick), {"_data": ["number"]})


def test_a_handler_may_take_args_itself() -> None:
    def pick(self: Any, _args: list[Any]) -> None: ...

    assert bind(handler(pick), {"_args": [1, "x"]}) == {"_args": [1, "x"]}


# Coercion


@pytest.mark.parametrize(
    ("annotation", "sent", "expected"),
    [
        (int, "42", 42),
        (int, " 42 ", 42),
        (int, 42, 42),
        (int, 42.0, 42),
        (float, "4.5", 4.5),
        (float, 4, 4.0),
        (str, "x", "x"),
        (str, "", ""),
        (str, 4, "4"),
        (str, True, "true"),
        (bool, "on", True),
        (bool, "True", True),
        (bool, "1", True),
        (bool, 1, True),
        (bool, True, True),
        (bool, "off", False),
        (bool, "false", False),
        (bool, "", False),
        (bool, 0, False),
        (bool, False, False),
        (Decimal, "1.10", Decimal("1.10")),
        (Decimal, 1.1, Decimal("1.1")),
        (UUID, str(SOME_ID), SOME_ID),
        (list, ["a", 1], ["a", 1]),
        (list, "a, b", ["a", "b"]),
        (list, "", []),
        (list, 1, [1]),
        (list[int], "1,2", [1, 2]),
        (list[int], ["1", 2], [1, 2]),
        (int | None, "3", 3),
        (int | None, "", None),
        (int | None, None, None),
        (Optional[int], "3", 3),  # noqa: UP045
        (Union[int, None], "", None),  # noqa: UP007
        (str | None, "", ""),
        (str | None, None, None),
        (int | str, "3", "3"),
        (int | bool, "on", True),
        (float | None, 3, 3.0),
        (Annotated[int, "pixels"], "3", 3),
        (list[int] | None, "", None),
        (Any, {"a": 1}, {"a": 1}),
        (dict, {"a": 1}, {"a": 1}),
        (View, "x", "x"),
    ],
)
def test_values_are_coerced_by_annotation(annotation: Any, sent: Any, expected: Any) -> None:
    def take(self: Any, x: Any) -> None: ...

    take.__annotations__["x"] = annotation
    value = bind(handler(take), {"x": sent})["x"]
    assert (value, type(value)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("annotation", "sent"),
    [
        (int, "x"),
        (int, ""),
        (int, "4.5"),
        (int, 4.5),
        (int, True),
        (int, None),
        (int, [1]),
        (int, {}),
        (int, "9" * 5000),
        (int, float("inf")),
        (float, "nan"),
        (float, "inf"),
        (float, "1e999"),
        (float, ""),
        (float, False),
        (str, None),
        (str, ["x"]),
        (str, {}),
        (bool, "maybe"),
        (bool, 2),
        (bool, None),
        (bool, []),
        (Decimal, "x"),
        (Decimal, "NaN"),
        (Decimal, "Infinity"),
        (Decimal, None),
        (UUID, "x"),
        (UUID, 5),
        (list[int], "1,x"),
        (list[int], [[1]]),
        (int | None, "x"),
        (int | float, "x"),
    ],
)
def test_a_value_that_does_not_fit_is_an_error_that_names_the_argument_only(
    annotation: Any, sent: Any
) -> None:
    def take(self: Any, amount: Any) -> None: ...

    take.__annotations__["amount"] = annotation
    with pytest.raises(ArgumentError, match="'amount'") as caught:
        bind(handler(take), {"amount": sent})
    assert isinstance(caught.value, PresenceError)
    assert caught.value.__cause__ is None


def test_none_is_fine_where_it_is_the_default() -> None:
    def take(self: Any, x: int = None) -> None: ...  # type: ignore[assignment] # noqa: RUF013

    assert bind(handler(take), {"x": None}) == {"x": None}
    assert bind(handler(take), {"x": "1"}) == {"x": 1}


def test_annotations_that_exist_for_type_checkers_only_leave_the_value_as_it_is() -> None:
    def take(self: Any, x: Something, y: int) -> Something: ...

    assert bind(handler(take), {"x": "1", "y": "1"}) == {"x": "1", "y": 1}


def test_decorators_between_keep_the_signature() -> None:
    found = find_handler(View(), "wrapped")
    assert found is not None
    assert bind(found, {"x": "1"}) == {"x": 1}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    annotation=st.sampled_from(
        [int, float, bool, str, Decimal, UUID, list[int], int | None, list[str] | float, Any]
    ),
    value=json_values,
)
def test_every_value_is_coerced_or_refused(annotation: Any, value: Any) -> None:
    def take(self: Any, x: Any) -> None: ...

    take.__annotations__["x"] = annotation
    with contextlib.suppress(ArgumentError):
        bind(handler(take), {"x": value})
