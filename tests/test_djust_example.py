"""The example project as a site of real djust's views."""

from __future__ import annotations

import pytest

from tests.servers import SiteServer


@pytest.mark.parametrize("debug", ["0", "1"])
@pytest.mark.parametrize("redis", ["", "redis://127.0.0.1:1/0"])
def test_nothing_is_wrong_with_its_settings(redis: str, debug: str) -> None:
    site = SiteServer({"DJUST": "1", "REDIS_URL": redis, "DEBUG": debug})
    try:
        answer = site.manage("check", "--fail-level", "WARNING")
    finally:
        site.close()
    assert "no issues" in answer
