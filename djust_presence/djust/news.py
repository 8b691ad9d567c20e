"""News of presence for djust's views, before djust renders them."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from ..hosts.old_connections import check_is_due
from ..mixins import PresenceMixin, has_callbacks, presence_of
from ..tracker import Refresh
from ..view_presence import ViewPresence

__all__ = ["take_in"]


async def take_in(view: PresenceMixin, refresh: Refresh) -> None:
    """Give *view* its news: in a thread if it has callbacks for them, or if connections are to be looked at; else at once."""
    presence = presence_of(view)
    if presence is None:
        return
    # Channels closes old connections only before calls of its own. The renderings of all pages share a thread.
    if has_callbacks(view, refresh) or check_is_due():
        await sync_to_async(_take_in)(presence, refresh)
    else:
        presence.take_in(refresh)


def _take_in(presence: ViewPresence, refresh: Refresh) -> None:
    close_old_connections()
    presence.take_in(refresh)
