"""Methods that a page may call: ``event_handler``, and their arguments from the browser's parameters."""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from types import MethodType
from typing import Any, NamedTuple, TypeVar, overload
from uuid import UUID

from .errors import PresenceError

__all__ = ["ArgumentError", "bind", "event_handler", "find_handler", "is_event_handler"]

F = TypeVar("F", bound=Callable[..., Any])

# The page sends these with most events; handlers that do not take them do not get them.
FRAMEWORK_KEYS = frozenset({"value", "field", "_target", "_args"})
TRUE = frozenset({"true", "on", "yes", "y", "t", "1"})
FALSE = frozenset({"false", "off", "no", "n", "f", "0", ""})
_MARK = "_presence_event_handler"


class ArgumentError(PresenceError, ValueError):
    """The browser's parameters do not fit the handler. The message names the argument, never its value."""


@overload
def event_handler(function: F, /) -> F: ...
@overload
def event_handler() -> Callable[[F], F]: ...
def event_handler(function: F | None = None, /) -> F | Callable[[F], F]:
    """Let the page call this method of a view, sync or async: ``@event_handler()`` or ``@event_handler``.

    The method gets its arguments by name, coerced by their annotations (see ``bind``).
    A subclass that overrides it decorates it again: an undecorated override is not callable, so that
    no helper method is ever exposed because of its name alone.

    Raises ``TypeError`` for a name that starts with an underscore and for positional-only parameters.
    """
    if function is None:
        return event_handler
    if function.__name__.startswith("_"):
        raise TypeError(f"{function.__qualname__} cannot be an event handler: its name is private.")
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise TypeError(f"{function.__qualname__} takes {parameter.name!r} by position only.")
    setattr(function, _MARK, True)
    return function


def is_event_handler(function: object) -> bool:
    """Return whether *function* was decorated, perhaps under other decorators that use ``functools.wraps``."""
    return callable(function) and getattr(function, _MARK, False) is True


def find_handler(view: object, name: str) -> MethodType | None:
    """Return the method of *view* that the page may call by *name*, or None.

    The class decides, not the instance: an attribute set on the view can neither hide nor become a handler.
    """
    if name.startswith("_"):
        return None
    # Not by getattr, which would run a property of the class.
    function: Any = next((vars(one)[name] for one in type(view).__mro__ if name in vars(one)), None)
    return MethodType(function, view) if is_event_handler(function) else None


