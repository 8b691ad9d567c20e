"""The contract of a backend as tests, for authors of backends."""

from __future__ import annotations

from pkgutil import iter_modules

import pytest

# Lets a failing test show the values that it has compared.
pytest.register_assert_rewrite(*(part.name for part in iter_modules(__path__, f"{__name__}.")))

from .suite import BackendContract  # noqa: E402

__all__ = ["BackendContract"]
