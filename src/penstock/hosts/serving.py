"""What a worker of a host executes: the app of the engine that started it, from the same file, or not at all."""

import logging
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, asynccontextmanager
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
from penstock.runtime.tracing import Traces
from penstock.tracers import opened_tracer
from penstock.wiring import Declared, model_opener

_log = logging.getLogger("penstock")


@asynccontextmanager
async def serving(body: bytes) -> AsyncGenerator[RemoteWorker]:
    """Serve the app of a place; `Missing` and `Invalid` where it is not here, or is another one."""
    place = decode_place(body)
    declared = _loaded(place).declared
    require_same(place, version_of_penstock(), code_of(declared))
    models = Models(model_opener(declared.models, place.model), Prompts(declared.prompts))
    with ExitStack() as stack:
        if place.traced is not None:
            models.traces = _traces(declared, place.traced, stack)
        served = Served(declared.agents, models, SystemClock(), models.traces, stack.close)
        async with working(served) as worker:
            yield worker


def _traces(app: Declared, said: Mapping[str, str], stack: ExitStack) -> Traces | None:
    """Return what traces here: by what this machine's environment says of it, and else by what the engine's says."""
    for name, value in said.items():
        os.environ.setdefault(name, value)
    try:
        tracer = opened_tracer(app.name, app.tracer_provider, stack)
    except (Missing, Invalid) as error:  # the engine traces all the same: no reason to handle nothing
        _log.warning("no spans come from this worker: %s", error)
        return None
    return None if tracer is None else Traces(tracer)


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