def bind(handler: MethodType, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments for *handler* from the *params* that the browser sent.

    Values are coerced by annotation: ``str``, ``int``, ``float``, ``bool``, ``Decimal``, ``UUID``, ``list``
    and lists of these (a string is split at commas), ``Optional`` and unions of these (an empty string
    is None where None is allowed and ``str`` is not). Other annotations, and none, leave the value as it is.
    ``_args`` (a list: ``dj-click="pick(3, 'x')"``) fill the parameters in their order. ``_data`` (an object: the
    ``data-`` attributes of a clicked element) holds arguments of which the handler gets those that it takes.
    ``value``, ``field`` and ``_target`` are dropped where the handler does not take them; any other unknown
    name is an error.

    Raises ``ArgumentError``.
    """
    shape = _shape(handler.__func__)
    given = dict(params)
    if "_data" in given and "_data" not in shape.names:
        given = _taken(shape, given.pop("_data")) | given
    if "_args" in given and "_args" not in shape.names:
        given |= _by_position(shape, given.pop("_args"))
    arguments = {}
    for name, value in given.items():
        if name in shape.names:
            arguments[name] = _coerced(name, value, shape.names[name])
        elif shape.takes(name):
            arguments[name] = value
        elif name not in FRAMEWORK_KEYS:
            raise ArgumentError(f"There is no argument {name[:80]!r}.")
    for name in shape.required:
        if name not in arguments:
            raise ArgumentError(f"The argument {name!r} is missing.")
    return arguments


class _Shape(NamedTuple):
    receiver: str
    names: dict[str, Any]
    required: tuple[str, ...]
    takes_any: bool

    def takes(self, name: str) -> bool:
        return name in self.names or (self.takes_any and name != self.receiver)


@lru_cache(maxsize=1024)
def _shape(function: Callable[..., Any]) -> _Shape:
    receiver, *parameters = inspect.signature(function).parameters.values()
    named = [one for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    return _Shape(
        receiver=receiver.name,
        names={one.name: _annotation(function, one) for one in named},
        required=tuple(one.name for one in named if one.default is one.empty),
        takes_any=any(one.kind is one.VAR_KEYWORD for one in parameters),
    )


def _annotation(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    annotation = parameter.annotation
    if annotation is parameter.empty:
        return Any
    try:
        holder = types.SimpleNamespace(__annotations__={parameter.name: annotation})
        namespace = inspect.unwrap(function).__globals__
        annotation = typing.get_type_hints(holder, globalns=namespace)[parameter.name]
    except NameError:  # imported for type checkers only, so not a type that this module coerces to
        return Any
    return annotation | None if parameter.default is None else annotation


def _taken(shape: _Shape, offered: Any) -> dict[str, Any]:
    if not isinstance(offered, dict):
        raise ArgumentError("The argument '_data' is not an object.")
    return {name: value for name, value in offered.items() if shape.takes(name)}


def _by_position(shape: _Shape, values: Any) -> dict[str, Any]:
    if not isinstance(values, list):
        raise ArgumentError("The argument '_args' is not a list.")
    if len(values) > len(shape.names):
        raise ArgumentError(f"There are {len(values)} arguments in '_args', at most {len(shape.names)} fit.")
    return dict(zip(shape.names, values, strict=False))


def _coerced(name: str, value: Any, annotation: Any) -> Any:
    try:
        return _coerce(value, annotation)
    except (ValueError, InvalidOperation, OverflowError):
        wanted = getattr(annotation, "__name__", None) if isinstance(annotation, type) else None
        raise ArgumentError(f"The argument {name!r} is not a valid {wanted or annotation}.") from None


def _coerce(value: Any, annotation: Any) -> Any:
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _coerce(value, inner[0])
    if origin in (typing.Union, types.UnionType):
        return _one_of(value, inner)
    if annotation is list or origin is list:
        values = _split(value) if isinstance(value, str) else value
        if not isinstance(values, list):
            values = [value]
        return [_coerce(one, inner[0] if inner else Any) for one in values]
    if annotation is types.NoneType:
        return _none(value)
    coerce = _COERCIONS.get(annotation) if isinstance(annotation, type) else None
    return coerce(value) if coerce else value


def _one_of(value: Any, annotations: tuple[Any, ...]) -> Any:
    if type(value) in annotations:
        return value
    if value == "" and types.NoneType in annotations:
        return None
    for annotation in annotations:
        try:
            return _coerce(value, annotation)
        except (ValueError, InvalidOperation, OverflowError):
            continue
    raise ValueError


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")] if text else []


def _none(value: Any) -> None:
    if value is not None:
        raise ValueError


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise ValueError


def _bool(value: Any) -> bool:
    word = _text(value).strip().lower()
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise ValueError


def _number(value: Any) -> str | int | float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError
    return value


def _int(value: Any) -> int:
    number = _number(value)
    if isinstance(number, float) and not number.is_integer():
        raise ValueError
    return int(number)


def _float(value: Any) -> float:
    number = float(_number(value))
    if not math.isfinite(number):
        raise ValueError
    return number


def _decimal(value: Any) -> Decimal:
    number = Decimal(str(_number(value)).strip())
    if not number.is_finite():
        raise ValueError
    return number


def _uuid(value: Any) -> UUID:
    return UUID(_text(value))


_COERCIONS: dict[type, Callable[[Any], Any]] = {
    str: _text,
    int: _int,
    float: _float,
    bool: _bool,
    Decimal: _decimal,
    UUID: _uuid,
}
