"""The contract of a host as tests: the promises of the docs for each page, for authors of hosts."""

from __future__ import annotations

from pkgutil import iter_modules

import pytest

# Lets a failing test show the values that it has compared.
pytest.register_assert_rewrite(*(part.name for part in iter_modules(__path__, f"{__name__}.")))

from .page import HostPage  # noqa: E402
from .suite import HostContract  # noqa: E402

__all__ = ["HostContract", "HostPage"]
