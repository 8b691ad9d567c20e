"""Log lines about the channel layer: one when its calls begin to fail, one when they work again."""

from __future__ import annotations

import logging
from traceback import format_exception_only

from channels.layers import BaseChannelLayer

from ..outages import Outage, OutageOf

__all__ = ["layer_failed", "layer_worked"]

logger = logging.getLogger("djust_presence")

_outages = OutageOf[BaseChannelLayer]()
_without_a_layer = Outage(failures=1, seconds=0)  # logged at the first failure: trying again would not help


def layer_failed(layer: BaseChannelLayer | None, error: Exception) -> None:
    """Count a call that failed with *error*; *layer* is None if there is no channel layer."""
    outage = _outages[layer] if layer else _without_a_layer
    if outage.failed():
        logger.warning(
            "Channel layer: calls fail (%s). Until they work again, changes in other processes are seen "
            "late, and broadcasts to them are lost. Check CHANNEL_LAYERS, and that its server is reachable.",
            "".join(format_exception_only(error)).strip(),  # redis-py's repr() leaves out the server
        )


def layer_worked(layer: BaseChannelLayer) -> None:
    """Count a message that was sent or received. A subscription proves nothing: some layers do it in memory."""
    if _outages[layer].worked():
        logger.warning("Channel layer: calls work again.")
