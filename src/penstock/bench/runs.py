"""Runs of workflows: W2, one run that maps 1,000 items over a child of two steps, and W3, runs of empty steps.

- The child is a part of the run that maps (a branch of `ctx.map`), or with `child_runs` a run of its own that is called.
- The steps are `ctx.read`, or with `each_step` `ctx.step`: each waits until what led to it is durable.
- What a run returns is released after the commit of all that it follows from. The client is in the same process.
"""

import asyncio
import cProfile
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

from penstock import App, Context, Event, Running
from penstock.bench import machine
from penstock.bench.batches import (
    FAN_OUT,
    FAN_OUT_AT_ONCE,
    STEPS,
    Batches,
    Sizes,
    batch_figures,
    batches,
    doubled,
    expected_sum,
    increased,
    nothing,
)
from penstock.bench.places import Place, place_of
from penstock.runtime.process import run_tuned
from penstock.runtime.workflow_context import WorkflowContext
from penstock.settings import Settings


class FanOut(Event, key="id"):
    """Map so many items."""

    id: str
    items: int


class Item(Event, key="id"):
    """One of them, for a child that is a run of its own."""

    id: str
    number: int


class Steps(Event, key="id"):
    """Execute so many empty steps."""

    id: str
    steps: int


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What is measured. `in_flight`: runs at once, of empty steps; `store`: as for turns."""

    seconds: float
    in_flight: int = 1
    store: str = ""
    each_step: bool = False
    child_runs: bool = False
    profile: Path | None = None
    sizes: Sizes | None = None  # of a batch; None: those of the workload


def fan_out(options: RunOptions) -> dict[str, Any]:
    """Measure W2."""
    return _measured(options, _fan_out)


def steps(options: RunOptions) -> dict[str, Any]:
    """Measure W3."""
    return _measured(options, _steps)


def runs_app(*, each_step: bool = False, child_runs: bool = False) -> App:
    """Return the app of both workloads."""
    app = App("runs")

    @app.agent
    async def child(item: Item, ctx: Context) -> int:
        step = ctx.step if each_step else ctx.read
        return await step("increased", increased, await step("doubled", doubled, item.number))

    @app.workflow
    async def fan_out(wanted: FanOut, ctx: WorkflowContext) -> int:
        step = ctx.step if each_step else ctx.read

        async def in_branch(number: int) -> int:
            return await step("increased", increased, await step("doubled", doubled, number))

        async def in_run(number: int) -> int:
            return await ctx.call("child", Item(id=f"{wanted.id}-{number}", number=number))

        one = in_run if child_runs else in_branch
        return sum(await ctx.map(one, range(wanted.items), limit=FAN_OUT_AT_ONCE))

    @app.workflow
    async def steps(wanted: Steps, ctx: WorkflowContext) -> int:
        step = ctx.step if each_step else ctx.read
        for _ in range(wanted.steps):
            await step("nothing", nothing)
        return wanted.steps

    return app


async def _fan_out(running: Running, options: RunOptions, profiler: AbstractContextManager[Any]) -> dict[str, Any]:
    async def one_run(items: int) -> None:
        came = await running.call("fan_out", FanOut(id=running.engine.services.clock.new_id(), items=items))
        _check(came, expected_sum(items))

    with profiler:
        done = await batches(one_run, options.sizes or FAN_OUT, options.seconds, process_time)
    return _figures(done, "item", 1)


async def _steps(running: Running, options: RunOptions, profiler: AbstractContextManager[Any]) -> dict[str, Any]:
    async def one_run(count: int) -> None:
        came = await running.call("steps", Steps(id=running.engine.services.clock.new_id(), steps=count))
        _check(came, count)

    async def runs(count: int) -> None:
        await asyncio.gather(*(one_run(count) for _ in range(options.in_flight)))

    with profiler:
        done = await batches(runs, options.sizes or STEPS, options.seconds, process_time)
    return _figures(done, "step", options.in_flight)


def _figures(done: Batches[float], unit: str, side_by_side: int) -> dict[str, Any]:
    found = batch_figures(done, done.after - done.before, unit, side_by_side=side_by_side)
    return found | {"rss_mb": machine.rss_mb(), "units": done.count_all * side_by_side, "unit": unit}


Work = Callable[[Running, RunOptions, AbstractContextManager[Any]], Awaitable[dict[str, Any]]]


def _measured(options: RunOptions, work: Work) -> dict[str, Any]:
    with place_of(options.store) as place:
        found = run_tuned(_on(place, options, work))
    return found | {"first_error": "", "store": place.kind, "versions": machine.versions()}


async def _on(place: Place, options: RunOptions, work: Work) -> dict[str, Any]:
    app, chosen = runs_app(each_step=options.each_step, child_runs=options.child_runs), Settings(store=place.url)
    async with app.running(chosen):
        pass  # the tables are there
    before = await place.kept_bytes()
    profiler = None if options.profile is None else cProfile.Profile()
    async with app.running(chosen) as running:
        found = await work(running, options, nullcontext() if profiler is None else profiler)
    if profiler is not None:
        profiler.dump_stats(str(options.profile))
    grown_bytes = await place.kept_bytes() - before
    return found | {f"bytes_per_{found.pop('unit')}": round(grown_bytes / found.pop("units"))}


def _check(came: Any, expected: int) -> None:
    if came != expected:
        raise RuntimeError(f"a run came to {came!r} and not to {expected}")
