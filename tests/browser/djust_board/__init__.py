"""A site of one page, a whiteboard of real djust, served by a real process."""

from __future__ import annotations

from tests.browser.desk import DeskServer

__all__ = ["BoardServer"]


class BoardServer(DeskServer):
    """The whiteboard under uvicorn, without a database."""

    site = "tests.browser.djust_board"
