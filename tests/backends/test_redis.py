"""Promises of the Redis backend alone: the commands that it sends, and its behaviour when the server fails."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import itertools
import re
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
import redis
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from django.utils.module_loading import import_string

from djust_presence.backends.redis import RedisBackend, servers
from djust_presence.backends.redis import backend as module
from djust_presence.backends.redis.backend import unavailable
from djust_presence.errors import PresenceUnavailable
from djust_presence.state.records import Op, Renewal, Reply, Snapshot, Status, Work
from djust_presence.testing.backends.base import BOUND, GONE, LONG, join, leave
from tests.backends.relay import Relay
from tests.servers import ROOT, RedisServer, find_redis_server, find_valkey_server, free_port
from tests.until import wait_until

pytestmark = pytest.mark.redis

DJANGO = "django.core.cache.backends.redis.RedisCache"
DJANGO_REDIS = "django_redis.cache.RedisCache"


@pytest.fixture
def backend(redis_url: str) -> Iterator[RedisBackend]:
    backend = RedisBackend(redis_url)
    yield backend
    backend.close()


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture(params=["valkey", "redis"])
def own_server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A server that this test may stop, freeze and flush."""
    binary = find_valkey_server() if request.param == "valkey" else find_redis_server()
    if binary is None:
        pytest.skip("no redis-server on PATH")
    with RedisServer(binary) as server:
        yield server


@contextmanager
def monitored(client: Any) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Yield a function that returns the commands which the server has run; scripts' have the ``client_type`` "lua"."""
    begin, end = uuid4().hex, uuid4().hex

    def commands() -> list[dict[str, Any]]:
        client.echo(end)
        begun = itertools.dropwhile(lambda one: begin not in one["command"], monitor.listen())
        told = itertools.takewhile(lambda one: end not in one["command"], begun)
        return [one for one in told if one["db"] == database][1:]

    database = client.connection_pool.connection_kwargs["db"]
    with client.monitor() as monitor:
        client.echo(begin)
        yield commands


def calls(client: Any, command: str) -> int:
    """Return how often the server has run *command*."""
    stats = client.info("commandstats").get(f"cmdstat_{command}", {})
    return int(stats.get("calls", 0))


