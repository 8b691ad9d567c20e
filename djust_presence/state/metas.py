"""The metas of users: encoded, decoded and merged."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from .json_text import TOO_DEEP, decode, is_too_deep

__all__ = ["MAX_META_BYTES", "decode_meta", "encode_meta", "merged", "read_meta"]

MAX_META_BYTES = 4096


def encode_meta(meta: Mapping[str, Any]) -> str:
    """Return the canonical text of a meta.

    Raises ``ValueError`` naming the key that JSON cannot carry, or with which it has more than 32 levels (the meta is
    the first), or the size when it is above 4 KB.
    """
    if not isinstance(meta, Mapping):
        raise ValueError(f"A presence meta is a dictionary, not {type(meta).__name__}.")
    for key in meta:
        if not isinstance(key, str):
            raise ValueError(f"A presence meta has text keys only, not {key!r:.80}.")
    try:
        text = _dumps(dict(meta))
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError):
        _raise_for_the_first_of(meta)
        raise
    if size > MAX_META_BYTES:
        raise ValueError(
            f"The presence meta takes {size} bytes as JSON; at most {MAX_META_BYTES} are allowed."
        )
    if is_too_deep(text):
        key = next(key for key, value in meta.items() if is_too_deep(json.dumps({key: value}, default=str)))
        raise ValueError(f"The presence meta's {key!r:.80} cannot be stored as JSON: {TOO_DEEP}")
    return text


def _dumps(values: dict[str, Any]) -> str:
    return json.dumps(values, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _raise_for_the_first_of(meta: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` for the first key whose value cannot be encoded."""
    for key, value in meta.items():
        try:
            _dumps({key: value}).encode()
        except (TypeError, ValueError, RecursionError) as error:
            fault = TOO_DEEP if isinstance(error, RecursionError) else error
            raise ValueError(f"The presence meta's {key!r:.80} cannot be stored as JSON: {fault}") from error


class Meta(NamedTuple):
    """A decoded meta, shared by all who read it."""

    values: Mapping[str, Any]
    nested: bool

    @property
    def name(self) -> str:
        """The name as text, empty if there is none."""
        name = self.values.get("name")
        return "" if name is None else str(name)

    def copy(self) -> dict[str, Any]:
        return copy.deepcopy(dict(self.values)) if self.nested else dict(self.values)


@lru_cache(maxsize=4096)
def read_meta(text: object) -> Meta | None:
    """Decode a meta; None if this package cannot have written it."""
    if not isinstance(text, str) or len(text) > MAX_META_BYTES:
        return None
    try:
        values = decode(text)
    except ValueError:
        return None
    if not isinstance(values, dict):
        return None
    return Meta(values, any(isinstance(value, dict | list) for value in values.values()))


def decode_meta(text: str) -> Meta:
    """Decode a meta; an unreadable one is empty."""
    return read_meta(text) or Meta({}, False)


def merged(meta: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return *meta* with *changes*, in which None deletes a field."""
    return {name: value for name, value in {**meta, **changes}.items() if value is not None}
