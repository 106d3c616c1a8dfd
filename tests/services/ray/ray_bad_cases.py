"""What is wrong with a host is said within seconds, with the name of the setting. Run by tests/adapters/on_ray."""

import asyncio
import shutil
import time
from pathlib import Path

import hosted_app
import pytest
from ray_server import CLIENT, Ray

from penstock import App, Event, Resources
from penstock.adapters.ray.host import open_ray
from penstock.app_files import load
from penstock.core.agents.resources import Resources as Wanted
from penstock.errors import Invalid, Missing, PenstockError, Unavailable
from penstock.ports.host import Place
from penstock.testing.host_contract import ENTRY

WITHIN_S = 25


async def refused(app, url):
    """Return how an app is refused, and that it is soon."""
    began_s = time.monotonic()
    with pytest.raises(PenstockError) as caught:
        async with app.running(store="memory:", host=url):
            pass
    assert time.monotonic() - began_s < WITHIN_S
    return caught.value


@pytest.mark.parametrize("url", ["ray://127.0.0.1:9", "ray:127.0.0.1:9"])
async def test_nobody_listens(url):
    error = await refused(hosted_app.app, url)
    assert isinstance(error, Unavailable)
    assert str(error).startswith("host did not answer 'connect'")
    assert url in str(error)


@pytest.mark.parametrize("door", ["ray://", "ray:"])
async def test_somebody_else_listens(door):
    async def hang_up(reader, writer):
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        url = f"{door}127.0.0.1:{server.sockets[0].getsockname()[1]}"
        error = await refused(hosted_app.app, url)
    assert isinstance(error, Unavailable)
    assert url in str(error)


@pytest.mark.parametrize("url", ["ray://", "ray:somewhere", "ray://host:0", "slurm://host", "raymond"])
async def test_what_is_no_address(url):
    error = await refused(hosted_app.app, url)
    assert isinstance(error, Invalid)
    assert error.findings[0].path == "host"


async def test_an_app_whose_file_is_not_there(tmp_path):
    file = Path(shutil.copy(hosted_app.__file__, tmp_path / "moved_app.py"))
    app = load(file)
    app.source = str(tmp_path / "elsewhere" / "moved_app.py")
    error = await refused(app, Ray.direct)
    assert isinstance(error, Missing)
    assert "host: the app's file" in str(error)
    assert "moved_app.py" in str(error)


async def test_an_app_of_other_code(tmp_path):
    file = Path(shutil.copy(hosted_app.__file__, tmp_path / "changed_app.py"))
    app = load(file)
    other = tmp_path / "other" / "changed_app.py"
    other.parent.mkdir()
    other.write_text(file.read_text().replace("7 * len(text)", "8 * len(text)"))
    app.source = str(other)
    error = await refused(app, Ray.direct)
    assert isinstance(error, Invalid)
    assert "host: agent price" in {each.path for each in error.findings}


async def test_an_app_that_raises_there(tmp_path):
    file = Path(shutil.copy(hosted_app.__file__, tmp_path / "broken_app.py"))
    app = load(file)
    file.write_text("import nothing_of_this_name\n")
    error = await refused(app, Ray.direct)
    assert isinstance(error, Invalid)
    assert "nothing_of_this_name" in str(error)
    assert error.findings[0].path == "host"


async def test_an_app_that_is_in_no_file():
    app = App("nowhere")
    app.source = ""

    @app.agent
    async def nothing(event: Nothing) -> None: ...

    assert isinstance(await refused(app, Ray.direct), Missing)


class Nothing(Event):
    pass


async def test_resources_that_no_node_has():
    async with open_ray(Ray.direct, room_s=1.0) as host:
        place = Place("greedy", ENTRY, b"", Wanted(cpus=0.1, gpus=8, custom={"tpu": 1}))
        with pytest.raises(Unavailable, match=r"no node had room for 0.1 CPU, 8 GPU, 1 tpu within 1 s"):
            await host.start(place)


def test_resources_are_checked_when_they_are_declared():
    app = App("greedy")
    with pytest.raises(Invalid) as caught:
        app.agent(resources=Resources(cpus=-1, gpus=float("nan"), workers_min=5, workers_max=0, idle_s=0))(nothing)
    assert {each.path for each in caught.value.findings} == {
        f"resources.{each}" for each in ("cpus", "gpus", "workers_min", "workers_max", "idle_s")
    }


async def nothing(event: Nothing) -> None: ...


def test_the_client_door_is_the_usual_one():
    assert CLIENT == 10001
