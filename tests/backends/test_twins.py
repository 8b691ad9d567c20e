"""The Lua scripts are the twin of the pure ``Store``: the same verbs, the same replies, the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from djust_presence.backends.memory import MemoryBackend
from djust_presence.backends.redis import RedisBackend
from djust_presence.state.order import Spot
from djust_presence.state.records import SCHEMA, Join, Leave, Op, Renewal, Reply, Status, Work
from djust_presence.state.store import Lease, Row, Store, StoredGroup

pytestmark = pytest.mark.redis

TTLS = st.sampled_from([0.0, 1000.0])  # expired at once, or never: no time passes in between
LEASES = st.sampled_from(["one", "two", "job:1", "job:2"])
KEYS = st.sampled_from(["room", "room", "{a}:b"])
REFS = st.sampled_from(["r1", "r2", "r3", "r4"])
USERS = st.sampled_from(["ann", "b 2 b", "çe:1", "\uffee", "\U0001f600"])
METAS = st.sampled_from(["{}", '{"a":"1:2.0:{}"}', '{"name":"Zoë"}'])
EPOCHS = st.sampled_from(["e1", "e2"])
SOME_REFS = st.lists(REFS, max_size=4, unique=True)
FATES = st.sampled_from(
    ["count", "renew", "open", "move"]
)  # what may happen to a lease between its expiry and its reaping
TAGS = st.sampled_from([f"t{number}" for number in range(9)])
JOINED = st.integers(0, 3 * 10**9).map(lambda micro: 1.7e9 + micro / 10**6) | st.sampled_from(
    [1.7e9, 1.7e9 + 1]
)
SPOTS = st.none() | st.tuples(JOINED, USERS)
SAID = st.none() | st.sampled_from(
    [0.0, 1.7e9, 1.7e9 + 1, 1.7e9 + 2, 1.7e9 + 3]
)  # before every time of the sequence
STEPS = 40
OURS = 1.75e9  # no time that is given is later, and none of the store's own clock is earlier
OFFSETS = st.sampled_from([1, 1, 1, 1, 1, 1, 0, 2])  # to the last number: mostly the next one

OPS = st.one_of(
    st.tuples(st.just(Join), OFFSETS, KEYS, REFS, USERS, METAS, EPOCHS, TAGS, JOINED, SAID),
    st.tuples(st.just(Leave), OFFSETS, KEYS, REFS, TAGS, st.sampled_from([None, None, 0.0, 1e12])),
)
VERBS = st.one_of(
    st.tuples(st.just("counts"), st.lists(KEYS, max_size=3)),
    st.tuples(st.just("open"), LEASES, TTLS),
    st.tuples(st.just("open"), LEASES, TTLS, TTLS, TTLS),
    st.tuples(st.just("write"), LEASES, st.lists(OPS, max_size=4)),
    st.tuples(st.just("write"), LEASES, st.lists(OPS, max_size=4)),
    st.tuples(st.just("write"), LEASES, st.lists(OPS, max_size=4)),
    st.tuples(st.just("renew"), LEASES, OFFSETS, st.lists(KEYS, max_size=3, unique=True), st.integers(0, 2)),
    st.tuples(st.just("drain"), LEASES, TTLS),
    st.tuples(st.just("claim"), st.none() | LEASES, TTLS),
    st.tuples(st.just("reap"), LEASES, KEYS, SOME_REFS, TAGS),
    st.tuples(
        st.just("expire_claim_reap"),
        LEASES,
        FATES,
        st.none() | LEASES,
        TTLS,
        FATES,
        LEASES,
        KEYS,
        SOME_REFS,
        TAGS,
    ),
    st.tuples(st.just("beat"), KEYS, REFS),
    st.tuples(st.just("release"), KEYS, REFS, TAGS),
    st.tuples(st.just("snapshots"), st.lists(KEYS, max_size=3)),
    st.tuples(st.just("members"), KEYS, st.lists(USERS, max_size=3)),
    st.tuples(st.just("page"), KEYS, st.sampled_from([None, 0, 1, 2, 9]), SPOTS),
)


class Rows(NamedTuple):
    """Everything that a store holds, but for times that its own clock made."""

    birth: str
    heard: bool
    leases: dict[str, tuple[int, float, float, float, bool]]
    dead: set[str]
    work: dict[str, set[tuple[str, str]]]
    groups: dict[str, tuple[Any, dict[str, Row], dict[str, str], list[Spot], dict[str, list[str]]]]


def of_clock(said: float) -> float:
    """A time that the store's own clock made is one day or another: only its order counts."""
    return said if said < OURS else OURS


def rows_of_store(store: Store) -> Rows:
    def member_text(group: StoredGroup, user: str) -> str:
        connections, joined_at, meta = group.users[user]
        ref = group.refs[user][0][1] if connections == 1 else ""
        return f"{connections}:{joined_at:017.6f}:{ref}:{meta}"

    def lease(held: Lease) -> tuple[int, float, float, float, bool]:
        return held.seq, held.ttl, held.unheard, held.pause, held.draining

    return Rows(
        store.birth,
        store.heard > 0,
        {name: lease(held) for name, held in store.leases.items()},
        set(store.dead),
        {name: set(refs) for name, refs in store.index.items()},
        {
            key: (
                ":".join(map(str, group.place)),
                {ref: row._replace(said=of_clock(row.said)) for ref, row in group.rows.items()},
                {user: member_text(group, user) for user in group.users},
                list(group.order),
                {user: [ref for _, ref in refs] for user, refs in group.refs.items() if len(refs) > 1},
            )
            for key, group in store.groups.items()
        },
    )


