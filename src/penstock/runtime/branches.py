"""Branches of a workflow: side by side, the first of several, and those that the end of the run does not cut off."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from penstock.core.agents.journal import decode_value
from penstock.errors import LimitReached, Refused
from penstock.runtime.operations import Operations, owner
from penstock.runtime.steps import scope

T = TypeVar("T")
BRANCHES_MAX = 100_000


async def gathered(operations: Operations, branches: Sequence[Awaitable[T]]) -> list[T]:
    """Go on with all branches; the first error ends all."""
    with _all_begun(branches):
        return await _side_by_side(operations, _branching(operations, "gather"), branches)


async def mapped(
    operations: Operations, call: Callable[[Any], Awaitable[T]], items: Sequence[Any], limit: int
) -> list[T]:
    """Call for each item, at most `limit` at once."""
    if len(items) > BRANCHES_MAX:
        raise LimitReached("the number of branches", len(items), BRANCHES_MAX)
    if limit < 1:
        raise Refused(f"limit={limit} lets no branch begin", "give 1 or more")
    name = _branching(operations, "map")
    found: list[Any] = [None] * len(items)
    numbers = iter(range(len(items)))

    async def some() -> None:  # a task goes on with one item after the other: 100,000 items need no 100,000 tasks
        for number in numbers:
            found[number] = await _branch(f"{name}[{number}]/", call(items[number]))

    await _together(operations, name, [some() for _ in range(min(limit, len(items)))])
    return found


async def first_of(operations: Operations, branches: Sequence[Awaitable[T]]) -> tuple[int, T]:
    """Go on until one ends. What the others had under way is given up by the same commit that records the winner."""
    with _all_begun(branches):
        return await _first_of(operations, operations.ask("first"), branches)


async def _first_of(operations: Operations, name: str, branches: Sequence[Awaitable[T]]) -> tuple[int, T]:
    found = operations.journal.find(name)
    if found is not None:
        winner: int = decode_value(found, int)
        if not 0 <= winner < len(branches):
            operations.halt(f"{name!r} was won by branch {winner}, and has {len(branches)} now")
        for number, branch in enumerate(branches):
            if number != winner:
                _drop(branch)
                operations.journal.forgive(f"{name}[{number}]/")
        return winner, await _branch(f"{name}[{winner}]/", branches[winner])
    tasks = [asyncio.ensure_future(_branch(f"{name}[{n}]/", each)) for n, each in enumerate(branches)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        winner = next(number for number, task in enumerate(tasks) if task.done())
        operations.record(name, winner)
        for number in range(len(tasks)):
            if number != winner:
                operations.give_up_below(f"{name}[{number}]/")
        return winner, tasks[winner].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def shielded(operations: Operations, work: Awaitable[T]) -> T:
    """Do the work to its end, also when the run is made to end meanwhile: that waits for it, within the bound of a clean-up."""
    name = _branching(operations, "shielded")
    run = operations.run
    task = asyncio.ensure_future(_branch(f"{name}/", work))
    run.under_way[name] = None
    try:
        result = await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.cancelled():
            await _ended(operations, task)
        raise
    finally:
        run.under_way.pop(name, None)
        if run.closed or operations.calls.stopping:
            task.cancel()
    if run.ending is not None and not run.delivered and name in run.ending.cut:
        await run.stay_cut(name)
    return result


async def _ended(operations: Operations, task: "asyncio.Task[Any]") -> None:
    """Wait for the work; a second cancellation, or the end of the engine, ends it."""
    if operations.run.closed or operations.calls.stopping:
        task.cancel()
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _side_by_side(operations: Operations, name: str, branches: Iterable[Awaitable[T]]) -> list[T]:
    return await _together(
        operations, name, [_branch(f"{name}[{number}]/", each) for number, each in enumerate(branches)]
    )


async def _together(operations: Operations, name: str, work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Do all of it side by side; the first error ends all."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except BaseExceptionGroup as failures:
        operations.journal.forgive(f"{name}[")
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def _branching(operations: Operations, name: str) -> str:
    operations.enter()
    return operations.journal.next_branching(scope.get() + name)


async def _branch(name: str, work: Awaitable[T]) -> T:
    token, owned = scope.set(name), owner.set(asyncio.current_task())
    try:
        return await work
    finally:
        scope.reset(token)
        owner.reset(owned)


@contextmanager
def _all_begun(branches: Sequence[Awaitable[Any]]) -> Generator[None]:
    """Let go, at the end, of branches that were never begun: the run ended before their turn."""
    try:
        yield
    finally:
        for branch in branches:
            _drop(branch)


def _drop(branch: Awaitable[Any]) -> None:
    """A branch that lost in an earlier life does not begin again; one that has ended is left as it is."""
    if isinstance(branch, Coroutine):
        branch.close()
    elif isinstance(branch, asyncio.Future):
        branch.cancel()