class TestTheWire:
    @pytest.mark.parametrize("members", [10, 1000])
    def test_a_join_or_leave_is_one_script_call_whatever_the_size_of_the_group(
        self, backend: RedisBackend, client: Any, members: int
    ) -> None:
        backend.open("lease", LONG)
        backend.write("lease", [join(n, f"ref{n}", f"user{n}") for n in range(1, members + 1)])
        backend.write("lease", [join(members + 1, key="other"), leave(members + 2, key="other")])
        inner = []
        for op in (join(members + 3, "more", "more"), leave(members + 4, "more")):
            with monitored(client) as commands:
                backend.write("lease", [op])
                told = commands()
            assert [one["command"].split()[0] for one in told if one["client_type"] != "lua"] == ["EVALSHA"]
            inner.append(len(told) - 1)
        assert max(inner) <= 20

    def test_a_write_of_200_joins_is_one_round_trip(self, own_server: RedisServer) -> None:
        with Relay(own_server.port) as relay:
            backend = RedisBackend(relay.url)
            backend.open("lease", LONG)
            backend.write("lease", [join(1), leave(2)])
            relay.round_trips = 0
            replies = backend.write("lease", [join(n, f"ref{n}", f"user{n}") for n in range(3, 203)])
            assert relay.round_trips == 1
            assert {reply.status for reply in replies} == {Status.OK}
            backend.close()

    def test_renewing_with_5000_groups_is_one_round_trip(self, own_server: RedisServer) -> None:
        keys = [f"document:{number}" for number in range(5000)]
        with Relay(own_server.port) as relay, redis.Redis.from_url(own_server.url()) as client:
            backend = RedisBackend(relay.url)
            backend.open("lease", LONG)
            backend.renew("lease", 0, [])
            before = calls(client, "evalsha"), calls(client, "hmget")
            relay.round_trips = 0
            assert list(backend.renew("lease", 0, keys).places) == keys
            assert relay.round_trips == 1
            assert (calls(client, "evalsha"), calls(client, "hmget")) == (before[0] + 2, before[1] + 5)
            backend.close()

    def test_scripts_loop_over_no_more_than_100_groups_to_renew(
        self, backend: RedisBackend, client: Any
    ) -> None:
        backend.open("lease", LONG)
        backend.renew("lease", 0, [])
        for keys, looked_at in ([], 0), ([f"document:{number}" for number in range(5000)], 100):
            with monitored(client) as commands:
                backend.renew("lease", 0, keys)
                inner = [one["command"].split()[0] for one in commands() if one["client_type"] == "lua"]
            assert inner == ["HGET", "TIME", "ZSCORE", "ZADD", "HGET", *["HGET"] * looked_at]

    def test_no_more_than_100_rows_are_looked_through_to_renew(
        self, backend: RedisBackend, client: Any
    ) -> None:
        backend.open("lease", LONG)
        keys = [f"document:{number}" for number in range(20)]
        ops = [join(n, f"ref{n}", f"user{n}", keys[n % 20]) for n in range(1, 2001)]
        backend.write("lease", ops)
        backend.renew("lease", 2000, keys)
        with monitored(client) as commands:
            backend.renew("lease", 2000, keys)
            looked = [one["command"].split() for one in commands() if one["command"].startswith("HRANDFIELD")]
        assert [(name.split(":")[2], count) for _, name, count, _ in looked] == [("r", "100"), ("u", "100")]

    def test_many_snapshots_are_one_round_trip(self, own_server: RedisServer) -> None:
        with Relay(own_server.port) as relay:
            backend = RedisBackend(relay.url)
            backend.snapshots(["room"])
            relay.round_trips = 0
            assert backend.snapshots(["room"] * 300) == [Snapshot(None, {})] * 300
            assert relay.round_trips == 1
            backend.close()

    @pytest.mark.parametrize("awaited", [False, True])
    def test_2500_counts_or_members_are_one_round_trip(self, own_server: RedisServer, awaited: bool) -> None:
        names = [f"n{number}" for number in range(2500)]
        with (
            Relay(own_server.port) as relay,
            redis.Redis.from_url(own_server.url()) as client,
            asyncio.Runner() as runner,
        ):
            backend = RedisBackend(relay.url)

            def ask(verb: str, *arguments: Any) -> Any:
                if awaited:
                    return runner.run(getattr(backend, f"a{verb}")(*arguments))
                return getattr(backend, verb)(*arguments)

            ask("counts", ["room"])
            before = calls(client, "hlen"), calls(client, "hmget")
            relay.round_trips = 0
            assert ask("counts", names) == [0] * 2500
            assert relay.round_trips == 1
            assert ask("members", "room", names) == [None] * 2500
            assert relay.round_trips == 2
            assert (calls(client, "hlen"), calls(client, "hmget")) == (before[0] + 2500, before[1] + 3)
            assert ask("counts", []) == ask("members", "room", []) == []
            assert relay.round_trips == 2
            assert ask("count_and_member", "room", "user") == (0, None)
            assert relay.round_trips == 3
            if awaited:
                runner.run(backend.aclose())
            backend.close()

    def test_rows_can_be_read_at_night(self, backend: RedisBackend, client: Any) -> None:
        backend.open("p-1", 30)
        (reply,) = backend.write(
            "p-1", [join(1, "r1", "zoë", "document:42", meta='{"name":"Zoë"}', epoch="e", tag="t")]
        )
        backend.open("job:1", 60)
        backend.write("job:1", [join(1, "bot", "bot", "jobs")])
        backend.drain("job:1", 60)
        assert client.hgetall("{djp}:2:S") == {
            "p-1": "1:30.000000:0.000000:0.000000",
            "job:1": "1:60.000000:0.000000:0.000000:draining",
        }
        assert client.hget("{djp}:2:V", "document:42") == "e:1:t"
        assert client.smembers("{djp}:2:I:p-1") == {"r1:document:42"}
        assert client.hgetall("{djp}:2:r:document:42") == {
            "r1": f'p-1 {reply.said:.6f} 4 zoë {{"name":"Zoë"}}'
        }
        (member,) = client.hgetall("{djp}:2:u:document:42").values()
        assert re.fullmatch(r'1:\d{10}\.\d{6}:r1:{"name":"Zoë"}', member)
        assert client.zrange("{djp}:2:t:document:42", 0, -1, withscores=True) == [
            ("zoë", float(member.split(":")[1]))
        ]
        assert client.zrange("{djp}:2:L", 0, -1) == ["p-1"]
        assert client.zrange("{djp}:2:J", 0, -1) == ["job:1"]
        assert client.get("{djp}:2:B") == "p-1"
        (second,) = backend.write("p-1", [join(2, "r2", "zoë", "document:42")])
        assert client.hget("{djp}:2:u:document:42", "zoë") == f"2:{member.split(':')[1]}::{{}}"
        assert client.zrange("{djp}:2:o:document:42", 0, -1) == [
            f"4:zoë:{reply.said:.6f}:r1",
            f"4:zoë:{second.said:.6f}:r2",
        ]

    def test_everything_stays_behind_its_prefix(self, redis_url: str, client: Any) -> None:
        one, two = RedisBackend(redis_url, {"prefix": "one"}), RedisBackend(redis_url, {"prefix": "two"})
        for backend in (one, two):
            backend.open("lease", LONG)
        one.write("lease", [join(1)])
        assert two.count("room") == 0
        assert {name.split(":")[0] for name in client.keys("*")} == {"{one}", "{two}"}
        one.close()
        two.close()

    @pytest.mark.parametrize("protocol", [2, 3])
    def test_both_protocols_say_the_same(self, redis_url: str, protocol: int) -> None:
        backend = RedisBackend(redis_url, {"protocol": protocol})
        backend.open("lease", GONE)
        backend.open("own", LONG)
        reply = backend.write("lease", [join(1, epoch="e", tag="t", joined_at=1.5)])[0]
        assert backend.snapshots(["room", "nowhere"])[0].members == reply.change.records  # type: ignore[union-attr]
        assert backend.renew("lease", 1, ["room", "nowhere"]).places == {
            "room": reply.change.place,  # type: ignore[union-attr]
            "nowhere": None,
        }
        assert backend.claim("unknown", 10, 0) is None
        assert backend.claim("own", 10, 0) == [Work("lease", "room", ["ref"])]
        assert backend.member("room", "nobody") is None

        async def count() -> int:
            return await backend.acount("room")

        assert asyncio.run(count()) == 1
        backend.close()


