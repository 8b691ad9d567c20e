"""A process of its own with two pages, which ends when it is told to: ``python -m tests.tracker.child URL LAYERS``."""

from __future__ import annotations

import asyncio
import json
import sys

import django
from django.conf import settings

from tests.until import until


async def main() -> None:
    from djust_presence.tracker import get_tracker
    from tests.tracker.conftest import Process

    process = Process(get_tracker())
    ada, guest = process.open("ada"), process.open("anon_conn_1", lasting=False)
    await until(lambda: ada.count() == guest.count() == 2)
    await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    settings.configure(
        INSTALLED_APPS=["channels", "djust_presence"],
        DJUST_PRESENCE={"BACKEND": "redis", "LOCATION": sys.argv[1], "DRAIN_GRACE": 3},
        CHANNEL_LAYERS=json.loads(sys.argv[2]),
    )
    django.setup()
    asyncio.run(main())
