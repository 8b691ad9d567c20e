"""All parts of the contract of a backend as one class."""

from __future__ import annotations

from .changes import ChangesContract
from .connections import ConnectionsContract
from .draining import DrainingContract
from .gate import GateContract
from .jobs import JobsContract
from .keeping import KeepingContract
from .leases import LeasesContract
from .parts import PartsContract
from .reaping import ReapingContract

__all__ = ["BackendContract"]


class BackendContract(
    GateContract,
    ChangesContract,
    ConnectionsContract,
    LeasesContract,
    ReapingContract,
    DrainingContract,
    JobsContract,
    KeepingContract,
    PartsContract,
):
    """Subclass it and override the fixture ``backend``. Every test begins with an empty backend::

    class TestMyBackend(BackendContract):
        @pytest.fixture
        def backend(self):
            return MyBackend("", {})
    """
