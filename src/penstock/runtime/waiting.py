"""What a workflow waits for beside agents: time, and signals. What came, or that nothing came, is recorded."""

import asyncio
from collections.abc import Callable
from typing import Any

from penstock.core.agents.journal import decode_value, shaped
from penstock.core.agents.pending import UNTIL
from penstock.errors import TimedOut
from penstock.runtime.operations import Operations
from penstock.runtime.workflow_run import WorkflowRun


async def slept(operations: Operations, delay_s: float) -> None:
    """Wait until the time that was recorded when this was first asked for."""
    run, clock = operations.run, operations.services.clock
    step = operations.ask("sleep")
    if run.is_cut(step):
        await run.stay_cut(step)
    now_ms = clock.now_ms()
    found = operations.journal.find(step)
    if found is None and not operations.may_begin(step):
        await operations.rest(step)
    due_ms = now_ms + int(delay_s * 1000) if found is None else decode_value(found, int)
    if found is None:
        operations.record(step, due_ms)
    # A clock that was set back must not make it longer than asked.
    await operations.under_way(step, clock.sleep(min(delay_s, max(0.0, (due_ms - now_ms) / 1000))))


async def signalled(operations: Operations, name: str, to: Any, timeout_s: float | None) -> Any:
    """Take the oldest signal of a name, or wait for the next one."""
    sent = await next_sent(operations, name, f"waiting for the signal {name!r}", timeout_s)
    return sent["payload"] if to is Any else shaped(sent["payload"], to)


async def next_sent(operations: Operations, name: str, what: str, timeout_s: float | None) -> dict[str, Any]:
    """Return what the oldest signal of a name brought, or the next one brings."""
    journal = operations.journal
    step = operations.ask(f"wait:{name}")
    if await operations.found(step) is None:
        signal = journal.taken(name)
        if signal is not None:
            operations.record(step, _took(signal))
        else:
            await operations.under_way(step, _next_signal(operations, name, step, timeout_s))
    found = journal.find(step)
    assert found is not None
    came: dict[str, Any] = decode_value(found, dict[str, Any])
    late_s = came.get("timed_out_s")
    if late_s is None:
        signal_found = journal.find(f"signal:{name}#{came['took']}")
        assert signal_found is not None
        sent: dict[str, Any] = decode_value(signal_found, dict[str, Any])
        late_s = sent.get("timed_out_s")  # as the first version recorded it
        if late_s is None:
            return sent
    raise TimedOut(what, late_s)


def _took(signal: str) -> dict[str, int]:
    return {"took": int(signal.rpartition("#")[2])}


async def _next_signal(operations: Operations, name: str, step: str, timeout_s: float | None) -> None:
    """Wait for a signal until its time is up, and record what came of it."""
    run = operations.run
    left_s = _left_s(operations, step, timeout_s)
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    waiters = run.waiters(name)
    waiters[step] = future
    try:
        async with asyncio.timeout(left_s):
            await future
    except TimeoutError:
        if operations.journal.find(step) is None:
            operations.record(step, {"timed_out_s": timeout_s})
    finally:
        waiters.pop(step, None)


def _left_s(operations: Operations, step: str, timeout_s: float | None) -> float | None:
    """Return how long a wait still has, from when it was first asked for. That it began is recorded: it can be looked at."""
    now_ms = operations.services.clock.now_ms()
    known = operations.journal.find(f"{step}{UNTIL}")
    due_ms = 0 if known is None else decode_value(known, int)
    if known is None or (timeout_s is not None and not due_ms):
        due_ms = 0 if timeout_s is None else now_ms + int(timeout_s * 1000)
        operations.record(f"{step}{UNTIL}", due_ms)
    return None if timeout_s is None else min(timeout_s, max(0.0, (due_ms - now_ms) / 1000))


def took_now(run: WorkflowRun, name: str, record: Callable[[str, Any], None]) -> None:
    """Give a signal that has just come to the operation that has waited longest, and have that recorded."""
    for step, future in run.waiters(name).items():
        if not future.done():
            signal = run.journal.taken(name)
            assert signal is not None, f"the signal {name!r} is not in the inbox of {run.run_id}"
            record(step, _took(signal))
            future.set_result(signal)
            return


def recorded_once(operations: Operations, name: str, value: int) -> int:
    """Return what was recorded when this was first asked for, which is `value` if that is now."""
    step = operations.ask(name)
    found = operations.journal.find(step)
    if found is not None:
        return decode_value(found, int)
    operations.record(step, value)
    return value
