"""The contract of brokers on a real server: a test supplies `opened`, which opens a connection."""

import secrets
from contextlib import AsyncExitStack

import pytest

from penstock.brokers import opened_broker
from penstock.errors import Fenced
from penstock.testing.broker_contract import BrokerContract


class RealBrokerContract(BrokerContract):
    @pytest.fixture
    async def broker(self, opened):
        return await opened()

    @pytest.fixture
    def another(self, opened):
        return opened

    @pytest.fixture
    def topic(self):
        return f"t-{secrets.token_hex(6)}"


async def expect_errors_as_they_are(address):
    """A worker that is fenced joins again by the class of its error: a group around it would end the process."""

    async def fenced():
        async with AsyncExitStack() as stack:
            await opened_broker(address, stack)
            raise Fenced("a", 1)

    with pytest.raises(Fenced):
        await fenced()
