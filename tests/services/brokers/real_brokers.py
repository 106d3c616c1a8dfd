"""The contract of brokers on a real server: a test supplies `opened`, which opens a connection."""

import secrets

import pytest

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
