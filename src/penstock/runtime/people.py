"""What people do with a running app: they see what waits for them, answer, and look at what runs expose."""

from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from penstock.core.agents.approvals import parts_of, raise_refusal
from penstock.core.agents.control import CONTROL, Decide
from penstock.core.agents.exposing import Exposed
from penstock.core.events.envelope import event_of
from penstock.errors import Missing
from penstock.runtime import exposing
from penstock.runtime.engine import Engine
from penstock.runtime.questions import AskedApproval, Outcome, Question
from penstock.runtime.schemas import NAME as REGISTRY
from penstock.runtime.schemas import Schemas

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ForPeople:
    """The doors for people."""

    app: Any
    engine: Engine

    def schemas(self, *, tenant: str = "default") -> Schemas:
        """Return the schema registry of a tenant; `Missing` when the app keeps none."""
        if REGISTRY not in self.engine.parts.topology.agents:
            raise Missing("the schema registry", "declare it: app.schemas()")
        return Schemas(self.engine, tenant)

    async def questions(self, *, tenant: str | None = "default", limit: int = 50) -> list[Question]:
        """Return the steps whose outcome nobody knows, and which wait for a person to decide; `tenant` None: of all."""
        return await self.engine.services.questions.listed(tenant=tenant, limit=limit)

    async def decide(
        self, run_id: str, step: str, outcome: Outcome, value: Any = None, *, by: str = "", tenant: str = "default"
    ) -> str:
        """Decide about a step that waits for it, and return the decision's event id once it is durable.

        "done": it happened, and returned `value`; "retry": call the tool again; "fail": the step has failed.
        """
        said = Decide.checked({"run_id": run_id, "step": step, "outcome": outcome, "value": value, "by": by})
        change = await self.engine.services.questions.require_asked(tenant, run_id, step)
        # The run's own key, so that the worker hears it who waits for it.
        return await self.engine.send(said, tenant=tenant, key=change.key or event_of(run_id)[0])

    async def approvals(self, *, tenant: str | None = "default", limit: int = 50) -> list[AskedApproval]:
        """Return the approvals that wait for an answer, those of the newest runs first; `tenant` None: of all."""
        return await self.engine.services.questions.approvals(tenant=tenant, limit=limit)

    async def approve(
        self,
        id: str,
        value: Any = None,
        *,
        by: str = "",
        reason: str = "",
        tenant: str = "default",
        answer_id: str | None = None,
    ) -> None:
        """Approve what waits for it, with a value where one is asked for, and return once that counts.

        `Invalid`, with all findings: it goes on waiting; `Refused`: it is answered already, or withdrawn: the error says how. The
        same `answer_id` twice is one answer.
        """
        said = {"outcome": "approve", "value": value, "by": by, "reason": reason}
        await self._answer(id, said, tenant, answer_id)

    async def reject(
        self, id: str, *, by: str = "", reason: str = "", tenant: str = "default", answer_id: str | None = None
    ) -> None:
        """Reject what waits for approval, and return once that counts; the errors are those of `approve`."""
        await self._answer(id, {"outcome": "reject", "by": by, "reason": reason}, tenant, answer_id)

    async def _answer(self, id: str, said: dict[str, Any], tenant: str, answer_id: str | None) -> None:
        run_id, step = parts_of(id)
        recorded = await self.engine.parts.store.event(event_of(run_id)[0])
        if recorded is None or recorded.event.tenant != tenant:
            raise Missing(f"the approval {id!r}", "see `penstock approvals list`")
        answer = Decide.checked({"run_id": run_id, "step": step, **said})
        # The run's own key, so that the worker hears it who waits for it.
        key = recorded.event.key or recorded.event.id
        body = await self.engine.call(CONTROL, answer, id=answer_id, tenant=tenant, key=key)
        raise_refusal(msgspec.json.decode(body) if body else None)

    async def query(self, run_id: str, name: str, to: Any = Any, *, tenant: str = "default") -> Any:
        """Return what a workflow run exposes under a name, as type `to`; `Missing` when it does not, or there is no such run."""
        return await exposing.query(self.engine.parts.store, tenant, run_id, name, to)

    async def queries(self, run_id: str, *, tenant: str = "default") -> dict[str, Exposed]:
        """Return all that a workflow run exposes, by its names; `Missing` when there is no such run."""
        return await exposing.queries_of(self.engine.parts.store, tenant, run_id)
