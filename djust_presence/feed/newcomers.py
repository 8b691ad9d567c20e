"""The bounds on pages that begin to poll, for each address of clients and in this process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, ip_address
from typing import Any

from ..rates import TokenBucket

__all__ = ["AT_ONCE", "A_MINUTE", "Newcomers", "address_of"]

A_MINUTE = 20  # new pages
AT_ONCE = 200  # pages
STAYS = 75.0  # seconds without a poll after which a page is not counted: hidden ones poll once a minute


class Address:
    """The pages of one address, by when they polled last."""

    __slots__ = ("bucket", "pages", "seen")

    def __init__(self) -> None:
        self.bucket = TokenBucket(A_MINUTE / 60, A_MINUTE)
        self.pages: OrderedDict[str, float] = OrderedDict()
        self.seen = 0.0


class Newcomers:
    """The pages that poll this process. For any thread; *clock* returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._addresses: OrderedDict[str, Address] = OrderedDict()
        self._lock = threading.Lock()

    def admit(self, address: str, page: str) -> bool:
        """Return False if *page* is one new page too many for *address*."""
        with self._lock:
            now = self._clock()
            self._forget_addresses(now)
            known = self._addresses.setdefault(address, Address())
            self._addresses.move_to_end(address)
            known.seen = now
            while known.pages and next(iter(known.pages.values())) <= now - STAYS:
                known.pages.popitem(last=False)
            if page not in known.pages and (len(known.pages) >= AT_ONCE or not known.bucket.take(now)):
                return False
            known.pages[page] = now
            known.pages.move_to_end(page)
            return True

    def gone(self, address: str, page: str) -> None:
        """Forget *page*, which has said goodbye."""
        with self._lock:
            if known := self._addresses.get(address):
                known.pages.pop(page, None)

    def renew_lock(self) -> None:
        """Replace the lock in a forked child, where no thread would release it."""
        self._lock = threading.Lock()

    def _forget_addresses(self, now: float) -> None:
        """Forget addresses that were silent for long: their buckets are full again."""
        while self._addresses:
            address, known = next(iter(self._addresses.items()))
            if known.seen > now - STAYS:
                return
            del self._addresses[address]


def address_of(meta: Mapping[str, Any]) -> str:
    """Return the address of the client of a request with this ``META``; of an IPv6 address the network.

    A peer without a public address is taken for the site's own proxy, which has put the client's address at the end
    of X-Forwarded-For.
    """
    peer: str = meta.get("REMOTE_ADDR", "")
    if not _is_public(peer):
        peer = meta.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip() or peer
    try:
        address = ip_address(peer)
    except ValueError:
        return peer[:100]
    if isinstance(address, IPv6Address):
        return address.exploded[:19]  # a client has a network of 64 bits at least
    return str(address)


def _is_public(peer: str) -> bool:
    try:
        return ip_address(peer).is_global
    except ValueError:
        return False