class TestScripts:
    """A server forgets its scripts when it restarts, fails over, or is told to."""

    def test_a_server_without_the_scripts_is_told_them(self, backend: RedisBackend, client: Any) -> None:
        for _ in range(2):
            client.script_flush()
            backend.open("lease", LONG)
            seq = 1 if backend.count("room") == 0 else 2
            client.script_flush()
            assert backend.write("lease", [join(seq)])[0].status is Status.OK
            client.script_flush()
            assert backend.renew("lease", seq, ["room"]).places["room"]
            client.script_flush()
            assert backend.snapshots(["room", "hall"])[0].members.keys() == {"user"}

    @pytest.mark.parametrize("awaited", [False, True])
    @pytest.mark.parametrize("loaded_again", [False, True])
    def test_scripts_lost_between_two_writes_of_a_batch_cost_no_change(
        self, backend: RedisBackend, awaited: bool, loaded_again: bool
    ) -> None:
        """Another client flushes the scripts, or loads them again, while a batch runs."""
        backend.open("lease", LONG)
        assert backend.write("lease", [join(1), leave(2)])[1].change
        ops: list[Op] = [join(n, f"ref{n}", f"user{n}", tag=f"t{n}") for n in range(3, 9)]
        request = backend._scripts.write("lease", ops)
        first, second, third = request.commands[:2], request.commands[2:4], request.commands[4:]
        load: list[tuple[str, ...]] = [("SCRIPT", "LOAD", script.text) for script in request.scripts]
        commands = [*first, ("SCRIPT", "FLUSH"), *second, *(load if loaded_again else []), *third]

        def parse(replies: list[Any]) -> list[Reply]:
            return request.parse([reply for reply in replies if isinstance(reply, list)])

        disturbed = dataclasses.replace(request, commands=commands, parse=parse)

        async def arun() -> list[Reply]:
            return await backend._arun(disturbed)

        replies = asyncio.run(arun()) if awaited else backend._run(disturbed)
        assert [reply.status for reply in replies] == [Status.OK] * 6
        assert [reply.change and reply.change.prev for reply in replies] == ["", "t3", "t4", "t5", "t6", "t7"]
        assert backend.count("room") == 6

    def test_a_user_who_may_load_no_scripts_is_told_so(self, redis_url: str, client: Any) -> None:
        user = f"user-{uuid4().hex}"
        client.acl_setuser(user, enabled=True, nopass=True, keys=["*"], commands=["+@all", "-script"])
        client.script_flush()
        backend = RedisBackend(redis_url, {"username": user, "password": "any"})
        with pytest.raises(PresenceUnavailable, match="script"):
            backend.open("lease", LONG)
        backend.close()
        client.acl_deluser(user)

    def test_a_server_that_is_emptied_answers_dead(self, backend: RedisBackend, client: Any) -> None:
        backend.open("lease", LONG)
        backend.write("lease", [join(1)])
        client.flushdb()
        assert backend.renew("lease", 1, ["room"]) == Renewal(Status.DEAD)
        assert backend.write("lease", [join(2, "ref2")]) == [Reply(Status.DEAD)]
        assert backend.claim("lease", 500, 0) is None
        assert client.keys() == []

    def test_a_group_whose_place_was_evicted_begins_empty(self, backend: RedisBackend, client: Any) -> None:
        backend.open("lease", LONG)
        backend.write("lease", [join(1), join(2, "ref2", "user2")])
        client.delete("{djp}:2:V")
        assert backend.renew("lease", 2, ["room"]).places == {"room": None}
        assert backend.write("lease", [leave(3)])[0].change is None
        reply = backend.write("lease", [join(4, "ref3", "user3", epoch="new")])[0]
        assert reply.epoch == "new"
        assert backend.snapshots(["room"])[0].members.keys() == {"user3"}


class TestSpoiledRows:
    def test_a_snapshot_never_leaves_out_a_user_who_cannot_be_read(
        self, backend: RedisBackend, client: Any
    ) -> None:
        backend.open("lease", LONG)
        backend.write("lease", [join(n, f"ref{n}", f"user{n}", "room") for n in (1, 2, 3)])
        client.hset("{djp}:2:u:room", "user2", "garbage")
        assert backend.snapshots(["room"]) == [Snapshot(None, {})]
        assert backend.renew("lease", 3, ["room"]).places == {"room": None}

    @pytest.mark.parametrize("user", ["one tab", "two tabs"])
    @pytest.mark.parametrize("meta", ["{not json", '{"name":"Somebody else"}'])
    def test_a_renewal_finds_a_user_whose_meta_no_connection_has_said(
        self, backend: RedisBackend, client: Any, user: str, meta: str
    ) -> None:
        backend.open("lease", LONG)
        users = ["one tab", "two tabs", "two tabs"]
        backend.write("lease", [join(n, f"ref{n}", one, "room") for n, one in enumerate(users, 1)])
        assert backend.renew("lease", 3, ["room"]).places["room"]
        before = client.hget("{djp}:2:u:room", user)
        client.hset("{djp}:2:u:room", user, ":".join([*before.split(":", 3)[:3], meta]))
        assert backend.renew("lease", 3, ["room"]).places == {"room": None}

    @pytest.mark.parametrize("verb", ["page", "page after", "snapshot", "join", "leave", "reap"])
    @pytest.mark.parametrize("spoil", ["delete", "other type", "too few", "too many", "no member"])
    def test_a_group_whose_list_is_lost_or_spoiled_is_let_go_of_as_a_whole(
        self, backend: RedisBackend, client: Any, spoil: str, verb: str
    ) -> None:
        backend.open("own", LONG)
        backend.open("lease", LONG)
        users = [join(n, f"ref{n}", f"user{n}", joined_at=float(n), epoch="old") for n in (1, 2, 3)]
        backend.write("lease", users)
        verbs: dict[str, Callable[[], Any]] = {
            "page": lambda: backend.page("room", 2),
            "page after": lambda: backend.page("room", None, (0.5, "")),
            "snapshot": lambda: backend.snapshots(["room"])[0].members,
            "join": lambda: backend.write("own", [join(1, "new", "new", epoch="new")])[0].epoch == "old",
            "leave": lambda: backend.write("lease", [leave(4, "ref1")])[0].change,
            "reap": lambda: backend.reap("lease", "room", ["ref1"], "tag"),
        }
        if verb == "reap":
            backend.drain("lease", GONE)
            assert backend.claim("own", 10, 0)
        listed, members = "{djp}:2:t:room", "{djp}:2:u:room"
        match spoil:
            case "delete":
                client.delete(listed)
            case "other type":
                client.set(listed, "spoiled")
            case "too few":
                client.zrem(listed, "user1")
            case "too many":
                client.zadd(listed, {"nobody": 0})
            case "no member":
                client.hset(members, "user1", "garbage")
        # A step reads no more than the rows of its own users.
        unseen = {("too few", "join"), ("no member", "join")} | {
            ("too many", one) for one in ("join", "leave", "reap")
        }
        whole = (spoil, verb) in unseen
        assert bool(verbs[verb]()) == whole
        if not whole:
            begun = {"r:room", "t:room", "u:room"} if verb == "join" else set()
            assert {name.removeprefix("{djp}:2:") for name in client.scan_iter("{djp}:2:[rtuo]:*")} == begun

    @pytest.mark.parametrize("listed", [None, 0.5])
    def test_a_renewal_finds_a_user_who_is_not_listed_at_their_time(
        self, backend: RedisBackend, client: Any, listed: float | None
    ) -> None:
        backend.open("lease", LONG)
        backend.write("lease", [join(n, f"ref{n}", f"user{n}", "room", joined_at=float(n)) for n in (1, 2)])
        assert backend.renew("lease", 2, ["room"]).places["room"]
        if listed is None:
            client.zrem("{djp}:2:t:room", "user2")
        else:
            client.zadd("{djp}:2:t:room", {"user2": listed})
        assert backend.renew("lease", 2, ["room"]).places == {"room": None}

    def test_an_index_of_the_wrong_type_is_made_good(self, backend: RedisBackend, client: Any) -> None:
        backend.open("lease", LONG)
        backend.write("lease", [join(1, "ref1", "user1", "room")])
        client.set("{djp}:2:I:lease", "spoiled")
        assert backend.renew("lease", 1, ["room"]).places["room"]
        assert client.smembers("{djp}:2:I:lease") == {"ref1:room"}
        client.set("{djp}:2:I:lease", "spoiled")
        assert backend.write("lease", [join(2, "ref2", "user2", "room")])[0].change
        client.set("{djp}:2:I:lease", "spoiled")
        assert backend.write("lease", [leave(3, "ref2")])[0].change

    def test_places_of_the_wrong_type_are_an_outage(self, backend: RedisBackend, client: Any) -> None:
        backend.open("lease", LONG)
        backend.write("lease", [join(1, "ref1", "user1", "room")])
        client.delete("{djp}:2:V")
        client.set("{djp}:2:V", "spoiled")
        for read in (lambda: backend.snapshots(["room"]), lambda: backend.page("room", 5)):
            with pytest.raises(PresenceUnavailable, match=r"\{djp\}:2:V"):
                read()


