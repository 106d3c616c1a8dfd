"""The contract of hosts against a real Ray, by both of its doors. Run by tests/adapters/on_ray, within the cluster's network."""

import os
import signal

import pytest
import ray
from ray_server import Ray

from penstock.adapters.ray.address import address_of
from penstock.adapters.ray.host import open_ray
from penstock.testing.host_contract import HostContract


class RayContract(HostContract):
    url = ""

    @pytest.fixture(scope="class", autouse=True)
    def connected(self, request):
        """Connect once: the client's door starts a process each time."""
        ray.init(address_of(request.cls.url).address, log_to_driver=False)
        try:
            yield
        finally:
            ray.shutdown()

    @pytest.fixture
    async def host(self):
        async with open_ray(self.url) as host:
            yield host

    @pytest.fixture
    def kill(self):
        async def killed(worker):
            os.kill(worker.pid, signal.SIGKILL)

        return killed


class TestThroughItsClientDoor(RayContract):
    url = Ray.client


class TestFromWithinTheCluster(RayContract):
    url = Ray.direct
