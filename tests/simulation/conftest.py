"""Failures are wanted here, by the thousand: what the engine logs of them would only be formatted and thrown away."""

import logging

import pytest


@pytest.fixture(autouse=True, scope="session")
def _quiet():
    logger = logging.getLogger("penstock")
    before, logger.disabled = logger.disabled, True
    yield
    logger.disabled = before
