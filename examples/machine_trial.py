"""How the machines of the examples are carried out until apps run them: agents are called, nothing survives."""

import asyncio
from typing import Any

from penstock.core.asl.happenings import (
    CancelTask,
    CancelTimer,
    Failed,
    ScheduleTask,
    Started,
    StartTimer,
    Succeeded,
    TimerFired,
)
from penstock.core.asl.program import compiled
from penstock.core.asl.reducer import advance
from penstock.core.asl.run import Run
from penstock.core.asl.validation import parse
from penstock.errors import PenstockError


async def carry_out(live: Any, document: str, given: Any, name: str) -> Any:
    run, happenings, tasks = Run(compiled(parse(document))), asyncio.Queue(), {}
    now_ms = live.clock.now_ms

    async def do(command: Any) -> None:
        if isinstance(command, StartTimer):
            await asyncio.sleep(max(0, command.at_ms - now_ms()) / 1000)
            happenings.put_nowait(TimerFired(at_ms=now_ms(), id=command.id))
            return
        agent = command.resource.removeprefix("agent:")
        taken = live.app.agents[agent].accepts[0]
        try:
            output = await live.call(agent, taken.checked(command.payload), id=f"{name}.{command.id}")
            happenings.put_nowait(Succeeded(at_ms=now_ms(), id=command.id, output=output))
        except PenstockError as error:
            happenings.put_nowait(Failed(at_ms=now_ms(), id=command.id, error=type(error).__name__, cause=str(error)))

    happenings.put_nowait(Started(at_ms=now_ms(), input=given, name=name))
    while not run.is_over:
        for command in advance(run, await happenings.get()):
            if isinstance(command, ScheduleTask | StartTimer):
                tasks[command.id] = asyncio.ensure_future(do(command))
            elif isinstance(command, CancelTask | CancelTimer) and command.id in tasks:
                tasks[command.id].cancel()
    for task in tasks.values():
        task.cancel()
    assert run.failure is None, run.failure
    return run.result
