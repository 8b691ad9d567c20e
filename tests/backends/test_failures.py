"""Error messages for a server that answers but cannot hold presence."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
import redis
from redis._parsers.base import BaseParser

from djust_presence.backends.redis import RedisBackend
from djust_presence.backends.redis.errors import meaning
from djust_presence.errors import PresenceUnavailable
from djust_presence.testing.backends.base import LONG
from tests.servers import RedisServer, find_redis_server, find_valkey_server, free_port

IN_A_SCRIPT = "ERR Error running script (call to f_1): @user_script:14: @user_script: 14: "  # before Redis 7


class Configured(RedisServer):
    """A server with extra arguments. It counts as started with its first answer, even an error."""

    def __init__(self, binary: str, *arguments: str) -> None:
        super().__init__(binary)
        self.arguments = arguments

    def command(self) -> list[str]:
        return [*super().command(), *self.arguments]

    def answers(self) -> bool:
        try:
            return bool(self.command_line("PING"))
        except OSError:
            return False


class Sentinel(Configured):
    def command(self) -> list[str]:
        file = self.directory / "sentinel.conf"
        file.write_text(f"port {self.port}\n")
        return [self.binary, str(file), "--sentinel"]


@pytest.fixture(params=["valkey", "redis"])
def binary(request: pytest.FixtureRequest) -> str:
    binary = find_valkey_server() if request.param == "valkey" else find_redis_server()
    if binary is None:
        pytest.skip("no redis-server on PATH")
    return binary


def said(url: str, **options: Any) -> str:
    """Return the message of a failed write after the address; it is the same from a thread and from a loop."""
    backend = RedisBackend(url, options)
    with pytest.raises(PresenceUnavailable) as raised:
        backend.open("lease", LONG)

    async def aopen() -> None:
        with pytest.raises(PresenceUnavailable, match="^" + str(raised.value).replace("(", r"\(") + "$"):
            await backend.aopen("lease", LONG)

    asyncio.run(aopen())
    backend.close()
    *_, address = url.rpartition("@")[2].rpartition("//")
    start = f"Redis at {address}: "
    assert str(raised.value).startswith(start)
    return str(raised.value).removeprefix(start)


@pytest.mark.redis
class TestServersThatPresenceCannotUse:
    def test_a_node_of_a_cluster(self, binary: str) -> None:
        bus = str(free_port())
        with Configured(
            binary, "--databases", "1", "--cluster-enabled", "yes", "--cluster-port", bus
        ) as server:
            cluster = "it is a node of a Redis Cluster; give the address of a single server"
            assert said(server.url()) == cluster
            with redis.Redis.from_url(server.url()) as client:
                client.execute_command("CLUSTER ADDSLOTS", 0)  # and no other
                client.config_set("cluster-require-full-coverage", "no")
            assert said(server.url()) == cluster

    def test_a_sentinel(self, binary: str) -> None:
        with Sentinel(binary) as server:
            advice = "if it is a Sentinel, give the address of the primary"
            assert said(server.url()) == f"it does not know the command EVALSHA; {advice}"
            assert said(server.url(1)) == f"it does not know the command SELECT; {advice}"
            backend = RedisBackend(server.url())
            with pytest.raises(PresenceUnavailable) as raised:
                backend.count("a secret room")
            assert "secret" not in str(raised.value)
            backend.close()

    @pytest.mark.parametrize("stale", ["yes", "no"])
    def test_a_replica(self, binary: str, stale: str) -> None:
        with Configured(
            binary, "--replicaof", "127.0.0.1", "1", "--replica-serve-stale-data", stale
        ) as server:
            assert said(server.url()) == "it is a read-only replica; give the address of its primary"

    def test_passwords(self, binary: str) -> None:
        refused = "it refuses the user or the password; in a URL, percent-encode special characters in both"
        with Configured(binary, "--requirepass", "s3cret") as server:
            assert said(server.url()) == "it asks for a password, and none is set"
            for user in (":wr0ng", "wh0:s3cret", "wh0:wr0ng"):
                assert said(server.url().replace("//", f"//{user}@")) == refused
        with Configured(binary) as server:
            assert said(server.url(), password="s3cret") == (
                "it has no password, but one is set here; remove it"
            )

    def test_permissions(self, redis_url: str) -> None:
        user = f"user-{uuid4().hex}"
        with redis.Redis.from_url(redis_url) as client:
            for commands, keys, clause in [
                ("+@all -evalsha", "*", "its user may not run evalsha; extend its ACL"),
                ("+@all -hget", "*", "its user (may not run hget|lacks a permission); extend its ACL"),
                ("+@all", "{other}:*", "its user may not use the keys of presence; extend its ACL"),
            ]:
                client.acl_setuser(
                    user, enabled=True, nopass=True, keys=[keys], commands=commands.split(), reset=True
                )
                assert re.fullmatch(clause, said(redis_url, username=user, password="any"))
            client.acl_deluser(user)

    def test_limits(self, binary: str) -> None:
        with Configured(binary) as server, redis.Redis.from_url(server.url()) as client:
            assert said(server.url(9999)) == (
                "it has no database of that number; use 0, or raise its databases"
            )
            client.config_set("maxclients", 1)
            assert said(server.url()) == "it accepts no more connections; raise its maxclients"

    def test_tls_where_there_is_none(self) -> None:
        with plain(b"+PONG\r\n") as port:
            assert said(f"rediss://127.0.0.1:{port}/0") == (
                "it does not speak TLS; use redis:// instead of rediss://"
            )

    def test_a_web_server(self) -> None:
        with plain(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n") as port:
            assert said(f"redis://127.0.0.1:{port}/0") == (
                "the server there is not Redis; correct host and port"
            )


@contextmanager
def plain(answer: bytes) -> Iterator[int]:
    """The port of a server that gives every connection the same answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                connection, _ = listener.accept()
                with connection:
                    if not connection.recv(1 << 16):
                        return
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        with socket.create_connection(listener.getsockname()):
            pass
        thread.join()