def rows_of_redis(client: Any) -> Rows:
    """The layout as ``prelude.lua`` describes it, read back by other means than the scripts."""
    names = set(client.keys())
    prefix = f"{{djp}}:{SCHEMA}:"

    def take(name: str, read: Callable[[str], Any]) -> Any:
        names.discard(prefix + name)
        return read(prefix + name)

    def lease(text: str) -> tuple[int, float, float, float, bool]:
        seq, ttl, unheard, pause, *draining = text.split(":")
        return int(seq), float(ttl), float(unheard), float(pause), draining == ["draining"]

    def row(text: str) -> Row:
        lease, said, length, rest = text.split(" ", 3)
        raw = rest.encode()
        user, meta = raw[: int(length)], raw[int(length) + 1 :]
        return Row(lease, user.decode(), meta.decode(), of_clock(float(said)))

    def order(texts: list[str]) -> dict[str, list[str]]:
        refs: dict[str, list[str]] = {}
        for text in texts:
            length, rest = text.encode().split(b":", 1)
            user, times_and_ref = rest[: int(length)].decode(), rest[int(length) + 1 :].decode()
            refs.setdefault(user, []).append(times_and_ref.split(":", 1)[1])
        return refs

    seqs = take("S", client.hgetall)
    expiries = {
        name: at
        for row in "LJ"
        for name, at in take(row, lambda name: client.zrange(name, 0, -1, withscores=True))
    }
    assert expiries.keys() == seqs.keys()
    claimed = {name for name, text in seqs.items() if text == "claimed"}
    assert claimed == {name for name, at in expiries.items() if at == 0}
    places = take("V", client.hgetall)
    work = {
        lease: {
            (key, ref) for ref, key in (text.split(":", 1) for text in take(f"I:{lease}", client.smembers))
        }
        for lease in [name.removeprefix(prefix + "I:") for name in names if name.startswith(prefix + "I:")]
    }
    found = Rows(
        take("B", client.get) or "",
        bool(take("H", client.get)),
        {name: lease(text) for name, text in seqs.items() if name not in claimed},
        claimed,
        work,
        {
            key: (
                place,
                {ref: row(text) for ref, text in take(f"r:{key}", client.hgetall).items()},
                take(f"u:{key}", client.hgetall),
                take(
                    f"t:{key}",
                    lambda name: [
                        (score, user) for user, score in client.zrange(name, 0, -1, withscores=True)
                    ],
                ),
                order(take(f"o:{key}", lambda name: client.zrange(name, 0, -1))),
            )
            for key, place in places.items()
        },
    )
    assert not names
    return found


def normal(reply: Any) -> Any:
    """A reply without the order in which work is given out."""
    if isinstance(reply, list) and reply and isinstance(reply[0], Work):
        return sorted((lease, key, sorted(refs)) for lease, key, refs in reply)
    if isinstance(reply, dict):
        return list(reply.items())  # of a page, where the order counts
    if isinstance(reply, Renewal):
        return reply._replace(at=0.0)
    if isinstance(reply, list) and reply and isinstance(reply[0], Reply):
        return [one._replace(said=of_clock(one.said)) for one in reply]
    return reply


def numbered(op: tuple[Any, ...], last: int) -> Op:
    kind, offset, *rest = op
    made: Op = kind(last + offset, *rest)
    return made


def spelled_out(verbs: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Return the sequence with each ``expire_claim_reap`` spelled out in three steps."""
    for verb, *arguments in verbs:
        if verb != "expire_claim_reap":
            yield (verb, *arguments)
            continue
        lease, before, own, lag, after, heir, key, refs, tag = arguments
        fates: dict[str, tuple[Any, ...]] = {
            "count": ("counts", [key]),
            "renew": ("renew", lease, 1, [key], 0),
            "open": ("open", lease, 1000.0),
            "move": ("write", heir, [(Join, 1, key, ref, "ann", "{}", "e3", tag, 1.7e9) for ref in refs[:1]]),
        }
        yield ("drain", lease, 0.0)
        yield fates[before]
        yield ("claim", own, lag)
        yield fates[after]
        yield ("reap", lease, key, refs, tag)


@given(st.lists(VERBS, min_size=STEPS, max_size=STEPS))
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_sequence_of_verbs_has_the_same_effect_in_memory_and_in_redis(
    redis_url: str, verbs: list[tuple[Any, ...]]
) -> None:
    backend = RedisBackend(redis_url)
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    client.flushdb()
    memory = MemoryBackend()
    lasts: dict[str, int] = {}
    try:
        for verb, *arguments in [("open", "one", 1000.0), ("open", "job:1", 1000.0), *spelled_out(verbs)]:
            if verb == "write":
                lease, drawn = arguments
                last, ops = lasts.get(lease, 0), []
                for op in drawn:
                    ops.append(numbered(op, last))
                    last = max(last, ops[-1].seq) if ops[-1].seq == last + 1 else last
                arguments = [lease, ops]
            elif verb == "renew":
                lease, offset, keys, ahead = arguments
                arguments = [lease, lasts.get(lease, 0) + offset - 1, keys, ahead]
            elif verb == "claim":
                own, lag = arguments
                arguments = [own, 1000, lag]
            ours = getattr(memory, verb)(*arguments)
            theirs = getattr(backend, verb)(*arguments)
            assert normal(theirs) == normal(ours)
            if verb == "write":
                for op, reply in zip(arguments[1], ours, strict=True):
                    if reply.status is Status.OK:
                        lasts[lease] = op.seq
        assert rows_of_redis(client) == rows_of_store(memory._store)
    finally:
        backend.close()
        client.close()
