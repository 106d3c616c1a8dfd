"""What people say to runs of state machines on the command line: over HTTP, or in the store."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from penstock.adapters.clock.system import SystemClock
from penstock.app import Running
from penstock.cli.looking import place
from penstock.cli.owning import say
from penstock.cli.remote import posted
from penstock.core.agents.again import RedriveRun
from penstock.core.agents.control import AnswerTask, StopMachine
from penstock.core.agents.machine_records import token_of
from penstock.core.events.envelope import event_of
from penstock.errors import Refused
from penstock.runtime import executions
from penstock.runtime.asking_again import Asked
from penstock.runtime.machine_answers import BAD_TOKEN, error_of
from penstock.runtime.machine_doors import said_to_machine
from penstock.runtime.mailbox import Mailbox
from penstock.wiring import opened_desk

HTTP_FIELDS = {"success": ("output",), "failure": ("error", "cause"), "heartbeat": ()}


@dataclass(frozen=True, slots=True)
class Whom:
    """A run, or the token of one of its tasks, and where it is."""

    id: str
    file: Path | None
    store: str | None
    url: str | None
    tenant: str


def stopped(whom: Whom, error: str | None, cause: str | None) -> str:
    """Have a run end; return what became of that, for people."""
    if whom.url is not None:
        _posted(whom, "stop", {"error": error, "cause": cause})
        return ""
    return _said(whom, "stop", StopMachine(run_id=whom.id, error=error, cause=cause))


def redriven(whom: Whom, by: str, why: str) -> None:
    """Have a run go on that did not succeed."""
    if whom.url is not None:
        _posted(whom, "redrive", {})
        return
    asyncio.run(_redriven(whom, by, why))


async def _redriven(whom: Whom, by: str, why: str) -> None:
    async with opened_desk(place(whom.file, whom.store, "asl", "redrive", whom.id).url) as desk:
        stored, recorded = await executions.found(desk, whom.id, whom.tenant)
        change = stored.change
        if change.status not in ("failed", "cancelled"):
            raise Refused(f"ExecutionNotRedrivable: the run {whom.id!r} is {change.status}", "start another one")
        again = RedriveRun(run_id=change.run_id, agent=change.agent, died_ms=change.at_ms, by=by, why=why)
        await Mailbox(desk, SystemClock()).send_again([Asked(again, recorded)])


def answered(whom: Whom, said: dict[str, Any]) -> str:
    """Answer the task of a token; return what became of that, for people."""
    token = token_of(whom.id)
    if token is None:
        raise error_of(BAD_TOKEN)
    if whom.url is not None:
        fields = {name: said.get(name) for name in HTTP_FIELDS[said["kind"]]}
        if "output" in fields:
            fields["output"] = json.loads(said["output"])
        posted(whom.url, f"/v1/tasks/{said['kind']}", {"token": whom.id, **fields}, tenant=whom.tenant)
        return ""
    answer = AnswerTask.checked({"run_id": token.run_id, "task": token.number, "secret": token.secret, **said})
    return _said(whom, "answer", answer)


def _posted(whom: Whom, verb: str, body: dict[str, Any]) -> None:
    assert whom.url is not None
    machine = event_of(whom.id)[1]
    path = f"/v1/machines/{quote(machine)}/runs/{quote(whom.id)}/{verb}"
    posted(whom.url, path, body, tenant=whom.tenant)


def _said(whom: Whom, verb: str, said: StopMachine | AnswerTask) -> str:
    async def worked(live: Running) -> None:
        await said_to_machine(live.engine, said, whom.tenant)

    return asyncio.run(say(place(whom.file, whom.store, "asl", verb, whom.id).url, said, whom.tenant, worked))