class TestFailures:
    def test_nobody_listens(self) -> None:
        port = free_port()
        backend = RedisBackend(f"redis://me:s3cret@127.0.0.1:{port}/3")
        with pytest.raises(PresenceUnavailable, match=f"^Redis at 127.0.0.1:{port}/3: .*refused") as raised:
            backend.count("room")
        assert "s3cret" not in str(raised.value)
        assert isinstance(raised.value.__cause__, redis.ConnectionError)
        with pytest.raises(PresenceUnavailable):
            backend.write("lease", [join(1)])

        async def count() -> None:
            with pytest.raises(PresenceUnavailable):
                await backend.acount("room")

        asyncio.run(count())

    def test_an_answer_that_is_an_error(self, backend: RedisBackend, client: Any) -> None:
        client.set("{djp}:2:S", "not a hash")
        with pytest.raises(PresenceUnavailable, match="WRONGTYPE"):
            backend.open("lease", LONG)
        with pytest.raises(PresenceUnavailable, match="WRONGTYPE"):
            backend.write("lease", [join(1), join(2)])

    @pytest.mark.parametrize("awaited", [False, True])
    def test_a_frozen_server_costs_no_more_than_the_timeouts(
        self, own_server: RedisServer, awaited: bool
    ) -> None:
        backend = RedisBackend(own_server.url(), {"timeout": 1.5, "read_timeout": 0.2})
        client = redis.Redis.from_url(own_server.url())
        with asyncio.Runner() as runner:

            def ask(verb: str, *arguments: Any) -> Any:
                if awaited:
                    return runner.run(getattr(backend, f"a{verb}")(*arguments))
                return getattr(backend, verb)(*arguments)

            def took(verb: str, *arguments: Any) -> float:
                began = time.monotonic()
                with pytest.raises(PresenceUnavailable):
                    ask(verb, *arguments)
                return time.monotonic() - began

            ask("open", "lease", LONG)
            ask("write", "lease", [join(1, "warm"), leave(2, "warm")])
            ask("snapshots", ["room"])
            before = calls(client, "evalsha")
            ops = [join(3)]
            own_server.freeze()
            try:
                assert 1.4 < took("write", "lease", ops) < 3
                assert took("snapshots", ["room"]) < 1.4
                assert took("count", "room") < 1.4
                assert took("member", "room", "user") < 1.4
            finally:
                own_server.thaw()
            wait_until(lambda: ask("count", "room") == 1)
            assert calls(client, "evalsha") == before + 2  # the write and the snapshot, neither of them twice
            assert ask("write", "lease", ops) == [Reply(Status.SEEN)]
            assert ask("renew", "lease", 3, []).status is Status.OK
            if awaited:
                runner.run(backend.aclose())
        backend.close()
        client.close()

    def test_a_lost_answer_is_found_out_by_repeating(self, own_server: RedisServer) -> None:
        with Relay(own_server.port) as relay, redis.Redis.from_url(own_server.url()) as client:
            backend = RedisBackend(relay.url)
            backend.open("lease", LONG)
            backend.write("lease", [join(1), leave(2)])
            before = calls(client, "evalsha")
            ops = [join(3), join(4, "ref2", "user2")]
            relay.deaf = True
            with pytest.raises(PresenceUnavailable):
                backend.write("lease", ops)
            assert calls(client, "evalsha") == before + 2
            relay.deaf = False
            assert backend.write("lease", ops) == [Reply(Status.SEEN)] * 2
            assert backend.count("room") == 2
            backend.close()

    def test_a_server_that_restarts_is_used_again(self, own_server: RedisServer) -> None:
        backend = RedisBackend(own_server.url())
        backend.open("lease", LONG)
        own_server.kill()
        with pytest.raises(PresenceUnavailable):
            backend.write("lease", [join(1)])
        own_server.start()
        assert backend.write("lease", [join(1)]) == [Reply(Status.DEAD)]
        backend.open("another", LONG)
        assert backend.write("another", [join(1)])[0].status is Status.OK
        backend.close()

    def test_a_full_server_does_nothing_rather_than_half(self, own_server: RedisServer) -> None:
        backend = RedisBackend(own_server.url())
        client: Any = redis.Redis.from_url(own_server.url())
        backend.open("lease", LONG)
        backend.write("lease", [join(1)])
        before = {name: client.dump(name) for name in client.keys("*")}
        client.config_set("maxmemory", 1)
        for ops in ([join(2, "ref2", "user2")], [leave(2)]):
            with pytest.raises(PresenceUnavailable, match="maxmemory"):
                backend.write("lease", ops)
        with pytest.raises(PresenceUnavailable, match="maxmemory"):
            backend.open("another", LONG)
        client.config_set("maxmemory", 0)
        assert {name: client.dump(name) for name in client.keys("*")} == before
        assert backend.write("lease", [leave(2)])[0].status is Status.OK
        client.close()
        backend.close()


