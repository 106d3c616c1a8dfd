"""What people say to a run on the command line, beside its app or while none runs.

A file that nobody has open is owned for a moment, by an app without agents. Otherwise, and on a server, what is said is left in
the inbox of the store: the worker that has the run hears it, now or at its next start.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from penstock.adapters.clock.system import SystemClock
from penstock.app import App, Running
from penstock.core.agents.approvals import raise_refusal
from penstock.core.agents.attempts import open_questions
from penstock.core.agents.control import CONTROL, TOPIC, AnswerTask, Decide, StopMachine
from penstock.core.agents.unit import Sent
from penstock.core.events.envelope import Envelope, event_of, run_id
from penstock.errors import Missing, Refused
from penstock.runtime.machine_answers import require_counted
from penstock.runtime.mailbox import SOURCE
from penstock.wiring import Desk, opened_desk

HEARD_WITHIN_S = 5.0
LOOK_S = 0.05


Said = Decide | StopMachine | AnswerTask


async def say(url: str, said: Said, tenant: str, work: Callable[[Running], Awaitable[object]]) -> str:
    """Say it, by `work` where the store can be owned; return what became of it, for people, or raise what is wrong with it."""
    if url.startswith("sqlite:"):
        try:
            async with App("penstock").running(store=url) as live:
                await work(live)
                return ""
        except Refused as error:
            if "in use" not in error.reason:
                raise
    async with opened_desk(url) as desk:
        heard = await _heard(desk, await _left(desk, said, tenant))
    return "" if heard else " (left in the store: its app hears it when it runs)"


async def _left(desk: Desk, said: Said, tenant: str) -> str:
    """Leave it for the worker that has the run, and return the id of its event."""
    origin, stored = await desk.event(event_of(said.run_id)[0]), await desk.run(said.run_id)
    if origin is None or stored is None or origin.event.tenant != tenant:
        raise Missing(f"the run {said.run_id!r}", "see `penstock runs list`")
    if isinstance(said, Decide) and not open_questions(stored.records):
        raise Missing(f"a question of run {said.run_id!r}", "see `penstock questions list`, `penstock approvals list`")
    clock = SystemClock()
    event_id, key = clock.new_id(), origin.event.key or origin.event.id
    envelope = Envelope(
        event_id, SOURCE, said.type_, key, clock.now_ms(), said.encoded(), tenant, correlation_id=event_id
    )
    await desk.submit([Sent(TOPIC, origin.position.partition, envelope)])
    return event_id


async def _heard(desk: Desk, event_id: str) -> bool:
    """Wait a little for a worker to hear it; False when none did."""
    for _ in range(round(HEARD_WITHIN_S / LOOK_S)):
        stored = await desk.run(run_id(event_id, CONTROL))
        if stored is not None and stored.change.status == "succeeded":
            answer: Any = msgspec.json.decode(stored.change.result) if stored.change.result else None
            if isinstance(answer, str):
                require_counted(answer)
            else:
                raise_refusal(answer)
            return True
        if stored is not None and stored.change.status in ("failed", "retrying"):
            raise Refused(stored.change.reason, "see `penstock runs show`")
        await asyncio.sleep(LOOK_S)
    return False
