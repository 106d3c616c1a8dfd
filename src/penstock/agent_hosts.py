"""Hosts: from the setting `host` to the adapter that it names, and to agents whose handlers are executed there."""

import inspect
import logging
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from penstock.core.agents.declaration import Agent
from penstock.core.agents.resources import Resources
from penstock.core.events.event import Event
from penstock.core.hosting.app_places import AppPlace, encode_place
from penstock.errors import Finding, Invalid, Missing
from penstock.ports.clock import Clock
from penstock.ports.host import Host, Place
from penstock.runtime.hosting import Making, hosting
from penstock.settings import Settings, shown_url
from penstock.tracers import passed_on

ENTRY = "penstock.hosts.serving:serving"
_log = logging.getLogger("penstock")


class HostedApp(Protocol):
    """What is to be known of an app."""

    @property
    def name(self) -> str: ...
    @property
    def agents(self) -> Mapping[str, Agent]: ...
    @property
    def events(self) -> tuple[type[Event], ...]: ...
    @property
    def source(self) -> str: ...


async def hosted_agents(
    chosen: Settings, app: HostedApp, clock: Clock, stack: AsyncExitStack, *, traced: bool = False
) -> Mapping[str, Agent]:
    """Return the agents of an app, with handlers that stand in for those on the host of the settings, if there is one.

    A worker is started to see whether it has the same code: `Invalid` and `Missing` say what it lacks.
    """
    if not chosen.host:
        wanting = [name for name, each in app.agents.items() if each.options.resources is not None]
        if wanting:
            _log.info("resources of %s are not minded: without the setting host all run here", ", ".join(wanting))
        return app.agents
    host = await _opened(chosen.host, stack)
    if not app.source:
        raise Missing(f"the file of the app {app.name!r}", "define it in a file, which the host executes too")
    place = AppPlace(
        app.name, app.source, code_of(app), version_of_penstock(), chosen.model, passed_on() if traced else None
    )
    made = Making(ENTRY, encode_place(place), app.events, clock)
    await (await host.start(Place("the code", made.entry, made.body, Resources(cpus=0)))).end()
    return await stack.enter_async_context(hosting(host, app.agents, made))


def version_of_penstock() -> str:
    """Return what this process runs, installed or not."""
    return str(import_module("penstock").__version__)  # its names lead to all layers: a plain import would be a cycle


def code_of(app: HostedApp) -> dict[str, str]:
    """Return a digest of the file in which each agent and event of an app is declared, by their names."""
    known: dict[str, str] = {}

    def digest(of: Any) -> str:
        try:
            file = inspect.getsourcefile(inspect.unwrap(of)) or ""
        except TypeError:  # a callable object: its class is in a file
            file = inspect.getsourcefile(cast("type[object]", type(of))) or ""
        if file not in known:
            path = Path(file)
            known[file] = blake2b(path.read_bytes(), digest_size=16).hexdigest() if path.is_file() else ""
        return known[file]

    agents = app.agents.values()
    events = {*app.events, *(event for each in agents for event in (*each.accepts, *each.emits))}
    handlers = {f"agent {each.name}": digest(each.handler) for each in agents if not each.options.workflow}
    return {**handlers, **{f"event {each.type_}": digest(each) for each in _own(events)}}


def _own(events: Iterable[type[Event]]) -> list[type[Event]]:
    """Return the events that are not penstock's, in an order."""
    return sorted((each for each in events if not each.__module__.startswith("penstock.")), key=lambda each: each.type_)


async def _opened(url: str, stack: AsyncExitStack) -> Host:
    if url.split(":", 1)[0] == "ray":
        from penstock.adapters.ray.host import open_ray

        return await stack.enter_async_context(open_ray(url))
    hint = "use ray://HOST:PORT, ray:HOST:PORT or ray; leave it empty for this process"
    raise Invalid("the settings", (Finding("host", f"{shown_url(url)!r} is not known", hint),))
