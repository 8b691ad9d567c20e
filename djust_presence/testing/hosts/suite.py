"""All parts of the contract of a host as one class."""

from __future__ import annotations

from .changes import ChangesContract
from .clients import ClientsContract
from .groups import GroupsContract

__all__ = ["HostContract"]


class HostContract(GroupsContract, ChangesContract, ClientsContract):
    """Subclass it, and define how pages of your host are opened.

    A page of a *room* is in the group ``room:<room>``, which is filled in from its URL where it has one. There are
    three kinds. ``room`` calls ``track_presence({"color": "teal"})`` as it begins, ``watcher`` ``watch_presence()``,
    and ``each-tab`` is a ``room`` with ``presence_unique_per_connection``.

    ``lacks`` names parts that the host does not have, with the reason for which their tests are skipped: ``render``, a page
    over HTTP before its connection; ``online``, a number that is shown without a call; ``each-tab``; ``session``, by
    which the tabs of a visitor are known.
    """