class TestConnections:
    def test_many_threads_share_few_connections(self, redis_url: str, client: Any) -> None:
        name = uuid4().hex
        backend = RedisBackend(redis_url, {"max_connections": 2, "client_name": name})
        failed: list[Exception] = []

        def count() -> None:
            for _ in range(20):
                try:
                    backend.count("room")
                except Exception as error:
                    failed.append(error)

        threads = [threading.Thread(target=count) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(BOUND)
        assert failed == []
        assert len(connections(client, name)) <= 2
        backend.close()
        wait_until(lambda: not connections(client, name))

    async def test_many_tasks_share_few_connections(self, redis_url: str, client: Any) -> None:
        name = uuid4().hex
        backend = RedisBackend(redis_url, {"max_connections": 4, "client_name": name})
        assert await asyncio.gather(*(backend.acount("room") for _ in range(500))) == [0] * 500
        assert 1 <= len(connections(client, name)) <= 4
        await backend.aclose()
        wait_until(lambda: not connections(client, name))

    def test_a_closed_backend_may_be_used_again(self, backend: RedisBackend) -> None:
        async def count_twice() -> None:
            for _ in range(2):
                assert await backend.acount("room") == 0
                await backend.aclose()
            await backend.aclose()

        for _ in range(2):
            assert backend.count("room") == 0
            backend.close()
        backend.close()
        asyncio.run(count_twice())

    @pytest.mark.parametrize("close", [False, True])
    def test_loops_that_end_leave_nothing_open(self, redis_url: str, client: Any, close: bool) -> None:
        name = uuid4().hex
        backend = RedisBackend(redis_url, {"client_name": name})

        async def use() -> None:
            await asyncio.gather(backend.acount("room"), backend.aopen("lease", LONG))
            assert connections(client, name)
            if close:
                await backend.aclose()

        for _ in range(10):
            asyncio.run(use())
            async_to_sync(use)()
        gc.collect()
        assert backend._loops == {}
        assert not module._open
        wait_until(lambda: not connections(client, name))

    def test_a_loop_that_forgets_to_clean_up_is_forgotten_by_the_next(self, redis_url: str) -> None:
        backend = RedisBackend(redis_url)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(backend.acount("room"))
        for one in backend._loops[loop].clients:
            loop.run_until_complete(one.connection_pool.disconnect())
        loop.close()

        async def use() -> None:
            await backend.acount("room")
            assert list(backend._loops) == [asyncio.get_running_loop()]

        asyncio.run(use())
        assert backend._loops == {}
        assert not module._open

    def test_a_fork_uses_connections_of_its_own(self, redis_url: str) -> None:
        subprocess.run(
            [sys.executable, "-W", "error", "-c", FORK, redis_url], check=True, cwd=ROOT, timeout=3 * BOUND
        )

    def test_a_socket_file_is_a_location(self, own_server: RedisServer) -> None:
        path = own_server.directory / "redis.sock"

        class OnSocketFile(RedisServer):
            def command(self) -> list[str]:
                return [*super().command(), "--unixsocket", str(path)]

        with OnSocketFile(own_server.binary) as server:
            assert server.pid
            backend = RedisBackend(f"unix://{path}?db=3")
            backend.open("lease", LONG)
            assert backend.write("lease", [join(1)])[0].status is Status.OK
            with redis.Redis.from_url(server.url(3)) as client:
                assert client.exists("{djp}:2:V")
            backend.close()

    def test_a_cluster_finds_all_keys_in_one_slot(self) -> None:
        class Node(RedisServer):
            def command(self) -> list[str]:
                bus = str(free_port())
                return [
                    *super().command(),
                    "--databases",
                    "1",
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    bus,
                ]

        with Node(find_valkey_server()) as server:
            client: Any = redis.Redis.from_url(server.url())
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            wait_until(lambda: client.cluster("INFO")["cluster_state"] == "ok", BOUND)
            backend = RedisBackend(server.url())
            backend.open("own", LONG)
            backend.open("dead", GONE)
            backend.write("own", [join(1, key="a{b}c"), join(2, key="}{"), leave(3, key="}{")])
            backend.write("dead", [join(1, "ref2", "user2", key="a{b}c")])
            assert backend.claim("own", 10, 0) == [Work("dead", "a{b}c", ["ref2"])]
            assert backend.reap("dead", "a{b}c", ["ref2"], "tag")
            assert backend.snapshots(["a{b}c", "}{"])[0].members.keys() == {"user"}
            slot = client.execute_command("CLUSTER KEYSLOT", "{djp}:2:V")
            assert client.execute_command("CLUSTER COUNTKEYSINSLOT", slot) == client.dbsize() > 0
            client.close()
            backend.close()


FORK = """
import asyncio, os, sys
from django.conf import settings
settings.configure(DJUST_PRESENCE={"BACKEND": "redis", "LOCATION": sys.argv[1]})
from djust_presence.backends.registry import get_backend
from djust_presence.testing.backends.base import join

async def use(lease):
    backend = get_backend()
    await backend.aopen(lease, 1000.0)
    replies = await backend.awrite(lease, [join(1, lease, lease)])
    assert replies[0].status == "ok", replies

def use_here(lease):
    backend = get_backend()
    backend.open(lease, 1000.0)
    assert backend.write(lease, [join(1, lease, lease)])[0].status == "ok"

def child(number):
    pid = os.fork()
    if pid == 0:
        try:
            for round in range(3):
                use_here(f"thread-{number}-{round}")
                asyncio.run(use(f"loop-{number}-{round}"))
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    return pid

def ends_well(pid):
    assert os.waitpid(pid, 0)[1] == 0

async def main():
    await use("parent")
    children = [child(1), child(2)]
    for round in range(20):
        await use(f"parent-{round}")
    for pid in children:
        ends_well(pid)
    await get_backend().aclose()

use_here("early")
ends_well(child(3))
asyncio.run(main())
ends_well(child(4))
assert get_backend().count("room") == 2 + 20 + 4 * 6
get_backend().close()
"""


def connections(client: Any, name: str) -> list[Any]:
    return [one for one in client.client_list() if one["name"] == name]


class TestConfiguration:
    @pytest.mark.parametrize(
        ("location", "options", "id"),
        [
            ("redis://localhost:6379/0", {}, None),
            ("rediss://user:secret@example.com:6380/1?ssl_cert_reqs=none", {}, None),
            ("unix:///run/redis.sock?db=2", {}, None),
            ("rediss://localhost", {"ssl_cert_reqs": "none", "ssl_check_hostname": False}, None),
            ("redis://localhost", {"protocol": 3, "username": "u", "password": "p", "db": 5}, None),
            ("localhost:6379", {}, "E010"),
            ("http://localhost:6379", {}, "E010"),
            ("", {}, "E010"),
            ("redis://localhost:port", {}, "E010"),
            ("redis://localhost?retry_on_timeout=yes", {}, "E010"),
            ("redis://localhost?socket_timeout=60", {}, "E010"),
            ("redis://localhost?nonsense=1", {}, "E010"),
            ("redis://localhost", {"CACHE": "nowhere"}, "E011"),
            ("redis://localhost", {"CACHE": ""}, "E011"),
            ("redis://localhost", {"CACHE": "none"}, "E012"),
            ("redis://localhost", {"CACHE": "unimportable"}, "E012"),
            ("redis://localhost", {"CACHE": "local"}, "E012"),
            ("redis://localhost", {"CACHE": "sentinel"}, "E012"),
            ("redis://localhost", {"CACHE": "empty"}, "E012"),
            ("redis://localhost", {"ssl_cert_reqs": "none"}, "E013"),
            ("rediss://localhost", {"ssl_cert_reqs": "nonsense"}, "E013"),
            ("rediss://localhost", {"ssl_nonsense": 1}, "E013"),
        ],
    )
    @override_settings(
        CACHES={
            "default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
            "local": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "snowflake"},
            "empty": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
            "none": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": []},
            "unimportable": {"BACKEND": "no.where", "LOCATION": "redis://localhost"},
            "sentinel": {
                "BACKEND": "django_redis.cache.RedisCache",
                "LOCATION": "redis://service/0",
                "OPTIONS": {"SENTINELS": [("localhost", 26379)]},
            },
        }
    )
    def test_a_wrong_configuration_is_found_without_io(
        self, location: str, options: dict[str, Any], id: str | None
    ) -> None:
        backend = RedisBackend(location, options)
        messages = backend.check()
        assert [message.id for message in messages] == ([f"djust_presence.{id}"] if id else [])
        for message in messages:
            assert message.hint
            with pytest.raises(ImproperlyConfigured, match=re.escape(message.msg)):
                backend.count("room")
            with pytest.raises(ImproperlyConfigured, match=re.escape(message.msg)):
                asyncio.run(acount(backend))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"prefx": "x"}, "no option 'prefx'; it takes CACHE, prefix,"),
            ({"retry_on_timeout": True}, "no option 'retry_on_timeout'"),
            ({"socket_timeout": 3}, "no option 'socket_timeout'"),
            ({"decode_responses": False}, "no option 'decode_responses'"),
            ({"timeout": "5"}, "'timeout' .* above 0, not '5'"),
            ({"timeout": float("inf")}, "'timeout' .* above 0, not inf"),
            ({"timeout": float("nan")}, "'timeout' .* above 0, not nan"),
            ({"max_connections": None}, "'max_connections' .* above 0, not None"),
            ({"CACHE": 1}, "'CACHE' .* must be an alias"),
            ({"CACHE": "redis://:sec@ret"}, "'CACHE' .* must be an alias in CACHES$"),
            ({"read_timeout": 0}, "'read_timeout' .* above 0, not 0"),
            ({"max_connections": 2.5}, "'max_connections' .* above 0, not 2.5"),
            ({"max_connections": True}, "'max_connections' .* above 0, not True"),
            ({"prefix": ""}, "'prefix' .* without braces, not ''"),
            ({"prefix": "{djp}"}, "'prefix' .* without braces"),
        ],
    )
    def test_an_option_that_does_not_fit_is_named(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(TypeError, match=message):
            RedisBackend("redis://localhost", options)

    @pytest.mark.parametrize("kind", ["django-redis", "several", "django"])
    def test_the_cache_names_the_server(self, redis_url: str, client: Any, kind: str) -> None:
        """Connect with the cache's user and password, which may only touch keys of the prefix."""
        user = f"user-{uuid4().hex}"
        database = client.connection_pool.connection_kwargs["db"]
        client.acl_setuser(
            user,
            enabled=True,
            passwords=["+secret"],
            keys=["{shared}:*"],
            commands=["+@all", "-@dangerous", "+client"],
        )
        configured: dict[str, Any] = {
            "django-redis": {
                "BACKEND": "django_redis.cache.RedisCache",
                "LOCATION": f"{redis_url}?max_connections=7&socket_timeout=9",
                "OPTIONS": {
                    "CLIENT_CLASS": "django_redis.client.DefaultClient",
                    "USERNAME": user,
                    "PASSWORD": "secret",
                    "SOCKET_TIMEOUT": 3,
                    "CONNECTION_POOL_KWARGS": {"max_connections": 3, "retry_on_timeout": True},
                },
            },
            "several": {
                "BACKEND": "django_redis.cache.RedisCache",
                "LOCATION": [redis_url, "redis://replica.invalid"],
                "OPTIONS": {"USERNAME": user, "CONNECTION_POOL_KWARGS": {"password": "secret"}},
            },
            "django": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": f"{redis_url};redis://replica.invalid",
                "OPTIONS": {"username": user, "password": "secret", "db": database},
            },
        }[kind]
        options = {"CACHE": "shared", "prefix": "shared"}
        with override_settings(CACHES={"default": configured, "shared": configured}):
            backend = RedisBackend("redis://nowhere.invalid:1", options)
            assert backend.check() == []
            backend.open("lease", LONG)
            assert backend.write("lease", [join(1)])[0].status is Status.OK
            assert client.hlen("{shared}:2:V") == 1
            assert asyncio.run(acount(backend)) == 1
            backend.close()
            wrong = RedisBackend("redis://nowhere.invalid:1", {**options, "password": "wrong"})
            with pytest.raises(PresenceUnavailable):
                wrong.count("room")
        client.acl_deluser(user)

    @pytest.mark.parametrize(
        ("lease_ttl", "options", "timeouts"),
        [
            (30, {}, (2.5, 1)),
            (30, {"timeout": None, "read_timeout": None}, (2.5, 1)),
            (6, {}, (0.5, 0.5)),
            (600, {}, (5, 1)),
            (30, {"timeout": 0.4}, (0.4, 0.4)),
            (600, {"timeout": 40, "read_timeout": 2}, (40, 2)),
        ],
    )
    def test_timeouts_follow_the_lease_where_they_are_not_set(
        self, redis_url: str, lease_ttl: float, options: dict[str, Any], timeouts: tuple[float, float]
    ) -> None:
        with override_settings(DJUST_PRESENCE={"LEASE_TTL": lease_ttl}):
            backend = RedisBackend(redis_url, options)
            assert backend.check() == []
            clients = backend._clients(redis)
            used = [client.connection_pool.make_connection().socket_timeout for client in clients]
        assert used == [pytest.approx(timeout) for timeout in timeouts]

    def test_a_write_on_a_dead_connection_fails_well_within_a_short_lease(
        self, own_server: RedisServer
    ) -> None:
        with override_settings(DJUST_PRESENCE={"LEASE_TTL": 6}):
            backend = RedisBackend(own_server.url())
            backend.open("lease", LONG)
            own_server.freeze()
            began = time.monotonic()
            with pytest.raises(PresenceUnavailable):
                backend.write("lease", [join(1)])
            assert time.monotonic() - began < 2
            own_server.thaw()
            backend.close()

    @pytest.mark.parametrize(
        ("url", "password"),
        [
            ("redis://:s%23e%2Fc%3Fr%40e%25t%20@host:6379/1", "s#e/c?r@e%t "),
            ("redis://:s;e,c%r@e t@host/1", "s;e,c%r@e t"),
            ("redis://host/1?password=p@ss", "p@ss"),
        ],
    )
    def test_a_password_may_hold_any_character_that_its_url_can_hold(self, url: str, password: str) -> None:
        found = servers.parameters(redis, url, None, {})
        assert (found["host"], found["db"], found["password"]) == ("host", 1, password)

    @pytest.mark.parametrize("cache", [False, True])
    @pytest.mark.parametrize(
        "secret",
        [
            "12xq#zj34",
            "1234/zjkv",
            "1234?zjkv",
            "xqzj#kvwq",
            "xq/zj@kv",
            "1?a=b",
            "xq[zj]kv",
            "xq]zj",
            "ä℀xqzj",
            "xq?zj=k/v",
        ],
    )
    @pytest.mark.parametrize(
        "url", ["redis://:{}@host:6379/0", "rediss://me1:{}@host", "unix://me1:{}@/run/redis.sock"]
    )
    def test_a_password_that_is_not_encoded_is_refused_and_not_shown(
        self, url: str, secret: str, cache: bool
    ) -> None:
        url = url.format(secret)
        configured = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": url}
        with override_settings(CACHES={"default": configured}):
            backend = RedisBackend(
                "redis://localhost" if cache else url, {"CACHE": "default"} if cache else {}
            )
            (message,) = backend.check()
            assert message.id == "djust_presence.E010"
            setting = "CACHES['default']['LOCATION']" if cache else "DJUST_PRESENCE['LOCATION']"
            assert message.msg.startswith(f"{setting} has a special character in its user or password")
            assert "ercent-encode" in str(message.hint)
            with pytest.raises(ImproperlyConfigured) as raised:
                backend.count("room")
        told = "".join(traceback.format_exception(raised.value)).split("ImproperlyConfigured")[-1]
        assert raised.value.__cause__ is raised.value.__context__ is None
        for part in re.findall(r"[a-z]{2}", secret):
            assert part not in f"{message.msg} {message.hint} {told}"

    @pytest.mark.parametrize(
        "url", ["redis://:abcd", "redis://me:abcd/0", "redis://h:99999", "redis://host?db=ab"]
    )
    def test_a_value_that_is_not_a_url_is_not_shown(self, url: str) -> None:
        with override_settings(DJUST_PRESENCE=None, DJUST_CONFIG={"REDIS_URL": url}):
            (message,) = RedisBackend(url).check()
        assert message.msg.startswith("DJUST_CONFIG['REDIS_URL'] is not a Redis URL. ")
        assert not re.search("abcd|99999|'ab'", f"{message.msg} {message.hint}")

    @pytest.mark.parametrize(
        ("kind", "location", "password"),
        [
            (DJANGO_REDIS, "redis://:se;cret@host,redis://replica", "se;cret"),
            (DJANGO_REDIS, "redis://:1234,5@host", None),
            (DJANGO_REDIS, ["redis://:se,cr;et@host"], "se,cr;et"),
            (DJANGO_REDIS, {"redis://:se,cr;et@host"}, "se,cr;et"),
            (DJANGO, "redis://:1234;5@host", None),
            (DJANGO, "redis://:1234,5@host", None),
            (DJANGO, "redis://:secret@host;redis://replica,redis://other", "secret"),
            (DJANGO, ("redis://:se,cr;et@host",), "se,cr;et"),
        ],
    )
    def test_the_location_of_a_cache_is_split_as_the_cache_splits_it(
        self, kind: str, location: Any, password: str | None
    ) -> None:
        with override_settings(CACHES={"default": {"BACKEND": kind, "LOCATION": location}}):
            if password is not None:
                cache: Any = import_string(kind)(location, {})
                used = cache._servers if kind == DJANGO else cache.client._server
                assert servers.of_cache("default").url == next(iter(used))
                assert servers.parameters(redis, "", "default", {})["password"] == password
                return
            (message,) = RedisBackend("", {"CACHE": "default"}).check()
        assert message.id == "djust_presence.E010"
        assert message.msg.startswith("CACHES['default']['LOCATION'] is split at")
        assert "1234" not in message.msg

    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            (DJANGO_REDIS, {"CONNECTION_POOL_KWARGS": {"ssl_cert_reqs": None}}),
            (DJANGO_REDIS, {"CONNECTION_POOL_KWARGS": {"client_name": None, "ssl_ca_certs": None}}),
            (DJANGO_REDIS, {"USERNAME": "", "PASSWORD": None, "SOCKET_TIMEOUT": 3}),
            (DJANGO_REDIS, {"USERNAME": "me", "PASSWORD": "secret"}),
            (DJANGO_REDIS, {"PASSWORD": "secret", "CONNECTION_POOL_KWARGS": {"password": None}}),
            (DJANGO_REDIS, {"USERNAME": "me", "CONNECTION_POOL_KWARGS": {"username": None, "password": "p"}}),
            (DJANGO_REDIS, {"client_name": "ignored", "db": 7}),
            (DJANGO, {"ssl_cert_reqs": None, "ssl_check_hostname": False}),
            (DJANGO, {"client_name": None, "username": None, "db": 7, "max_connections": 3}),
        ],
    )
    def test_connections_get_the_options_that_those_of_the_cache_get(
        self, kind: str, options: dict[str, Any]
    ) -> None:
        """None is passed on too: it turns something off. Both libraries build their pools here without connecting."""
        location = "rediss://host"
        cache: Any = import_string(kind)(location, {"OPTIONS": options})
        if kind == DJANGO:
            theirs = cache._cache.get_client().connection_pool.connection_kwargs
        else:
            factory = cache.client.connection_factory
            theirs = factory.get_connection_pool(factory.make_connection_params(location)).connection_kwargs
        with override_settings(
            CACHES={"default": {"BACKEND": kind, "LOCATION": location, "OPTIONS": options}}
        ):
            ours = servers.parameters(redis, "", "default", {})
        names = {
            "client_name",
            "username",
            "password",
            "db",
            "ssl_cert_reqs",
            "ssl_ca_certs",
            "ssl_check_hostname",
        }
        expected = {name: value for name, value in theirs.items() if name in names}
        assert {"client_name": "djust_presence", "password": None} | expected == {"password": None} | {
            name: value for name, value in ours.items() if name in names
        }

    def test_an_option_that_is_none_is_passed_on(self, redis_url: str, client: Any) -> None:
        assert (
            servers.parameters(redis, "rediss://host", None, {"ssl_cert_reqs": None})["ssl_cert_reqs"] is None
        )
        backend = RedisBackend(redis_url, {"client_name": None})
        before = len(connections(client, ""))
        backend.count("room")
        assert len(connections(client, "")) == before + 1
        backend.close()

    @pytest.mark.parametrize(
        ("server", "address"),
        [
            ({}, "localhost:6379/0"),
            ({"host": "::1", "port": 1, "db": None}, "[::1]:1/0"),
            ({"path": "/run/redis.sock", "db": 3}, "/run/redis.sock/3"),
        ],
    )
    def test_the_address_for_messages(self, server: dict[str, Any], address: str) -> None:
        assert module.address_of(server) == address

    def test_redis_py_never_repeats_by_itself(self, backend: RedisBackend) -> None:
        def retries(client: Any) -> int:
            retry = client.connection_pool.make_connection().retry
            return int(retry._retries)

        async def here() -> list[int]:
            return [retries(one) for one in (await backend._here()).clients]

        backend.count("room")
        assert [retries(one) for one in backend._threads or ()] == [0, 0]
        assert asyncio.run(here()) == [0, 0]

    def test_without_redis_py_the_error_says_what_to_install(self) -> None:
        program = (
            "import sys; sys.modules['redis'] = None\n"
            "from django.conf import settings\n"
            "settings.configure(DJUST_PRESENCE={'BACKEND': 'redis'})\n"
            "from django.core.exceptions import ImproperlyConfigured\n"
            "from djust_presence.backends.registry import get_backend\n"
            "try:\n    get_backend()\n"
            "except ImproperlyConfigured as error:\n    assert 'djust-presence[redis]' in str(error)\n"
            "else:\n    raise SystemExit(1)\n"
        )
        subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, timeout=BOUND)


async def acount(backend: RedisBackend) -> int:
    return await backend.acount("room")


def test_a_write_to_a_connection_that_was_just_lost_is_an_outage() -> None:
    """asyncio of Python 3.13 raises an AttributeError for it; another one is a bug."""
    with pytest.raises(PresenceUnavailable, match="Redis at here: connection lost"), unavailable("here"):
        raise AttributeError("'NoneType' object has no attribute '_add_writer'")
    with pytest.raises(AttributeError), unavailable("here"):
        raise AttributeError("'NoneType' object has no attribute 'anything'")
