"""The example project with the timings that a test asks for: PRESENCE is a JSON object of options."""

from __future__ import annotations

import json
import os

from example_project.settings import *  # noqa: F403
from example_project.settings import DJUST_PRESENCE as CONFIGURED

DJUST_PRESENCE = CONFIGURED | json.loads(os.environ.get("PRESENCE", "{}"))
