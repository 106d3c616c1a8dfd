"""The agents of an app on a host: for each a pool of workers, and a handler that stands in for its own."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from penstock.core.agents.declaration import Agent
from penstock.core.agents.resources import DEFAULT_RESOURCES
from penstock.core.events.event import Event
from penstock.ports.clock import Clock
from penstock.ports.host import Host, Place, Worker
from penstock.runtime.host_links import Link
from penstock.runtime.host_pools import Pool
from penstock.runtime.hosted import HostedHandler
from penstock.runtime.remote_results import class_finder
from penstock.runtime.tasks import Tasks
from penstock.runtime.topology import Topology

ROOM_S = 5.0
Others: TypeAlias = Callable[[], Iterable[Pool]]


class Making(NamedTuple):
    """How workers are made: who serves there, what it is given, and what the app knows."""

    entry: str
    body: bytes
    events: tuple[type[Event], ...]
    clock: Clock


@asynccontextmanager
async def hosting(host: Host, agents: Mapping[str, Agent], made: Making) -> AsyncGenerator[Mapping[str, Agent]]:
    """Yield the agents with handlers that stand in for those on a host; workflows stay in this process."""
    hosted = {name: each for name, each in agents.items() if not each.options.workflow}
    known = Topology(agents, made.events)
    class_of = class_finder(lambda kind_of: None if (kind := known.of_type(kind_of)) is None else kind.event)
    failure: BaseException | None = None
    async with asyncio.TaskGroup() as group:
        tasks = Tasks(group)
        pools: dict[str, Pool] = {}
        pools |= {name: _pool(host, each, made, tasks, pools.values) for name, each in hosted.items()}
        keeping = [group.create_task(each.run()) for each in pools.values()]
        standing_in = {
            name: replace(each, handler=HostedHandler(each, pools[name], class_of), wants_context=True)
            for name, each in hosted.items()
        }
        try:
            yield {**agents, **standing_in}
        except BaseException as error:  # noqa: BLE001 - it leaves as it came, outside of any group
            failure = error
        finally:
            for each in keeping:
                each.cancel()
            await asyncio.gather(*(each.end() for each in pools.values()))
    if failure is not None:
        raise failure


async def _with_room(starting: Coroutine[Any, Any, Worker], others: Others, clock: Clock) -> Worker:
    """Start a worker; where that takes long there may be no room, and those that are idle make some."""
    task = asyncio.ensure_future(starting)
    try:
        while True:
            waiting = asyncio.ensure_future(clock.sleep(ROOM_S))
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if task.done():
                return task.result()
            for each in others():
                await each.make_room()
    finally:
        task.cancel()


def _pool(host: Host, agent: Agent, made: Making, tasks: Tasks, others: Others) -> Pool:
    resources = agent.options.resources or DEFAULT_RESOURCES
    place = Place(agent.name, made.entry, made.body, resources)

    async def start() -> Link:
        worker = await _with_room(host.start(place), others, made.clock)
        return Link(worker, f"the worker of {agent.name!r}", tasks)

    return Pool(agent.name, resources, start, made.clock, tasks)
