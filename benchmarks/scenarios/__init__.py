"""Scenarios: each measures several drivers beside each other."""

from __future__ import annotations

from .base import Case, Scenario
from .cursors import Cursors
from .groups import Groups
from .join import Join, Listed, Processes
from .polls import Polls
from .quiet import CrossTalk, Idle, Navigation
from .storm import Bystander, Storm

__all__ = ["MAIN", "SCENARIOS", "Case", "Scenario"]

SCENARIOS: dict[str, Scenario] = {
    "join": Join(),
    "list": Listed(),
    "processes": Processes(),
    "storm": Storm(),
    "bystander": Bystander(),
    "cross-talk": CrossTalk(),
    "navigation": Navigation(),
    "idle": Idle(),
    "polls": Polls(),
    "cursors": Cursors(),
    "groups": Groups(),
}
# Those of a short run.
MAIN = ("join", "list", "storm", "bystander", "cross-talk", "polls")
