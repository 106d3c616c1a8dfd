"""Steps that call tools: attempts that survive restarts, bounds of time, and what follows an unknown outcome (C4).

A tool that may not simply be called again is marked as begun, durably, before each call. Whatever ends without a record
after that mark has an unknown outcome: a kill, a time that ran out, a backend that did not answer.
"""

import asyncio
from functools import wraps
from typing import Any, ClassVar, NamedTuple, NoReturn, Protocol

import msgspec
from msgspec.structs import replace

from penstock.core.agents.attempts import OPEN, OpenStep, begun, missed, next_move, unsettled, wait_s
from penstock.core.agents.journal import Journal, decode_value, encode_value, shaped
from penstock.core.agents.tools import Attempt, NotDone, Reconcile, Skip, Tool
from penstock.core.events.envelope import Envelope
from penstock.core.events.texts import told
from penstock.errors import Invalid, LimitReached, StepFailed, TimedOut, Unavailable
from penstock.runtime.calling import called, is_awaitable, type_returned
from penstock.runtime.notes import Notes
from penstock.runtime.outcomes import FINAL
from penstock.runtime.services import Services
from penstock.runtime.write_points import WritePoint

REASON_CHARS_MAX = 500
SHOWN_CHARS_MAX = 500
DETAILS_BYTES_MAX = 64 * 1024
BEAT_S = 1.0  # at most so often the details of a sign of life are written
UNSURE = (Unavailable, TimedOut, TimeoutError, ConnectionError)  # after these a call may or may not have happened


class Recorder(Protocol):
    """The steps of the run that calls."""

    run_id: str
    journal: Journal
    cause: Envelope
    services: Services
    keeps_failures: ClassVar[bool]

    def record(self, step: str, value: Any) -> None: ...
    def note(self, name: str, value: Any) -> None: ...


class Call(NamedTuple):
    """What a handler asks for."""

    name: str
    args: tuple[Any, ...]
    options: dict[str, Any]


