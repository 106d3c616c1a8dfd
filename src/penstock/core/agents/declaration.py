"""What an agent is: a typed async function, read from its annotations once, when it is declared.

A declaration is checked whole: all that is wrong with it is said at once.
"""

import inspect
import types
import typing
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypedDict

from penstock.core.agents.flow import Flow, flow_findings
from penstock.core.agents.machine_events import TaskInput
from penstock.core.agents.policy import DEFAULT_RETRY, NO_RETRY, Retry
from penstock.core.agents.resources import Resources, resources_findings
from penstock.core.agents.retention import Retention
from penstock.core.agents.selection import Selection, selection_of
from penstock.core.events.envelope import Envelope
from penstock.core.events.event import Event
from penstock.errors import Finding, Invalid

Handler = Callable[..., Coroutine[Any, Any, Any]]
BATCH_MAX = 4096
OPTIONS = (
    "key",
    "retry",
    "timeout_s",
    "batch",
    "flow",
    "retention",
    "pattern",
    "resources",
)  # those that `@app.agent` takes


class WorkflowOptions(TypedDict, total=False):
    """What `@app.workflow` takes beside a name."""

    key: str | None
    version: int
    timeout_s: float | None
    flow: Flow | None
    retention: Retention | None
    pattern: Mapping[str, object] | None


WORKFLOW_OPTIONS = tuple(WorkflowOptions.__annotations__)


@dataclass(frozen=True, slots=True)
class Options:
    """How an agent is run. `key`: the field that orders its events; `batch`: how many events it takes at once.

    `workflow`: its runs wait, over restarts too, and do not hold their key meanwhile.
    """

    key: str | None = None
    retry: Retry = DEFAULT_RETRY
    timeout_s: float = 300.0
    batch: int = 0
    workflow: bool = False
    flow: Flow | None = None
    retention: Retention | None = None
    version: int = 1
    lifetime_s: float | None = None
    pattern: Selection | None = None
    resources: Resources | None = None  # None: those of a host by default


@dataclass(frozen=True, slots=True)
class Agent:
    """A handler, what it takes and gives, and how it is run."""

    name: str
    handler: Handler
    accepts: tuple[type[Event], ...]
    emits: tuple[type[Event], ...]
    options: Options
    wants_context: bool
    returns: Any
    older: "tuple[Agent, ...]" = ()  # versions of a workflow whose runs go on with their own code

    @property
    def is_choosy(self) -> bool:
        """Whether it passes over some of the events of its types."""
        return self.options.pattern is not None or TaskInput in self.accepts

    def of_version(self, version: int) -> "Agent | None":
        """Return the declaration of a version; None when the app has it no more."""
        return next((each for each in (self, *self.older) if each.options.version == version), None)

    def beside(self, other: "Agent") -> "Agent | None":
        """Return two versions of a workflow as one, which begins runs with the newest; None when they cannot be."""
        known = (self, *self.older)
        is_new = all(each.options.version != other.options.version for each in known)
        if not (is_new and self.options.workflow and other.options.workflow):
            return None
        newest, *older = sorted((*known, other), key=lambda each: -each.options.version)
        return replace(newest, older=tuple(replace(each, older=()) for each in older))

    def selects(self, event: Envelope) -> bool:
        """Whether an event of a type that the agent takes is one that it takes: a workflow that calls it has chosen it."""
        selection = self.options.pattern
        if event.reply_step.startswith(f"{self.name} "):
            return True
        if event.type == TaskInput.type_:
            return not event.reply_step
        if selection is None:
            return True
        taken = next((each for each in self.accepts if event.type in each.reads_()), None)
        return taken is None or selection.takes(taken, event.type, event.data)

    def key_field(self, event: type[Event]) -> str | None:
        """The field whose value orders events of this type for this agent; None: no order is asked for."""
        return self.options.key if self.options.key is not None else event.key_


def declared(handler: Handler, name: str, given: Mapping[str, Any]) -> Agent:
    """Read an agent from a function, and options by their names; `Invalid` with all findings."""
    known, findings = _known(given, OPTIONS, "an agent")
    return _declared(handler, name, Options(**known), findings)


def declared_workflow(handler: Handler, name: str, given: Mapping[str, Any]) -> Agent:
    """Read a workflow from a function, and options by their names; `Invalid` with all findings."""
    known, findings = _known(given, WORKFLOW_OPTIONS, "a workflow")
    lifetime_s = known.pop("timeout_s", None)
    return _declared(handler, name, Options(**known, retry=NO_RETRY, workflow=True, lifetime_s=lifetime_s), findings)


def _known(given: Mapping[str, Any], names: tuple[str, ...], kind: str) -> tuple[dict[str, Any], list[Finding]]:
    """Return the options that there are, as `Options` has them, and what is wrong with what was given."""
    findings = [
        Finding(each, f"is not an option of {kind}", f"the options are name, {', '.join(names)}")
        for each in given
        if each not in names
    ]
    pattern = selection_of(given.get("pattern"), findings)
    return {each: value for each, value in given.items() if each in names} | {"pattern": pattern}, findings


def _declared(handler: Handler, name: str, options: Options, findings: list[Finding]) -> Agent:
    try:
        agent = declare(handler, name, options)
    except Invalid as error:
        raise Invalid(error.what, (*findings, *error.findings)) from error
    if findings:
        raise Invalid(f"agent {name!r}", tuple(findings))
    return agent


