"""Queries: what workflow runs expose, written with what led to it, and read by anybody from the store."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from penstock.core.agents.exposing import BYTES_MAX, MARK, OWNER, Exposed, Exposing
from penstock.core.agents.journal import encode_value, shaped
from penstock.core.events.envelope import Recorded, event_of
from penstock.errors import LimitReached, Missing
from penstock.runtime.operations import Operations
from penstock.runtime.workflow_run import WorkflowRun


class Seen(Protocol):
    """Where what runs expose is found."""

    async def values(self, tenant: str, agent: str, key: str) -> Mapping[str, bytes]: ...
    async def event(self, event_id: str) -> Recorded | None: ...


def exposed(operations: Operations, name: str, value: Any) -> None:
    """Let others see a value from the next commit on, unless an earlier life of the run has come further."""
    operations.enter()
    run = operations.run
    number = run.exposing.next(name)
    if number is None:
        return
    body = encode_value(
        Exposed(number, operations.services.clock.now_ms(), value, run.journal.round), f"what is exposed as {name!r}"
    )
    if len(body) > BYTES_MAX:
        raise LimitReached(f"what is exposed as {name!r}, in bytes,", len(body), BYTES_MAX)
    if run.journal.find(MARK) is None:
        operations.record(MARK, True)
    operations.calls.expose(run, name, body)


async def recall(run: WorkflowRun, store: Seen) -> None:
    """Learn how far a run had come in exposing, before it goes on."""
    if run.journal.find(MARK) is not None:
        rows = await store.values(run.cause.tenant, OWNER, run.run_id)
        known = {name: _decoded(body) for name, body in rows.items()}
        run.exposing = Exposing({name: each.number for name, each in known.items() if each.round == run.journal.round})


async def queries_of(store: Seen, tenant: str, run_id: str) -> dict[str, Exposed]:
    """Return all that a run exposes; `Missing` when there is no such run."""
    rows = await store.values(tenant, OWNER, run_id)
    if not rows:
        recorded = await store.event(event_of(run_id)[0])
        if recorded is None or recorded.event.tenant != tenant:
            raise Missing(f"the run {run_id!r}", "see `penstock runs list`")
    return {name: _decoded(rows[name]) for name in sorted(rows)}


async def query(store: Seen, tenant: str, run_id: str, name: str, to: Any) -> Any:
    """Return what a run exposes under a name, as type `to`; `Missing` when it exposes nothing so."""
    return _as(await found(store, tenant, run_id, name), to)


async def found(store: Seen, tenant: str, run_id: str, name: str) -> Exposed:
    """Return what a run exposes under a name; `Missing`, with the names that there are, when there is nothing."""
    known = await queries_of(store, tenant, run_id)
    if name not in known:
        names = ", ".join(known) or "nothing"
        raise Missing(f"what run {run_id!r} exposes as {name!r}", f"it exposes {names} (so far)")
    return known[name]


def _as(each: Exposed, to: Any) -> Any:
    return each.value if to in (Any, object) else shaped(each.value, to)


def _decoded(body: bytes) -> Exposed:
    return msgspec.msgpack.decode(body, type=Exposed)