class ToolCall:
    """One step that calls a tool, from where it stands to its end."""

    def __init__(self, steps: Recorder, step: str, tool: Tool[..., Any], call: Call) -> None:
        self._steps = steps
        self._services = steps.services
        self._step = step
        self._tool = tool
        self._call = call
        self._key = f"{steps.run_id}/{steps.journal.named(step)}"
        found = steps.journal.find(f"{step}{OPEN}")
        self._known = OpenStep() if found is None else decode_value(found, OpenStep)
        self._error: Exception | None = None  # of the last call that this execution made
        self._signs = Signs(steps, step)

    async def outcome(self, *, effects: bool) -> Any:
        """Return what the step comes to; it is recorded. `effects`: whether it waits until what led to it is durable."""
        options = self._tool.options
        try:
            if self._tool.wants_details:
                await self._signs.hold()
            while True:
                match next_move(options, self._known, self._services.clock.now_ms()):
                    case "failed":
                        raise StepFailed(self._step, self._known.reason)
                    case "give up":
                        self._give_up(self._error)
                    case "skip":
                        assert isinstance(options.unknown, Skip)
                        return self._ended(options.unknown.value)
                    case "ask":
                        settled, value = await self._asked()
                    case "reconcile":
                        settled, value = await self._reconciled()
                    case "call":
                        settled, value = await self._called(effects=effects)
                if settled:
                    return self._ended(value)
        finally:
            self._signs.let_go()

    async def _called(self, *, effects: bool) -> tuple[bool, Any]:
        """Make an attempt; return whether it came to an end, and what it returned."""
        services, options = self._services, self._tool.options
        if self._error is not None and options.retry is None:
            self._give_up(self._error)
        await self._wait()
        self._known = begun(self._known, services.clock.now_ms())
        if options.begins:
            self._note(self._known)
        if effects or options.begins:
            await services.committer.durable()
            if services.outlived is not None:
                await services.outlived(self._steps.run_id)
            services.reached(WritePoint.BEFORE_EFFECT)
        services.executing(self._steps.run_id, self._step)
        try:
            result = await self._attempted()
        except Exception as error:  # noqa: BLE001 - a tool is the user's code: it may raise anything
            self._missed(error)
            return False, None
        services.reached(WritePoint.AFTER_EFFECT)
        return True, result

    async def _attempted(self) -> Any:
        """Call the tool within its bounds of time; what runs out is `TimedOut`."""
        options, number = self._tool.options, self._known.attempt
        left_s = [each for each in (options.timeout_s, self._total_left_s()) if each is not None]
        attempt = Attempt(self._key, number, self._signs.details, self._signs.beat)
        whole, idle = asyncio.timeout(min(left_s, default=None)), asyncio.timeout(options.idle_s)
        self._signs.bound = idle if options.idle_s else None
        self._signs.idle_s = options.idle_s or 0.0
        try:
            async with whole, idle:
                traces = self._services.traces
                run_id, step, tool = self._steps.run_id, self._step, self._tool
                begun = self._begun if traces is None else traces.attempt(run_id, step, tool, number, self._begun)
                result = begun(attempt)
                return await result if is_awaitable(result) else result
        except TimeoutError as error:
            if whole.expired():
                raise TimedOut(f"attempt {number} at step {self._step}", min(left_s)) from error
            if idle.expired():
                what = f"attempt {number} at step {self._step} gave no sign of life, and"
                raise TimedOut(what, options.idle_s or 0.0) from error
            raise

    def _begun(self, attempt: Attempt) -> Any:
        """Call the tool, or who stands in for it; neither knows of the arguments that come from us."""
        tool, (name, args, options) = self._tool, self._call
        stand_in = self._services.stand_in
        if stand_in is None:
            return called(self._step, tool.function, args, tool.given(args, options, attempt))

        @wraps(tool.function)
        def call(*args: Any, **options: Any) -> Any:
            return called(self._step, tool.function, args, tool.given(args, options, attempt))

        return stand_in(name, call, args, options)

    def _missed(self, error: Exception) -> None:
        """Note that an attempt failed; raise when no other one may follow."""
        services, options = self._services, self._tool.options
        reason, now_ms, chance = told(error, REASON_CHARS_MAX), services.clock.now_ms(), services.clock.random()
        self._error = error
        if services.streams.runs:
            services.streams.withdraw(self._steps.run_id, self._step)  # what it showed until then does not count
        turned = unsettled if isinstance(error, UNSURE) else missed
        self._known = turned(options, self._known, reason, now_ms, chance)
        if options.begins or options.retry is not None:
            self._note(self._known)
        if isinstance(error, FINAL):
            self._give_up(error)

    async def _reconciled(self) -> tuple[bool, Any]:
        """Ask the tool's own function what happened; return whether it did, and what the tool returned."""
        options = self._tool.options
        assert isinstance(options.unknown, Reconcile)
        await self._wait()
        services = self._services
        try:
            happened: Any = options.unknown.happened(self._key)
            if is_awaitable(happened):
                happened = await happened
        except Exception as error:  # noqa: BLE001 - the function is the user's code
            reason, now_ms = told(error, REASON_CHARS_MAX), services.clock.now_ms()
            known = replace(self._known, attempt=self._known.attempt + 1)
            self._known = unsettled(options, known, reason, now_ms, services.clock.random())
            self._note(self._known)
            if options.retry is None or isinstance(error, FINAL):
                self._give_up(error)
            return False, None
        if isinstance(happened, NotDone):
            self._known = replace(self._known, begun=False)
            self._note(self._known)
            return False, None
        return True, happened

    async def _asked(self) -> tuple[bool, Any]:
        """Have a person decide; return whether it was done, and what the person says that it returned."""
        services, steps = self._services, self._steps
        if not self._known.asked_ms:
            reason = self._known.reason or "the process ended between the call and its record"
            shown = shown_call(self._tool.name, self._call)
            self._note(replace(self._known, asked_ms=services.clock.now_ms(), call=shown, reason=reason))
        decided = await services.questions.decision(steps.cause.tenant, steps.run_id, self._step)
        assert decided is not None, "it waits without end"
        match decided.outcome:
            case "done":
                try:
                    return True, shaped(decided.value, type_returned(self._tool.function))
                except Invalid as error:  # the person is asked again, and told why
                    self._note(replace(self._known, reason=told(error, REASON_CHARS_MAX)))
                    return False, None
            case "retry":
                self._error = None
                self._note(OpenStep())
                return False, None
            case "fail":
                by = f" by {decided.by}" if decided.by else ""
                reason = f"it was decided{by} that it failed ({self._known.reason})"
                self._note(OpenStep(reason=reason, failed=True))
                return False, None
            case _:
                raise AssertionError(decided.outcome)

    async def _wait(self) -> None:
        left_s = wait_s(self._tool.options.retry, self._known, self._services.clock.now_ms())
        if left_s > 0:
            await self._services.clock.sleep(left_s)

    def _total_left_s(self) -> float | None:
        total_s = self._tool.options.total_s
        return None if total_s is None else total_s - (self._services.clock.now_ms() - self._known.first_ms) / 1000

    def _ended(self, value: Any) -> Any:
        self._steps.record(self._step, value)
        self._signs.forget()
        self._services.reached(WritePoint.AFTER_RECORD)
        return value

    def _give_up(self, error: BaseException | None) -> NoReturn:
        """Raise what the handler is told. In a workflow the failure is recorded: a replay takes the same way again."""
        reason = self._known.reason or (told(error, REASON_CHARS_MAX) if error else "no attempt is left")
        if self._steps.keeps_failures:
            self._note(replace(self._known, failed=True, begun=False, reason=reason))
        elif error is not None and (self._tool.options.retry is None or isinstance(error, FINAL)):
            raise error
        else:  # should the event be handled again some day, there are new attempts
            self._note(OpenStep(begun=self._known.begun, reason=reason))
        raise StepFailed(self._step, reason) from error

    def _note(self, known: OpenStep) -> None:
        self._known = known
        self._steps.note(f"{self._step}{OPEN}", known)


