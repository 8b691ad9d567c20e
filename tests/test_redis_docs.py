"""The documentation of Redis against real servers: its permissions, and the commands of its shell blocks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from djust_presence.backends.base import Backend
from djust_presence.backends.redis import RedisBackend
from djust_presence.contract import BackendContract
from djust_presence.state.records import SCHEMA, Join
from tests.markdown import blocks
from tests.servers import ROOT, RedisServer, find_redis_server, find_valkey_server

pytestmark = pytest.mark.redis

SETTINGS = (ROOT / "docs" / "reference" / "settings.md").read_text()
RULES = [" ".join(found.split()) for found in re.findall(r"`((?:[+-][@\w|]+\s+){4,}[+\w|]+)`", SETTINGS)]


@pytest.fixture(scope="module", params=["valkey", "redis"])
def own_server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    binary = find_valkey_server() if request.param == "valkey" else find_redis_server()
    if binary is None:
        pytest.skip("no redis-server on PATH")
    with RedisServer(binary) as server:
        yield server


@pytest.fixture
def client(own_server: RedisServer) -> Iterator[Any]:
    with redis.Redis.from_url(own_server.url(), decode_responses=True) as client:
        client.flushall()
        client.script_flush()
        yield client


@pytest.mark.parametrize("rules", RULES)
class TestPermissions(BackendContract):
    """The whole contract, with no more than the permissions that the settings page names."""

    @pytest.fixture
    def backend(self, own_server: RedisServer, client: Any, rules: str) -> Iterator[Backend]:
        client.execute_command("ACL", "SETUSER", "presence", "reset", "on", ">pw", "~{djp}:*", *rules.split())
        client.execute_command("ACL", "LOG", "RESET")
        backend = RedisBackend(own_server.url(1), {"username": "presence", "password": "pw"})
        yield backend
        backend.close()
        refused = {entry["object"] for entry in client.acl_log()}
        assert refused <= {"client|setinfo"}  # which redis-py says to newer servers, and does without


def test_the_settings_page_names_all_permissions_in_two_ways() -> None:
    assert len(RULES) == 2
    lua = "".join(path.read_text() for path in (ROOT / "djust_presence/backends/redis/lua").glob("*.lua"))
    used = {f"+{name.lower()}" for name in re.findall(r'redis\.call\("(\w+)"', lua)}
    assert used <= set(RULES[1].split())


def test_permissions_also_suffice_while_groups_are_mended(own_server: RedisServer, client: Any) -> None:
    for rules in RULES:
        client.flushall()
        client.script_flush()
        client.execute_command("ACL", "SETUSER", "presence", "reset", "on", ">pw", "~{djp}:*", *rules.split())
        backend = RedisBackend(own_server.url(), {"username": "presence", "password": "pw"})
        backend.open("lease", 1000.0, 10.0, 15.0)
        ops = [Join(n, "room", f"r{n}", "ada", "{}", "epoch", f"t{n}") for n in (1, 2)]
        backend.write("lease", ops)
        for row in ("I:lease", "o:room", "r:room", "t:room"):
            client.delete(f"{{djp}}:{SCHEMA}:{row}")
            place = backend.renew("lease", 2, ["room"]).places["room"]
            assert (place is None) == (row != "I:lease")
        backend.close()


@pytest.fixture
def shell(own_server: RedisServer, tmp_path: Path) -> dict[str, str]:
    """An environment whose redis-cli talks to *own_server*."""
    binary = shutil.which("redis-cli")
    if binary is None:
        if os.environ.get("CI"):
            pytest.fail("CI must try the documented commands, and there is no redis-cli on PATH.")
        pytest.skip("no redis-cli on PATH")
    program = tmp_path / "redis-cli"
    program.write_text(f'#!/bin/sh\nexec {binary} -p {own_server.port} "$@"\n')
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}


def run(command: str, shell: dict[str, str]) -> str:
    done = subprocess.run(
        ["sh", "-c", command], env=shell, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    assert not done.stderr
    return done.stdout


def removals() -> list[str]:
    text = "".join(block.text for block in blocks("docs/how-to/deploy.md") if "unlink" in block.text)
    return text.splitlines()


def fill(url: str, prefix: str = "djp") -> None:
    """A store with every kind of row, and a key that a shell could take for several words."""
    backend = RedisBackend(url, {"prefix": prefix})
    backend.open("<lease>", 1000.0, 10.0, 15.0)
    backend.open("job:1", 1000.0)
    keys = ["document:42", "document:42", 'it\'s a "room" $HOME zoë']
    backend.write(
        "<lease>",
        [Join(n, key, f"r{n}", "ada", "{}", f"e{n}", f"t{n}") for n, key in enumerate(keys, 1)],
    )
    backend.close()


def test_rows_of_an_old_schema_can_be_removed_as_shown(
    own_server: RedisServer, client: Any, shell: dict[str, str]
) -> None:
    numbered, *unnumbered = removals()
    assert len(unnumbered) == 2
    before_numbers = ["L", "J", "S", "D", "V", "I:lease 1", "r:a room", "u:a room"]
    others = ["djp:V", "{djp2}:V", f"{{djp2}}:{SCHEMA}:V", "{djp}:9:V"]
    for name in (*(f"{{djp}}:{row}" for row in before_numbers), *others):
        client.set(name, "")
    fill(own_server.url())
    rows = [name for name in client.scan_iter() if name.startswith(f"{{djp}}:{SCHEMA}:")]
    assert len(rows) == 14
    for command in unnumbered:
        run(command, shell)
    assert sorted(client.scan_iter()) == sorted([*others, *rows])
    run(numbered.replace(":1:", f":{SCHEMA}:"), shell)
    assert sorted(client.scan_iter()) == sorted(others)
    run(numbered, shell)  # nothing is left


def test_commands_for_looking_into_redis_find_something(
    own_server: RedisServer, client: Any, shell: dict[str, str]
) -> None:
    fill(own_server.url())
    (block,) = [
        block.text for block in blocks("docs/how-to/troubleshoot.md") if "redis-cli HKEYS" in block.text
    ]
    looks = [line for line in block.splitlines() if "CLIENT LIST" not in line]
    for line in looks:
        answer = run(line, shell)
        assert answer.strip(), line
        assert "WRONGTYPE" not in answer, line
    kinds = {key.split(":")[2] for key in re.findall(r'"(\{djp\}:[^"]+)"', block)}
    assert kinds == {"B", "H", "L", "J", "S", "I", "V", "r", "u", "t", "o"}
