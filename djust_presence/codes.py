"""The codes that sockets are closed with. The page's script has the same ones."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["CloseCode"]


class CloseCode(IntEnum):
    """A close code. Those below 4000 are of the WebSocket protocol; daphne cannot send 1011 and 1013."""

    NORMAL = 1000
    LEFT = 1001  # by the browser, which goes to another page
    NO_STATUS = 1005  # of a socket that was closed without a code
    GOING_AWAY = 1012  # the server restarts
    # Reasons: "slow": the page did not read its frames; "timeout": it gave no sign of life; "busy", "unchecked": access
    # to it could not be checked.
    RETRY = 4000
    BAD_REQUEST = 4400
    LOG_IN = 4401  # or another redirect: the page is loaded again
    FORBIDDEN = 4403
    NOT_FOUND = 4404
    FLOOD = 4408
    FAILED = 4500  # user code raised as the page was mounted
