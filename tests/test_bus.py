"""The bus over real channel layers: both that channels_redis has, through losses and restarts of the server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest
import redis
from channels.layers import BaseChannelLayer
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

from djust_presence.bus import Item, LayerBus, group_name
from djust_presence.bus.probes import Losses
from djust_presence.rates import LogLimit
from tests.servers import RedisServer, find_valkey_server
from tests.until import until

MakeLayer = Callable[[str], BaseChannelLayer]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer(find_valkey_server()) as server:
        yield server


def pubsub_layer(url: str) -> BaseChannelLayer:
    layer: BaseChannelLayer = RedisPubSubChannelLayer(hosts=[url])
    return layer


def core_layer(url: str) -> BaseChannelLayer:
    layer: BaseChannelLayer = RedisChannelLayer(hosts=[url])
    return layer


@pytest.fixture(params=[pubsub_layer, core_layer], ids=["pubsub", "core"])
def make_layer(request: pytest.FixtureRequest) -> MakeLayer:
    make: MakeLayer = request.param
    return make


class Listener:
    """A bus, and what it has heard."""

    def __init__(self, layer: BaseChannelLayer) -> None:
        self.heard: list[tuple[str, Sequence[Item | None]]] = []
        self.bus = LayerBus(lambda key, items: self.heard.append((key, items)), layer, "site")

    async def subscribe(self, key: str) -> None:
        ready = asyncio.Event()
        self.bus.subscribe(key, ready.set)
        await asyncio.wait_for(ready.wait(), 5)

    @property
    def items(self) -> list[Item]:
        return [item for _, items in self.heard for item in items if item is not None]


@asynccontextmanager
async def listeners(make_layer: MakeLayer, url: str) -> AsyncIterator[tuple[Listener, Listener]]:
    layers = make_layer(url), make_layer(url)
    one, two = Listener(layers[0]), Listener(layers[1])
    yield one, two
    for listener, layer in zip((one, two), layers, strict=True):
        await listener.bus.aclose()
        await layer.close_pools() if isinstance(layer, RedisChannelLayer) else await layer.flush()


async def test_a_message_is_heard_once_by_the_other_process_and_not_by_its_sender(
    make_layer: MakeLayer, server: RedisServer
) -> None:
    async with listeners(make_layer, server.url()) as (one, two):
        for listener in (one, two):
            await listener.subscribe("document:42")
        odd = ["event", "wave", {"to": "Zoë 🎉", "n": [2**70, 1.5, None]}]
        one.bus.publish("document:42", [odd])
        one.bus.publish("document:42", [["event", "again", None]])
        one.bus.publish("nobody listens", [["event", "wave", 1]])
        await until(lambda: len(two.items) == 2)
        assert two.items == [odd, ["event", "again", None]]
        assert not one.heard


async def test_an_unsubscribed_key_is_no_longer_heard(make_layer: MakeLayer, server: RedisServer) -> None:
    async with listeners(make_layer, server.url()) as (one, two):
        await two.subscribe("a")
        await two.subscribe("b")
        two.bus.unsubscribe("a")
        two.bus.publish("c", [])
        await until(lambda: not two.bus._added.keys() - two.bus._wanted.keys())
        one.bus.publish("a", [["event", "a", 1]])
        one.bus.publish("b", [["event", "b", 2]])
        await until(lambda: two.heard)
        assert two.heard == [("b", [["event", "b", 2]])]


async def test_it_hears_after_a_long_silence(server: RedisServer) -> None:
    async with listeners(pubsub_layer, server.url()) as pubsub, listeners(core_layer, server.url()) as core:
        for _, two in (pubsub, core):
            await two.subscribe("a")
        await asyncio.sleep(6.5)  # redis-py 8 gives up waiting for the next message after five seconds
        for one, two in (pubsub, core):
            one.bus.publish("a", [["event", "a", 1]])
            await until(lambda two=two: two.items == [["event", "a", 1]])  # type: ignore[misc]


async def test_it_hears_again_after_the_server_was_restarted(
    make_layer: MakeLayer, server: RedisServer
) -> None:
    async with listeners(make_layer, server.url()) as (one, two):
        await two.subscribe("a")
        server.stop()
        server.start()
        two.bus.again(always=True)  # as a tracker does that finds its lease gone
        for n in range(300):
            one.bus.publish("a", [["event", "a", n]])
            await asyncio.sleep(0.05)
            if two.items:
                break
        assert two.items


async def test_a_layer_that_hangs_keeps_nobody_waiting(make_layer: MakeLayer, server: RedisServer) -> None:
    async with listeners(make_layer, server.url()) as (one, two):
        await two.subscribe("a")
        await one.subscribe("a")
        server.freeze()
        try:
            ready = asyncio.Event()
            began = asyncio.get_running_loop().time()
            two.bus.subscribe("b", ready.set)
            two.bus.publish("a", [["event", "a", 1]])
            assert asyncio.get_running_loop().time() - began < 1
        finally:
            server.thaw()
        await until(lambda: one.items == [["event", "a", 1]])
        await asyncio.wait_for(ready.wait(), 10)


def test_group_names_suit_every_layer() -> None:
    layer = RedisChannelLayer(hosts=["redis://127.0.0.1:1"])
    for key in ("a:b", "a_b", "Zoë 🎉", "x" * 255, " "):
        assert layer.require_valid_group_name(group_name("", key))
    assert len({group_name("", key) for key in ("a:b", "a_b", "a b")}) == 3


async def test_an_outage_of_the_layer_has_a_line_at_its_begin_and_one_at_its_end(
    make_layer: MakeLayer, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with listeners(make_layer, server.url()) as (one, _):
        await one.subscribe("a")
        server.stop()
        one.bus.publish("a", [["event", "a", 0]])
        await until(lambda: "calls fail" in caplog.text)
        for n in range(20):
            one.bus.publish("a", [["event", "a", n]])
            await asyncio.sleep(0.05)
        server.start()
        await until(lambda: "calls work again" in caplog.text)
        await asyncio.sleep(0.5)
        began, ended = [one.getMessage() for one in caplog.records if one.name == "djust_presence"]
        assert re.match(r"Channel layer: calls fail \(redis\S+Error: .+\)\. Until they work again", began)
        assert ended == "Channel layer: calls work again."


async def test_closing_does_not_wait_for_a_layer_that_hangs(
    make_layer: MakeLayer, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with listeners(make_layer, server.url()) as (one, two):
        await one.subscribe("a")
        tasks = list(one.bus._tasks)
        server.freeze()
        try:
            one.bus.publish("a", [["event", "late", None]])
            async with asyncio.timeout(6):
                await one.bus.aclose()
        finally:
            server.thaw()
        assert all(task.done() for task in tasks)
        # What was written to the socket may have been taken all the same.
        assert len([one for one in caplog.records if one.name == "djust_presence"]) <= 2
        await two.subscribe("a")
        two.bus.publish("a", [["event", "on", None]])


ODD_MESSAGES: list[dict[str, object]] = [
    {"type": "x"},
    {"type": "x", "from": "me", "key": "a", "items": "{"},
    {"type": "x", "from": "me", "key": "a", "items": "null"},
    {"type": "x", "from": "me", "key": "a", "items": '{"event": 1}'},
    {"type": "x", "from": "me", "key": "a", "items": "[" * 5000},
    {"type": "x", "from": "me", "key": "a", "items": ["event"]},
    {"type": "x", "from": None, "key": "a", "items": "[]"},
    {"type": "x", "from": "me", "key": ["a"], "items": "[]"},
]


async def test_messages_of_unknown_shape_are_dropped_with_one_line_in_ten_seconds(
    make_layer: MakeLayer,
    server: RedisServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("djust_presence.bus.layer._unreadable", LogLimit(lambda: now))
    async with listeners(make_layer, server.url()) as (one, two):
        await two.subscribe("a")
        for odd in ODD_MESSAGES:
            await one.bus._layer.group_send(group_name("site", "a"), odd)
        one.bus.publish("a", [["event", "half a character: \ud83d", None]])
        await until(lambda: two.items == [["event", "half a character: \ud83d", None]])
        now = 10.0
        await one.bus._layer.group_send(group_name("site", "a"), {"type": "x"})
        said = "Could not decode a message from another process."
        await until(lambda: caplog.text.count(said) == 2)
        lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith(said)]
        assert lines == [said, f"{said} {len(ODD_MESSAGES) - 1} more like it were not logged."]


async def test_a_subscription_while_the_bus_unsubscribes_is_heard(
    make_layer: MakeLayer, server: RedisServer
) -> None:
    async with listeners(make_layer, server.url()) as (one, two):
        keys = [str(n) for n in range(30)]
        for key in keys:
            await two.subscribe(key)
        for key in keys:
            two.bus.unsubscribe(key)
        await asyncio.sleep(0.002)  # it is at it
        for key in keys:
            await two.subscribe(key)
        for key in keys:
            one.bus.publish(key, [[key]])
        await until(lambda: sorted(two.items) == sorted([key] for key in keys))


# A layer that forgets who is in a group


def forget_all_groups(server: RedisServer) -> int:
    client = redis.Redis.from_url(server.url())
    with client, client.pipeline() as pipe:
        for name in client.scan_iter("asgi:group:*"):
            pipe.delete(name)
        return sum(pipe.execute())


async def rounds_until_heard(one: Listener, two: Listener, key: str, patience: int) -> int:
    """Return after how many renewals of both leases one process hears the other."""
    for n in range(patience):
        one.bus.again()
        two.bus.again()
        await until(lambda: not any(of.bus._stale or of.bus._waiting for of in (one, two)))
        await asyncio.sleep(0.1)
        one.bus.publish(key, [["event", key, n]])
        await asyncio.sleep(0.1)
        if two.items:
            return n
    raise AssertionError(f"{key} was not heard")


@pytest.fixture
def core(server: RedisServer) -> Callable[..., BaseChannelLayer]:
    return lambda url, **options: RedisChannelLayer(hosts=[url], **options)


@pytest.mark.parametrize("groups", [1, 250])
async def test_lost_group_keys_are_noticed_by_the_second_renewal(
    core: MakeLayer, server: RedisServer, groups: int
) -> None:
    keys = [f"room {n}" for n in range(groups)]
    async with listeners(core, server.url()) as (one, two):
        for key in keys:
            await one.subscribe(key)
            await two.subscribe(key)
        for _ in range(3):
            one.bus.again()
            two.bus.again()
            await asyncio.sleep(0.1)
        assert forget_all_groups(server) == groups
        assert await rounds_until_heard(one, two, keys[-1], 5) <= 3
        await until(lambda: not (one.bus._stale or two.bus._stale))
        assert forget_all_groups(server) == groups


async def test_the_loss_of_one_group_among_others_is_noticed_when_its_turn_comes(
    core: MakeLayer, server: RedisServer
) -> None:
    async with listeners(core, server.url()) as (one, two):
        for key in ("a", "b", "c"):
            await one.subscribe(key)
            await two.subscribe(key)
        with redis.Redis.from_url(server.url()) as client:
            assert client.delete("asgi:group:" + group_name("site", "c"))
        assert await rounds_until_heard(one, two, "c", 10) <= 5


async def test_a_probe_costs_one_message_for_any_number_of_groups(
    core: MakeLayer, server: RedisServer
) -> None:
    async with listeners(core, server.url()) as (one, _):
        for n in range(50):
            await one.subscribe(f"room {n}")
        await asyncio.sleep(0.1)
        with redis.Redis.from_url(server.url()) as client:
            before = client.info("commandstats").get("cmdstat_zadd", {}).get("calls", 0)
            for _ in range(10):
                one.bus.again()
                async with asyncio.timeout(10):
                    while one.bus._probed is not None:
                        await asyncio.sleep(0.01)
            after = client.info("commandstats")
        assert (
            after["cmdstat_zadd"]["calls"] - before <= 25
        )  # the layer itself takes two to pass a message on
        assert not one.bus._stale


async def test_a_short_group_expiry_loses_nobody(
    core: Callable[..., BaseChannelLayer], server: RedisServer
) -> None:
    async with listeners(lambda url: core(url, group_expiry=2), server.url()) as (one, two):
        await one.subscribe("a")
        await two.subscribe("a")
        for n in range(12):  # none of these renews anything
            await asyncio.sleep(0.5)
            one.bus.publish("a", [["event", "a", n]])
        await until(lambda: len(two.items) == 12, 2)


def test_probes_that_are_lost_all_the_time_are_followed_ever_more_seldom() -> None:
    losses = Losses()
    assert [n for n in range(1, 100) if losses.lost()] == [1, 2, 4, 8, 16, 32, 64]
    losses.returned()
    assert losses.lost()


async def test_a_lost_reply_of_the_layer_is_no_outage(
    core: MakeLayer, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with listeners(core, server.url()) as (one, two):
        await two.subscribe("a")
        for n in range(20):
            server.command_line("CLIENT", "KILL", "TYPE", "normal")
            heard = len(two.items)
            while len(two.items) == heard:
                one.bus.publish("a", [["event", "a", n]])
                await asyncio.sleep(0.1)
    assert not [record for record in caplog.records if record.name == "djust_presence"]


async def test_a_layer_that_takes_messages_and_gives_none_out_is_an_outage_like_any_other(
    core: MakeLayer, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with listeners(core, server.url()) as (one, two):
        await one.subscribe("a")
        await two.subscribe("a")
        server.command_line("ACL", "SETUSER", "default", "-bzpopmin")
        server.command_line("CLIENT", "KILL", "TYPE", "normal")
        await until(lambda: caplog.text.count("calls fail") == 2)
        for n in range(20):  # sending works all the time
            one.bus.publish("a", [["event", "a", n]])
            await asyncio.sleep(0.1)
        server.command_line("ACL", "SETUSER", "default", "+@all")
        await until(lambda: caplog.text.count("calls work again") == 2)
        lines = [record.getMessage()[:22] for record in caplog.records if record.name == "djust_presence"]
        assert sorted(lines) == ["Channel layer: calls f"] * 2 + ["Channel layer: calls w"] * 2
