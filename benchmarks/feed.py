"""What it costs to tell many ordinary pages of a join, beside a bare loop: ``python -m benchmarks.feed``."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import ExitStack

from tests.feed_load import SITE, BareFeed, Outcome, run
from tests.servers import RedisServer, SiteServer, find_valkey_server


def show(name: str, outcome: Outcome) -> None:
    print(
        f"{name:10} last page {1000 * outcome.last:6.1f} ms   cpu {1000 * outcome.cpu:6.1f} ms a join   "
        f"{outcome.memory / 1024:5.1f} KiB a socket",
        flush=True,
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--joins", type=int, default=15)
    parser.add_argument("--groups", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    options = vars(parser.parse_args())
    for _ in range(options.pop("rounds")):
        with BareFeed() as site:
            show("bare loop", await run(site, **options))
        for store in ("memory", "redis"):
            with ExitStack() as stack:
                variables = dict(SITE)
                if store == "redis":
                    variables["REDIS_URL"] = stack.enter_context(RedisServer(find_valkey_server())).url()
                site = stack.enter_context(SiteServer(variables))
                show(store, await run(site, **options))


if __name__ == "__main__":
    asyncio.run(main())
