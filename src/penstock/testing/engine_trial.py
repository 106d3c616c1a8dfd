"""The small app on which the engine's contract is tried, and how it is killed."""

import asyncio
import typing
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from penstock.adapters.clock.system import SystemClock
from penstock.core.agents.declaration import Handler, Options, declare
from penstock.core.agents.flow import Flow
from penstock.core.agents.policy import NO_RETRY, Retry
from penstock.core.events.event import Event
from penstock.ports.store import Store
from penstock.runtime.control import NAME as CONTROL
from penstock.runtime.control import control
from penstock.runtime.engine import Engine, Parts, running
from penstock.runtime.models import Models, Prompts
from penstock.runtime.topology import Topology
from penstock.runtime.workflow_context import WorkflowContext

Disk = Callable[[], AbstractAsyncContextManager[Store]]
QUICK = Retry(attempts_max=3, delay_s=0.001, delay_max_s=0.01)


class Order(Event, key="customer"):
    """Something to be done for a customer."""

    customer: str
    number: int = 0


class Receipt(Event, key="customer"):
    """It was done."""

    customer: str
    number: int


class Seen(Event, key="customer"):
    """Somebody took notice of a receipt."""

    customer: str
    number: int


@asynccontextmanager
async def engine_of(
    disk: Disk, *handlers: Handler, timeout_s: float = 60.0, batch: int = 0, flow: Flow | None = None
) -> AsyncGenerator[tuple[Engine, Store]]:
    """Run handlers, named as their functions, on what lies on the disk; one that takes a `WorkflowContext` is a workflow."""
    chosen = Options(retry=QUICK, timeout_s=timeout_s, batch=batch, flow=flow)
    agents = {each.__name__: declare(each, each.__name__, _options(each, chosen)) for each in handlers}
    agents[CONTROL] = control()
    async with disk() as store:
        topology = Topology(agents, [Order, Receipt, Seen])
        parts = Parts("contract", topology, store, SystemClock(), Models(_no_model, Prompts(None)))
        async with running(parts, owner="contract") as engine:
            yield engine, store


async def killed(disk: Disk, *handlers: Handler, do: Callable[[Engine], Any], flow: Flow | None = None) -> None:
    """Run handlers, do something, and stop as a killed process does: nothing is finished, nothing is written any more."""
    reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def life() -> None:
        async with engine_of(disk, *handlers, flow=flow) as (engine, _):
            await do(engine)
            reached.set_result(None)
            await asyncio.Event().wait()

    task = asyncio.ensure_future(life())
    await asyncio.wait([task, reached], return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert reached.done(), task.exception()


def _options(handler: Handler, chosen: Options) -> Options:
    is_workflow = WorkflowContext in typing.get_type_hints(handler).values()
    return Options(retry=NO_RETRY, workflow=True, flow=chosen.flow) if is_workflow else chosen


def _no_model(name: str) -> Any:
    raise AssertionError(name)
