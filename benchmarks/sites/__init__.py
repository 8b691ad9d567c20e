"""The sites that are measured: settings and ASGI applications, some of which run in environments of their own."""

from __future__ import annotations
