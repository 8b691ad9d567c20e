"""A live page of a site that does not use presence on any page."""

from __future__ import annotations

import pytest

from djust_presence.hosts import parts
from tests.pages import Visitor

pytestmark = pytest.mark.usefixtures("feed_site", "quiet_presence")


async def test_a_frame_for_a_part_that_nobody_offers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_offered", {})
    async with Visitor("ada").opens("/room/a/") as live:
        await live.send_json_to({"type": "join", "room": "x", "ticket": "x", "want": {}})
        while not any(frame["type"] == "error" for frame in live.frames):
            await live.frame()
        assert live.frames[-1]["code"] == "bad-frame"
