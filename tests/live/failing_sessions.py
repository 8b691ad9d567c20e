"""A session engine that cannot decode sessions in which ``broken`` is set."""

from __future__ import annotations

from typing import Any

from django.contrib.sessions.backends import db


class SessionStore(db.SessionStore):
    broken = False  # whether those sessions fail yet

    def decode(self, session_data: str | bytes) -> dict[str, Any]:
        data = super().decode(session_data)
        if "broken" in data and SessionStore.broken:
            raise RuntimeError("a session that cannot be decoded")
        return data
