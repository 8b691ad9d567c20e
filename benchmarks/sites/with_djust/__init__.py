"""A site of djust views, with its own presence or, under ``PRESENCE_OF=ours``, with this package's."""

from __future__ import annotations
