"""The site of `feed_site` with the secret of the tests, which so can issue its tickets."""

from __future__ import annotations

from tests.cluster.feed_settings import *  # noqa: F403
from tests.settings import SECRET_KEY as OURS

SECRET_KEY = OURS
