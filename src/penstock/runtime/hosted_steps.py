"""A step whose function is called elsewhere: here it is a function like any other, which `ctx.step` calls when it is its turn."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from penstock.core.agents.journal import encode_value
from penstock.core.agents.policy import Retry
from penstock.core.agents.tools import NOT_DONE, Attempt, Reconcile, Skip, Tool, ToolOptions
from penstock.core.hosting.faults import error_of
from penstock.core.hosting.messages import Beat, Execute, Outcome, Step, Stop, Told, ToolForm
from penstock.ports.tracer import Tracer
from penstock.runtime.host_links import Link
from penstock.runtime.run_streams import within

Said = Outcome | Beat | Told


class Shown:
    """The arguments of a call, as people read them."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class HostedStep:
    """One step of a handling elsewhere. `own`: what its function returned or raised last, as the worker has it too."""

    def __init__(self, asked: Step, link: Link, told: Callable[[Told], None], tracer: Tracer | None) -> None:
        self.asked = asked
        self.own: Any = None
        self.args: tuple[Any, ...] = () if asked.tool is None else (Shown(asked.tool.shown),)
        self._link = link
        self._told = told
        self._tracer = tracer
        self._said: asyncio.Queue[Said] = asyncio.Queue()
        self._turn = 0

    @property
    def callable(self) -> Callable[..., Any]:
        """What stands in for the function, or the tool."""
        form = self.asked.tool
        if form is None:
            return self.called
        function: Callable[..., Any] = self.attempted if form.wants_details else self.keyed
        tool = Tool(function, self._options(form))
        tool.name = form.name
        return tool

    def heard(self, message: Said) -> None:
        self._said.put_nowait(message)

    # Bound methods, all of one class: what is remembered of functions is remembered once.

    async def called(self) -> Any:
        """Have the function called."""
        return await self._executed()

    async def keyed(self, *_: Any, idempotency_key: str = "") -> Any:
        """Have a tool called."""
        return await self._executed(idempotency_key)

    async def attempted(self, *_: Any, attempt: Attempt = Attempt.alone) -> Any:
        """Have a tool called that gives signs of life."""
        return await self._executed(attempt.idempotency_key, attempt)

    async def happened(self, idempotency_key: str) -> Any:
        """Have a tool's own function asked what became of a call."""
        return await self._executed(idempotency_key, reconcile=True)

    async def _executed(self, key: str = "", attempt: Attempt | None = None, *, reconcile: bool = False) -> Any:
        self._turn += 1
        number, details = 1 if attempt is None else attempt.number, None
        if attempt is not None and attempt.details is not None:
            details = encode_value(attempt.details, self.asked.name)
        handling, call = self.asked.handling, self.asked.call
        place = "" if self._tracer is None else self._tracer.where()
        self._link.say(Execute(handling, call, key, number, details, reconcile, self._turn, within.get(), place))
        try:
            return await self._outcome(attempt)
        except asyncio.CancelledError:
            self._link.say(Stop(handling, call))
            raise

    async def _outcome(self, attempt: Attempt | None) -> Any:
        while True:
            match await self._said.get():
                case Told() as told:
                    self._told(told)  # here, where it is known to be told within this step
                case Beat() as beat if attempt is not None:
                    attempt.beat(msgspec.msgpack.decode(beat.details))
                case Outcome() as outcome if outcome.turn == self._turn:
                    return self._ended(outcome)
                case _:
                    pass  # of a call that was given up

    def _ended(self, outcome: Outcome) -> Any:
        if outcome.not_done:
            return NOT_DONE
        if outcome.fault is not None:
            self.own = error_of(outcome.fault)
            raise self.own
        assert outcome.value is not None
        self.own = Raw(outcome.value)  # as it is recorded
        return self.own

    def _options(self, form: ToolForm) -> ToolOptions:
        match form.unknown:
            case "skip":
                unknown: Any = Skip(None if form.skip is None else msgspec.msgpack.decode(form.skip))
            case "reconcile":
                unknown = Reconcile(self.happened)
            case other:
                unknown = other
        retry = None if form.retry is None else Retry(*form.retry)
        return ToolOptions(unknown, retry, form.timeout_s, form.total_s, form.idle_s)
