"""What fifty pointers cost and how fast they are seen, beside a bare application: ``python -m benchmarks.cursors``."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import ExitStack

from tests.cursor_load import BareServer, Outcome, run
from tests.servers import RedisServer, SiteServer, find_valkey_server


def show(name: str, outcome: Outcome) -> None:
    print(
        f"{name:28} cpu {outcome.cpu:5.2f} s   p50 {1000 * outcome.p50:6.1f} ms   p99 {1000 * outcome.p99:6.1f} ms   "
        f"{outcome.frames:5.1f} frames/s and {outcome.bytes / 1024:5.1f} KiB/s to each page   "
        f"{'complete' if outcome.complete else outcome.missing}"
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--movers", type=int, default=50)
    parser.add_argument("--rate", type=float, default=20, help="moves a second of each")
    parser.add_argument("--seconds", type=float, default=5)
    options = vars(parser.parse_args())
    with BareServer() as bare:
        show("bare application", await run(bare, "/", **options))
    for store in ("memory", "redis"):
        for name, path in ("default handler", "/board/1/"), ("the guide's handler", "/own/1/"):
            with ExitStack() as stack:
                variables = {"DJANGO_SETTINGS_MODULE": "tests.cluster.cursor_site"}
                if store == "redis":
                    variables["REDIS_URL"] = stack.enter_context(RedisServer(find_valkey_server())).url()
                site = stack.enter_context(SiteServer(variables))
                show(f"{store}, {name}", await run(site, path, **options))


if __name__ == "__main__":
    asyncio.run(main())
