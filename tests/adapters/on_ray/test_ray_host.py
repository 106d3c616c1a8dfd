"""A real Ray: the contract of hosts, whole apps, and what is wrong with one. The tests themselves run within the cluster's network."""

import os
from collections.abc import Generator

import pytest
from ray_server import HERE, Ray, required_ray

import penstock.adapters.ray.host
from penstock.errors import Missing

pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("ray")]


@pytest.fixture(scope="module")
def ray() -> Generator[Ray]:
    with required_ray() as ray:
        yield ray


def test_the_contract_of_hosts_holds_on_a_real_ray(ray: Ray) -> None:
    ended = ray.driver("-m", "pytest", "-q", "-c", HERE / "pytest.ini", HERE / "ray_contract_cases.py", "-k", "Within")
    assert ended.returncode == 0, f"{ended.stdout[-6000:]}\n{ended.stderr[-2000:]}"
    assert "8 passed" in ended.stdout


@pytest.mark.skipif(os.environ.get("PENSTOCK_SOAK") != "1", reason="NOT TESTED ON RAY: minutes; set PENSTOCK_SOAK=1")
@pytest.mark.parametrize(
    "cases", ["ray_contract_cases.py", "ray_app_cases.py", "ray_bad_cases.py", "ray_trace_cases.py"]
)
def test_apps_deaths_and_refusals_on_a_real_ray(ray: Ray, cases: str) -> None:
    ended = ray.driver("-m", "pytest", "-q", "-c", HERE / "pytest.ini", HERE / cases)
    assert ended.returncode == 0, f"{ended.stdout[-6000:]}\n{ended.stderr[-2000:]}"


async def test_without_the_library_it_says_what_to_install():
    with pytest.raises(Missing, match=r"penstock\[ray\]"):
        async with penstock.adapters.ray.host.open_ray("ray"):
            pass
