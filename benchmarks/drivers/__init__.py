"""Each way of showing who is here that is measured: its server, how its pages connect, and how one knows of a join."""

from __future__ import annotations

from .base import Driver, NotAvailable

__all__ = ["Driver", "NotAvailable"]
