"""Forking a run from the command line, beside the app that may be running."""

import asyncio
import getpass
from dataclasses import dataclass

from penstock.adapters.clock.system import SystemClock
from penstock.cli.looking import Place, print_json
from penstock.core.agents.again import unwrapped
from penstock.core.events.event import Event
from penstock.errors import Missing
from penstock.gateway.shapes import first_event_id
from penstock.runtime.asking_again import AskingAgain, Fork, Signature
from penstock.runtime.mailbox import Mailbox
from penstock.runtime.topology import Topology
from penstock.wiring import Desk, opened_desk, topology_of


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options say."""

    at: str
    event: str | None
    model: str
    dry: bool
    by: str | None
    why: str

    @property
    def signature(self) -> Signature:
        return Signature(getpass.getuser() if self.by is None else self.by, self.why)


def fork_run(where: Place, run: str, asked: Asked, *, as_json: bool) -> None:
    """Begin a fork, and print its id."""
    fork = asyncio.run(_forked(where, run, asked))
    if as_json:
        print_json({"run_id": fork, "forked_from": run})
        return
    print(f"{run} is forked: at once where the app runs, else at its next start\n  penstock runs show {fork}")


async def _forked(where: Place, run: str, asked: Asked) -> str:
    topology = None if where.app is None else topology_of(where.app.declared)
    async with opened_desk(where.url) as desk:
        event = None if asked.event is None else await _event_of(desk, topology, run, asked.event)
        again = AskingAgain(Mailbox(desk, SystemClock()), desk, topology)
        return await again.fork(run, Fork(asked.at, event, asked.model, asked.dry), signed=asked.signature)


async def _event_of(desk: Desk, topology: Topology | None, run: str, data: str) -> Event:
    """Return an event of the type that the run handles; `Invalid` with all findings."""
    if topology is None:
        raise Missing("the app", "give APP.PY: it knows the types of its events")
    recorded = await desk.event(first_event_id(run))
    if recorded is None:
        raise Missing(f"the run {run!r}", "see `penstock runs list`")
    return topology.named(unwrapped(recorded).event.type).event.decoded(data)
