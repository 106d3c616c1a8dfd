import asyncio

import pytest

from penstock.adapters.memory.host import MemoryHost
from penstock.testing.echoing import echoing
from penstock.testing.host_contract import HostContract


class TestMemoryHost(HostContract):
    @pytest.fixture
    async def host(self):
        async with asyncio.TaskGroup() as group:
            host = MemoryHost(echoing, group)
            yield host
            for each in host.alive:
                each.kill()

    @pytest.fixture
    def kill(self):
        async def killed(worker):
            worker.kill()

        return killed
