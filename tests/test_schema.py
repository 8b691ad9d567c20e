"""The shapes of rows and messages are pinned to the number that keys and group names carry.

If a test here fails because a shape has changed on purpose: raise ``SCHEMA`` in ``djust_presence/state/records.py``,
write the new shape down here, and say in the changelog that old and new servers count apart while they run together.
"""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import ANY

import pytest
import redis

from djust_presence.backends.redis import RedisBackend
from djust_presence.bus.messages import encode_item, group_name, message
from djust_presence.state.records import SCHEMA, Change, Join, Member, Place

NUMBER = 2


def test_the_number_belongs_to_these_shapes() -> None:
    assert SCHEMA == NUMBER


@pytest.mark.redis
def test_rows(redis_url: str) -> None:
    backend = RedisBackend(redis_url)
    backend.open("lease", 1000.0, 10.0, 15.0)
    ops = [
        Join(1, "room", "r1", "zoë", '{"a":1}', "epoch", "t1", 5.25, 6.5),
        Join(2, "room", "r2", "bob", "{}", "none", "t2", 7.0, 8.0),
        Join(3, "room", "r3", "bob", "{}", "none", "t3", 7.0, 9.0),
    ]
    backend.write("lease", ops)
    backend.open("job:1", 60.0)
    backend.write("job:1", [Join(1, "jobs", "j", "bot", "{}", "life", "t", 5.0, 6.0)])
    backend.drain("job:1", 60.0)
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        prefix = f"{{djp}}:{NUMBER}:"

        def read(name: str) -> Any:
            match client.type(name):
                case "hash":
                    return client.hgetall(name)
                case "set":
                    return sorted(client.smembers(name))
                case "zset":
                    return client.zrange(name, 0, -1, withscores=True)
            return client.get(name)

        assert {name.removeprefix(prefix): read(name) for name in client.scan_iter()} == {
            "B": "lease",
            "H": ANY,
            "L": [("lease", ANY)],
            "J": [("job:1", ANY)],
            "S": {
                "lease": "3:1000.000000:10.000000:15.000000",
                "job:1": "1:60.000000:0.000000:0.000000:draining",
            },
            "I:lease": ["r1:room", "r2:room", "r3:room"],
            "I:job:1": ["j:jobs"],
            "V": {"room": "epoch:3:t3", "jobs": "life:1:t"},
            "r:room": {
                "r1": 'lease 0000000006.500000 4 zoë {"a":1}',
                "r2": "lease 0000000008.000000 3 bob {}",
                "r3": "lease 0000000009.000000 3 bob {}",
            },
            "t:room": [("zoë", 5.25), ("bob", 7.0)],
            "u:room": {"zoë": '1:5.250000:r1:{"a":1}', "bob": "2:7.000000::{}"},
            "r:jobs": {"j": "job:1 0000000006.000000 3 bot {}"},
            "t:jobs": [("bot", 5.0)],
            "u:jobs": {"bot": "1:5.000000:j:{}"},
            "o:room": [("3:bob:0000000008.000000:r2", 0.0), ("3:bob:0000000009.000000:r3", 0.0)],
        }
    backend.close()


def test_messages() -> None:
    change = Change(
        "room", Place("epoch", 2, "t2"), "t1", {"ada": Member(1, 5.25, "{}"), "bob": None}, 1, {"ada": None}
    )
    packed = ["epoch", 2, "t2", "t1", {"ada": [1, 5.25, "{}"], "bob": None}, 1]
    assert json.loads(json.dumps(change.pack())) == packed
    assert Change.unpack("room", packed) == change._replace(before={})
    assert message("room", [encode_item(["change", *packed])], "sender") == {
        "type": "djust_presence.message",
        "key": "room",
        "items": json.dumps([["change", *packed]]),
        "from": "sender",
    }


def test_names_of_groups() -> None:
    """By these a channel layer keeps sites, and versions with other shapes, apart."""
    backend = RedisBackend("redis://127.0.0.1:6379/3", {"prefix": "site"})
    assert backend.namespace == f"site:{NUMBER}:3"
    assert group_name(backend.namespace, "room") == "djust_presence.1107d1dfc866d6c9b329775a4bc96166"
    others = [
        ("site", 3, "room2"),
        ("site2", 3, "room"),
        ("site", 4, "room"),
        ("site", 3, ""),
        ("site:1", 3, "room"),
    ]
    names = {
        group_name(RedisBackend(f"redis://127.0.0.1/{db}", {"prefix": prefix}).namespace, key)
        for prefix, db, key in [("site", 3, "room"), *others]
    }
    assert len(names) == 6
