"""The views of the presence guide on djust's own classes; only the imports differ."""

from __future__ import annotations

from pathlib import Path

from tests import guide

_OURS = "from djust_presence import LiveView, PresenceMixin\n"
_DJUSTS = "from djust import LiveView\nfrom djust_presence import PresenceMixin\n"

_text = Path(guide.__path__[0], "views.py").read_text()
assert _OURS in _text
exec(compile(_text.replace(_OURS, _DJUSTS), __file__, "exec"))
