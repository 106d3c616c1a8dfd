"""Fixtures for pytest: in a conftest.py, `pytest_plugins = ["penstock.testing.fixtures"]`.

Async tests then run by anyio's plugin (`anyio_mode = "auto"`, or `@pytest.mark.anyio`) in virtual time.
"""

from typing import Any

import pytest

from penstock.testing.apps import Disk
from penstock.testing.virtual_time import VirtualTimeLoop


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


@pytest.fixture
def disk() -> Disk:
    """A disk that outlives the processes of one test."""
    return Disk()
