"""How a run has a person approve something: it asks, waits, and records what was answered.

It is a question (`runtime/questions.py`) with a type of its answers and an end of its time. One that is not waited for any
more is withdrawn: its run has given up the step, or has ended.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from penstock.core.agents.approvals import NAME, Answered, Approval, Wanted, asking
from penstock.core.agents.attempts import OPEN, Asking, OpenStep
from penstock.core.agents.journal import Journal, decode_value
from penstock.errors import Finding, Invalid, Refused, TimedOut
from penstock.runtime.operations import Operations
from penstock.runtime.questions import Decision
from penstock.runtime.steps import scope
from penstock.runtime.tool_calls import Recorder

OPTIONS = ("to", "options", "timeout_s", "on_timeout")


class Request(NamedTuple):
    """What a run asks for."""

    asking: Asking
    wanted: Wanted


def requested(title: str, payload: Any, asked: Mapping[str, Any]) -> Request:
    """Return what a run asks for; `Invalid` with all findings."""
    strange = [
        Finding(each, "is not an option of an approval", f"one of payload, {', '.join(OPTIONS)}")
        for each in asked
        if each not in OPTIONS
    ]
    if asked.get("to") is not None and asked.get("options") is not None:
        strange.append(Finding("options", "are given beside a type", "give one of them"))
    if strange:
        raise Invalid("the approval", tuple(strange))
    wanted = Wanted(asked.get("to"), asked.get("options"))
    on_timeout = asked.get("on_timeout", "raise")
    return Request(asking(title, payload, wanted, asked.get("timeout_s"), on_timeout), wanted)


async def approved(operations: Operations, request: Request) -> Approval[Any]:
    """Return what was answered to a workflow."""
    step = operations.ask(NAME)
    if await operations.found(step) is None:
        try:
            await operations.under_way(step, ask(operations.steps, step, request))
        except asyncio.CancelledError:
            run = operations.run
            if not (run.closed or operations.calls.stopping):
                services = operations.services
                named = operations.journal.named(step)
                await services.questions.withdraw(run.cause.tenant, run.run_id, named)
            raise
    found = operations.journal.find(step)
    assert found is not None
    try:
        return outcome_of(decode_value(found, Answered), request)
    except Invalid as error:
        operations.misfit(step, error)


async def approved_once(steps: Recorder, request: Request, outside: Journal | None) -> Approval[Any]:
    """Return what was answered to a handling of an agent; `outside`: it changes nothing outside, and nobody is asked."""
    step = steps.journal.next_step(scope.get() + NAME)
    found = steps.journal.find(step)
    if found is None and outside is not None:
        found = outside.find(step)
        if found is None:
            raise Refused(f"nobody answered {step!r}, and the run is dry", "do not run it dry")
    if found is None:
        await ask(steps, step, request)
        found = steps.journal.find(step)
    assert found is not None
    return outcome_of(decode_value(found, Answered), request)


async def ask(steps: Recorder, step: str, request: Request) -> None:
    """Ask until there is an answer that is one, or the time is up; it is recorded."""
    services = steps.services
    found, named = steps.journal.find(f"{step}{OPEN}"), steps.journal.named(step)
    known = OpenStep() if found is None else decode_value(found, OpenStep)
    now_ms = services.clock.now_ms()
    timeout_s = request.asking.timeout_s
    due_ms = known.asking.due_ms if known.asking is not None else 0
    if timeout_s is not None and not due_ms:
        due_ms = now_ms + int(timeout_s * 1000)
    asked = replace(request.asking, due_ms=due_ms)
    if known.asking != asked:
        known = OpenStep(asked_ms=known.asked_ms or now_ms, call=asked.title, asking=asked)
        steps.note(f"{step}{OPEN}", known)

    def check(decision: Decision) -> None:
        if decision.outcome not in ("approve", "reject"):
            raise Refused(f"{decision.outcome!r} is no answer to what is asked", "approve or reject it")
        request.wanted.check(decision.answered)

    while True:
        left_s = None if timeout_s is None else min(timeout_s, max(0.0, (due_ms - services.clock.now_ms()) / 1000))
        decided = await services.questions.decision(steps.cause.tenant, steps.run_id, named, check, within_s=left_s)
        if decided is None:
            at_ms, on_timeout = services.clock.now_ms(), asked.on_timeout
            ended = Answered(on_timeout == "approve", at_ms=at_ms, timed_out_s=timeout_s, raised=on_timeout == "raise")
            steps.record(step, ended)
            return
        try:
            check(decided)  # it may have been given while no code was there to say what it must be
        except (Invalid, Refused) as error:
            known = replace(known, reason=str(error))
            steps.note(f"{step}{OPEN}", known)  # the person is asked again, and told why
            continue
        steps.record(step, decided.answered)
        return


def outcome_of(answered: Answered, request: Request) -> Approval[Any]:
    """Return an answer as the run gets it; `TimedOut` where that was to be raised."""
    if answered.raised:
        raise TimedOut(f"the approval {request.asking.title!r}", answered.timed_out_s or 0.0)
    value = request.wanted.value(answered.value) if answered.approved and answered.timed_out_s is None else None
    return Approval(answered.approved, value, answered.by, answered.reason, timed_out=answered.timed_out_s is not None)
