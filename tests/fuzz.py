"""Frames and messages that are nearly right: valid ones, of which something was changed."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.state.test_json_text import nested

__all__ = ["chance", "odd_frame", "odd_message"]

NAMES = [  # names that are not event handlers, or must not be set
    *(
        "mount",
        "dispatch",
        "get",
        "setup",
        "as_view",
        "render_to_response",
        "get_context_data",
        "track_presence",
    ),
    *("update_presence", "still_allowed", "live_context", "push_event", "handle_presence_join", "__init__"),
    *(
        "_presence",
        "__class__",
        "__dict__",
        "self",
        "request",
        "_args",
        "_data",
        "_target",
        "view",
        "user_id",
    ),
    *("id", "name", "color", "meta", "joined_at", "connections", "x", "y", "w", "anchor", "surface", "touch"),
]
NUMBERS = [0, -1, 1, 1.5, -0.0, 2**31, 2**53, 2**64, -(10**30), 10**400, 1e308, 10_000_000, 10_000_001, True]
TEXTS = [
    "",
    "x",
    "x" * 200,
    "x" * 5000,
    "\ud800",
    "ä\U0001f600",
    "\x00",
    "\n%s{}<b>",
    "1",
    "true",
    "null",
    "{{ 1 }}",
]
LEVELS = [1, 8, 29, 30, 31, 32, 33, 40, 400]
RAW = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "9" * 5000,
    '"\\ud800"',
    "[" * 3000,
    '{"a":' * 3000,
    "{",
    "'",
    "\x00",
]
HOLE = "a hole for raw text"


@contextmanager
def chance() -> Iterator[random.Random]:
    """A source of chance. An error in the block has a note with its seed; FUZZ_SEED in the environment repeats one."""
    seed = int(os.environ.get("FUZZ_SEED") or random.randrange(2**32))
    try:
        yield random.Random(seed)
    except BaseException as error:
        error.add_note(f"FUZZ_SEED={seed}")
        raise


def odd_value(rng: random.Random) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: None,
        lambda: rng.choice(NUMBERS),
        lambda: rng.choice(TEXTS),
        lambda: rng.choice(NAMES),
        lambda: nested(rng.choice(LEVELS), rng.choice(TEXTS)),
        lambda: [odd_value(rng) for _ in range(rng.randrange(4))],
        lambda: {rng.choice(NAMES + TEXTS): odd_value(rng) for _ in range(rng.randrange(4))},
        lambda: [0] * rng.randrange(2000),
        lambda: HOLE,
    ]
    return rng.choice(kinds)()


def mutate(rng: random.Random, value: Any) -> Any:
    """Change something of *value*, at whatever depth."""
    if isinstance(value, dict) and value:
        name = rng.choice(list(value))
        match rng.randrange(6):
            case 0:
                del value[name]
            case 1:
                value[rng.choice(NAMES)] = odd_value(rng)
            case 2:
                value[rng.choice(NAMES + TEXTS)] = value.pop(name)
            case _:
                value[name] = mutate(rng, value[name])
        return value
    if isinstance(value, list) and value:
        place = rng.randrange(len(value))
        match rng.randrange(5):
            case 0:
                del value[place]
            case 1:
                value.insert(place, odd_value(rng))
            case _:
                value[place] = mutate(rng, value[place])
        return value
    return odd_value(rng)


def text_of(rng: random.Random, value: Any) -> str:
    """JSON, or nearly: some of it is torn, doubled, or not JSON at all."""
    text = json.dumps(value)
    while f'"{HOLE}"' in text:
        text = text.replace(f'"{HOLE}"', rng.choice(RAW), 1)
    match rng.randrange(20):
        case 0:
            return text[: rng.randrange(len(text) + 1)]
        case 1 if text.startswith("{") and len(text) > 2:
            return "{" + text[1:-1] + "," + text[1:]  # each key twice
        case 2:
            place = rng.randrange(len(text) + 1)
            return text[:place] + rng.choice(RAW) + text[place:]
    return text


def odd(rng: random.Random, models: list[Any]) -> Any:
    value = copy.deepcopy(rng.choice(models))
    for _ in range(rng.choice([0, 1, 1, 1, 2, 5])):
        value = mutate(rng, value)
    return value


def odd_frame(rng: random.Random, models: list[Any]) -> str | bytes:
    """A frame like one of *models*."""
    text = text_of(rng, odd(rng, models))
    return text.encode(errors="surrogatepass") if rng.randrange(200) == 0 else text


def odd_message(rng: random.Random, key: str, models: list[Any]) -> dict[str, Any]:
    """A message about *key* as a layer carries it, whose items are like *models*."""
    items = [odd(rng, models) for _ in range(rng.randrange(1, 4))]
    message: dict[str, Any] = {"type": "x", "key": key, "from": "another", "items": text_of(rng, items)}
    if rng.randrange(20) == 0:
        message[rng.choice(list(message))] = rng.choice([None, 7, "", [], {}, "x", ["x"]])
    return message
