"""What a worker of a host executes: the app of the engine that started it, from the same file, or not at all."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from socket import gethostname

from penstock.adapters.clock.system import SystemClock
from penstock.agent_hosts import code_of, version_of_penstock
from penstock.app import App
from penstock.app_files import load
from penstock.core.hosting.app_places import HINT, AppPlace, decode_place, require_same
from penstock.errors import Finding, Invalid, Missing, PenstockError
from penstock.runtime.models import Models, Prompts
from penstock.runtime.remote_worker import RemoteWorker, Served, working
from penstock.wiring import model_opener


@asynccontextmanager
async def serving(body: bytes) -> AsyncGenerator[RemoteWorker]:
    """Serve the app of a place; `Missing` and `Invalid` where it is not here, or is another one."""
    place = decode_place(body)
    declared = _loaded(place).declared
    require_same(place, version_of_penstock(), code_of(declared))
    models = Models(model_opener(declared.models, place.model), Prompts(declared.prompts))
    async with working(Served(declared.agents, models, SystemClock())) as worker:
        yield worker


def _loaded(place: AppPlace) -> App:
    source = Path(place.source)
    if not source.is_file():
        raise Missing(f"host: the app's file {source} on {gethostname()}", HINT)
    try:
        app = load(source)
    except PenstockError:
        raise
    except Exception as error:
        finding = Finding(
            "host", f"cannot execute it ({type(error).__name__}: {error})", "install what the app needs there"
        )
        raise Invalid(str(source), (finding,)) from error
    if app.name != place.app:
        raise Invalid(str(source), (Finding("host", f"found the app {app.name!r}, not {place.app!r}", HINT),))
    return app