class Signs:
    """The signs of life of one step: what its attempts said of themselves."""

    def __init__(self, steps: Recorder, step: str) -> None:
        self._services = steps.services
        self._notes = Notes(steps.cause.tenant, steps.run_id, steps.services.memory, steps.services.committer)
        self._name = f"{steps.journal.named(step)}/beat"
        self._written_s = -BEAT_S
        self.details: Any = None
        self.bound: asyncio.Timeout | None = None
        self.idle_s = 0.0

    async def hold(self) -> None:
        """Learn what an earlier attempt, or process, said last."""
        await self._notes.hold()
        body = self._notes.find(self._name)
        self.details = None if body is None else msgspec.msgpack.decode(body)

    def beat(self, details: Any) -> None:
        """Move the bound of the silence, and note the details."""
        if self.bound is not None and not self.bound.expired():
            self.bound.reschedule(asyncio.get_running_loop().time() + self.idle_s)
        if details is None:
            return
        body = encode_value(details, self._name)
        if len(body) > DETAILS_BYTES_MAX:
            raise LimitReached("the details of a sign of life, in bytes,", len(body), DETAILS_BYTES_MAX)
        self.details = msgspec.msgpack.decode(body)
        now_s = self._services.clock.monotonic_s()
        if now_s - self._written_s >= BEAT_S:
            self._written_s = now_s
            self._notes.write(self._name, body)

    def forget(self) -> None:
        self._notes.write(self._name, None)

    def let_go(self) -> None:
        self._notes.let_go()


def shown_call(tool: str, call: Call) -> str:
    """Return a call as people read it, in at most `SHOWN_CHARS_MAX` characters."""
    parts = [_told(each) for each in call.args] + [f"{name}={_told(each)}" for name, each in call.options.items()]
    return f"{tool}({', '.join(parts)})"[:SHOWN_CHARS_MAX]


def _told(value: Any) -> str:
    try:
        return repr(value)[:SHOWN_CHARS_MAX].encode(errors="backslashreplace").decode()
    except Exception:  # noqa: BLE001 - how a value shows itself is the user's code
        return f"<{type(value).__name__}>"