def declare(handler: Handler, name: str, options: Options) -> Agent:
    """Read an agent from a function; `Invalid` with all findings."""
    findings = _option_findings(options)
    if not _is_text(name) or not name or ":" in name:  # it ends the id of a run, after a colon
        findings.append(Finding("name", f"is {name!r}", "a name without a colon"))
    if not inspect.iscoroutinefunction(handler):
        findings.append(Finding("handler", "is not an async function", "write `async def`"))
    try:
        hints = typing.get_type_hints(handler)
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        hint = "define the event classes at module level, before the agent"
        raise Invalid(f"agent {name!r}", (*findings, Finding("annotations", str(error), hint))) from error
    parameters = list(inspect.signature(handler).parameters.values())
    if len(parameters) not in (1, 2):
        findings.append(
            Finding("parameters", f"are {len(parameters)}", "take the event, and then a Context if you need it")
        )
    taken = hints.get(parameters[0].name) if parameters else None
    accepts = _accepted(taken, batch=options.batch, findings=findings)
    for event in accepts:
        key = options.key
        if _is_text(key) and key not in event.model_fields:
            findings.append(
                Finding("key", f"{key!r} is not a field of {event.__name__}", f"one of {', '.join(event.model_fields)}")
            )
    findings += flow_findings(options.flow, accepts, batch=bool(options.batch))
    if options.workflow and isinstance(options.flow, Flow) and options.flow.when_busy is not None:
        problem = f"is {options.flow.when_busy!r}, and the runs of a workflow go on beside each other"
        findings.append(Finding("flow.when_busy", problem, "let those of a field wait: Concurrency(1, by=FIELD)"))
    findings += [] if options.pattern is None else options.pattern.unknown_fields(accepts)
    if findings:
        raise Invalid(f"agent {name!r}", tuple(findings))
    returned = hints.get("return", Any)
    return Agent(name, handler, accepts, _events_in(returned), options, len(parameters) == 2, returned)  # noqa: PLR2004 - event and context


def event_key(event: type[Event], agents: Mapping[str, Agent]) -> str | None:
    """The field that decides the partition of an event type: its own, or the one on which all takers agree."""
    if event.key_ is not None:
        return event.key_
    fields = {agent.options.key for agent in agents.values() if event in agent.accepts}
    fields.discard(None)
    return fields.pop() if len(fields) == 1 else None


def _option_findings(options: Options) -> list[Finding]:
    """Return what is wrong with the options. No type checker has seen many of them: they may be anything."""
    findings = _retry_findings(options.retry)
    if not (_is_number(options.timeout_s) and options.timeout_s > 0):  # not a number is not either
        findings.append(Finding("timeout_s", f"is {options.timeout_s!r}", "a number of seconds, more than 0"))
    if not (_is_number(options.batch, int) and 0 <= options.batch <= BATCH_MAX):
        findings.append(
            Finding("batch", f"is {options.batch!r}", f"a whole number, 0 (one event at a time) to {BATCH_MAX}")
        )
    if not (_is_number(options.version, int) and options.version >= 1):
        findings.append(Finding("version", f"is {options.version!r}", "a whole number, at least 1"))
    if options.lifetime_s is not None and not (_is_number(options.lifetime_s) and options.lifetime_s > 0):
        findings.append(Finding("timeout_s", f"is {options.lifetime_s!r}", "a number of seconds, more than 0"))
    if not (options.key is None or _is_text(options.key)):
        findings.append(Finding("key", f"is {options.key!r}", "the name of a field, as text"))
    if isinstance(options.retention, Retention):
        findings += options.retention.findings("retention")
    elif options.retention is not None:
        findings.append(
            Finding("retention", f"is {options.retention!r}", "Retention(journals_days=..., runs_days=...)")
        )
    return findings + resources_findings(options.resources)


def _retry_findings(retry: object) -> list[Finding]:
    if not isinstance(retry, Retry):
        return [Finding("retry", f"is {retry!r}", "give a Retry: Retry(attempts_max=3)")]
    findings = [
        Finding(f"retry.{each.name}", f"is {getattr(retry, each.name)!r}", "a number")
        for each in fields(Retry)
        if not _is_number(getattr(retry, each.name))
    ]
    return findings or retry.findings("retry")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object, kind: Any = int | float) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _accepted(taken: Any, *, batch: int, findings: list[Finding]) -> tuple[type[Event], ...]:
    is_list = typing.get_origin(taken) is list
    if is_list != bool(batch):
        hint = "annotate list[YourEvent] and give batch=N, or neither"
        findings.append(Finding("batch", f"is {batch}, and the event is annotated {taken}", hint))
    accepts = _events_in(taken)
    if not accepts:
        hint = "annotate the first parameter with a subclass of penstock.Event"
        findings.append(Finding("event", f"is annotated {taken!r}", hint))
    return accepts


def _events_in(annotation: Any) -> tuple[type[Event], ...]:
    """Return the event types named in an annotation: X, X | Y, list[X], X | None."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return (annotation,) if issubclass(annotation, Event) else ()
    return tuple(event for part in typing.get_args(annotation) for event in _events_in(part))