@pytest.mark.parametrize(
    ("line", "clause"),
    [
        (
            "MOVED 7645 127.0.0.1:48155",
            "it is a node of a Redis Cluster; give the address of a single server",
        ),
        ("ASK 7645 127.0.0.1:48155", "it is a node of a Redis Cluster; give the address of a single server"),
        (
            "LOADING Redis is loading the dataset in memory",
            "it is still loading its data; it answers when it has finished",
        ),
        (
            "DENIED Redis is running in protected mode because protected mode is enabled and no password is set",
            "it is in protected mode, for local clients only; set a password on it and here",
        ),
        (
            IN_A_SCRIPT + "READONLY You can't write against a read only replica.",
            "it is a read-only replica; give the address of its primary",
        ),
        (
            "NOPERM this user has no permissions to run the 'script|load' command or its subcommand",
            "its user may not run script|load; extend its ACL",
        ),
        (
            IN_A_SCRIPT + "ERR value is not an integer or out of range",
            "it is too old for the scripts of presence; use Redis 6.2 or newer, or Valkey",
        ),
        (
            IN_A_SCRIPT + "Unknown Redis command called from Lua script",
            "it is too old for the scripts of presence; use Redis 6.2 or newer, or Valkey",
        ),
        (
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
            "it refuses writes because it cannot save its data to disk; look at its log",
        ),
        (
            "ERR SELECT is not allowed in cluster mode",
            "it is a node of a Redis Cluster; give the address of a single server",
        ),
        ("BUSY Redis is busy running a script.", "it is busy with the script of another client"),
        ("ERR something else.", "something else"),
    ],
)
def test_answers_have_their_meaning(line: str, clause: str) -> None:
    error: Exception = BaseParser.parse_error(line)  # type: ignore[no-untyped-call]
    assert meaning(error) == clause


def test_an_error_without_text_is_named() -> None:
    assert meaning(redis.TimeoutError()) == "TimeoutError"
