"""What is measured; each scenario puts drivers beside each other."""

from __future__ import annotations

from .base import Case, Scenario
from .join import Join

__all__ = ["SCENARIOS", "Case", "Scenario"]

SCENARIOS: dict[str, Scenario] = {"join": Join()}
