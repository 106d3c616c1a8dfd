"""State machines as workflows of an app: read and validated when they are declared, and led by the reducer when they run.

A run keeps the definition that it began with, over restarts and changes of the file: it is stored once, by its digest.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from types import FrameType
from typing import Any, Final, Union, cast

import msgspec
from msgspec.structs import replace

from penstock.core.agents.declaration import Agent, WorkflowOptions, declared_workflow
from penstock.core.agents.journal import decode_chunk, decode_value, encode_value
from penstock.core.agents.machine_events import MachineInput, input_type
from penstock.core.agents.machine_records import MACHINE, Begins, begins_in, started
from penstock.core.agents.unit import ValueWrite, Writes
from penstock.core.asl import definition as asl
from penstock.core.asl.documents import read_document
from penstock.core.asl.program import Program, compiled
from penstock.core.asl.validation import parse, refuse, validate
from penstock.core.asl.values import Json
from penstock.core.events.envelope import DEFAULT_TENANT
from penstock.core.events.event import Event
from penstock.errors import Finding, Invalid, Missing
from penstock.runtime.machine_run import MachineRun
from penstock.runtime.services import Services
from penstock.runtime.workflow_context import WorkflowContext

OWNER: Final = "asl"  # of the stored definitions, among the values of agents
DEFINITION: Final = "definition"
NAME_CHARS_MAX: Final = 80
EXPRESS_S_MAX: Final = 300
_NAME: Final = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")
_HOLE: Final = re.compile(r"\$\{([^}]*)\}")

Definition = str | Path | Mapping[str, Any] | asl.Machine


class MachineOptions(WorkflowOptions, total=False):
    """What `app.workflow` takes beside the definition of a state machine."""

    accepts: type[Event] | Sequence[type[Event]]
    substitutions: Mapping[str, str]
    express: bool


class StateMachine:
    """A state machine of an app. `input` makes the event that begins a run of it, to be sent, emitted, called or scheduled."""

    def __init__(self, name: str, machine: asl.Machine, *, express: bool = False) -> None:
        self.name = name
        self.definition = machine
        self.express = express
        self.program = compiled(machine)
        self.text = msgspec.json.encode(asl.to_document(machine))
        self.digest = blake2b(self.text, digest_size=16).hexdigest()
        self.event = input_type(name)
        self._older: dict[str, Program] = {}

    def input(self, value: Json = None) -> MachineInput:
        """Return the event by which a run begins with this input."""
        return self.event(input=value)

    async def lead(self, _event: Event, ctx: WorkflowContext) -> Json:
        """Lead a run, from its beginning or from where its journal ends."""
        operations = ctx.operations
        found = operations.journal.find(MACHINE)
        if found is None:
            begins = self._begun(operations.services)
            operations.record(MACHINE, begins)
            program = self.program
        else:
            begins = decode_value(found, Begins)
            kept = await self.program_of(begins.definition, operations.services)
            if kept is None:
                operations.halt(f"the definition {begins.definition} that it began with is not in the store")
            program = kept
        return await MachineRun(operations, program, started(ctx.event, self.name, begins, ctx.run_id)).led()

    def _begun(self, services: Services) -> Begins:
        kept = services.outside.kept
        if self.digest not in kept:  # written by the commit that writes the run, or by one before
            kept.add(self.digest)
            body = encode_value(self.text, DEFINITION)
            write = ValueWrite(DEFAULT_TENANT, OWNER, self.digest, DEFINITION, body)
            services.committer.add().values.append(write)
        return Begins(self.digest, services.clock.new_id())

    async def program_of(self, digest: str, services: Services) -> Program | None:
        """Return the definition of a digest, ready to run; None when nobody has it."""
        if digest == self.digest:
            return self.program
        known = self._older.get(digest)
        if known is None and (known := await kept_program(digest, services)) is not None:
            self._older[digest] = known
        return known


async def kept_program(digest: str, services: Services) -> Program | None:
    """Return a stored definition, ready to run; None when the store has none of this digest."""
    shelf = services.memory.values
    entry = await shelf.hold((DEFAULT_TENANT, OWNER, digest))
    body = entry.content.get(DEFINITION)
    shelf.let_go(entry)
    return None if body is None else compiled(definition_in(body))


def definition_in(body: bytes) -> asl.Machine:
    """Return a stored definition."""
    return asl.from_document(msgspec.json.decode(decode_value(body, bytes)))


def is_definition(value: ValueWrite) -> bool:
    """Whether a stored value is the definition of a state machine."""
    return value.agent == OWNER and value.name == DEFINITION


def definitions_of(rows: Writes) -> Writes | None:
    """Return where the definitions are stored that these runs follow; None when their journals lie apart and do not say."""
    chunks = [*(each.body for each in rows.journal), *(each.records for each in rows.runs if each.records)]
    try:
        begins = [begins_in(decode_chunk(body)) for body in chunks]
    except Invalid:  # a reference to a large value
        return None
    digests = {each.definition for each in begins if each is not None}
    return Writes(values=[ValueWrite(DEFAULT_TENANT, OWNER, each, DEFINITION, None) for each in sorted(digests)])


def machine_of(agent: Agent | None) -> StateMachine | None:
    """Return the state machine that an agent leads, if it does."""
    found = None if agent is None else getattr(agent.handler, "machine", None)
    return found if isinstance(found, StateMachine) else None


def required_machine(agent: Agent) -> StateMachine:
    """Return the state machine that an agent leads, which it does."""
    found = machine_of(agent)
    assert found is not None, agent.name
    return found


def folder_of(frame: FrameType | None) -> Path:
    """Return the folder of the file that called a function; the working folder where it is in none."""
    source = source_of(frame)
    return Path(source).parent if source else Path()


def without_definition(name: str) -> Invalid:
    """Return what is wrong with a workflow that is only a name."""
    problem, hint = "is missing", 'app.workflow("qa", definition="qa.asl.json")'
    return Invalid(f"the workflow {name!r}", (Finding("definition", problem, hint),))


def source_of(frame: FrameType | None) -> str:
    """Return the file that called a function; empty where it is in none."""
    caller = None if frame is None else frame.f_back
    file = None if caller is None else caller.f_globals.get("__file__")
    return file if isinstance(file, str) else ""


def require_name(name: str) -> None:
    """Refuse the name of a run that AWS refuses."""
    if not _NAME.fullmatch(name):
        hint = f"1 to {NAME_CHARS_MAX} characters without blanks, brackets and " + '* ? " # % \\ ^ | ~ ` $ & , ; : /'
        raise Invalid("the run", (Finding("name", f"is {name!r}", hint),))


def declared_machine(name: str, definition: Definition, folder: Path, given: Mapping[str, Any]) -> Agent:
    """Read a state machine, and the options of its workflow, by their names; `Invalid` with all findings."""
    options = dict(given)
    accepts: Any = options.pop("accepts", ())
    express = bool(options.pop("express", False))
    substitutions: Mapping[str, str] = options.pop("substitutions", None) or {}
    findings: list[Finding] = []
    machine = _read(name, definition, folder, substitutions, express=express, findings=findings)

    async def lead(event: Any, ctx: WorkflowContext) -> Any:
        return await lead.machine.lead(event, ctx)  # pyright: ignore[reportFunctionMemberAccess] - set below

    kinds = cast("Sequence[Any]", accepts if isinstance(accepts, list | tuple) else (accepts,))
    lead.__annotations__ = {
        "event": Union[(input_type(name or "machine"), *kinds)],
        "ctx": WorkflowContext,
        "return": Any,
    }
    agent: Agent | None = None
    try:
        agent = declared_workflow(lead, name, options)
    except Invalid as error:
        findings += error.findings
    if findings or agent is None or machine is None:
        raise Invalid(f"the state machine {name!r}", tuple(findings))
    # It is a part of the definition, which is what a run keeps.
    limits_s = [agent.options.lifetime_s, machine.timeout_seconds, EXPRESS_S_MAX if express else None]
    known_s = [each for each in limits_s if each is not None]
    if known_s:
        machine = replace(machine, timeout_seconds=min(known_s))
        agent = dataclasses.replace(agent, options=dataclasses.replace(agent.options, lifetime_s=None))
    lead.machine = StateMachine(name, machine, express=express)  # pyright: ignore[reportFunctionMemberAccess]
    return agent


def _read(
    name: str,
    definition: Definition,
    folder: Path,
    substitutions: Mapping[str, str],
    *,
    express: bool,
    findings: list[Finding],
) -> asl.Machine | None:
    document, wrong = read_document(_text(name, definition, folder))
    if document is None:
        findings += wrong
        return None
    filled = _filled(document, substitutions)
    try:
        refuse([*wrong, *validate(filled, express=express)])
        machine = parse(filled)
        compiled(machine)
    except Invalid as error:
        findings += error.findings
        return None
    findings += _holes(machine, "")
    return machine


def _text(name: str, definition: Definition, folder: Path) -> str | bytes | Mapping[str, Json]:
    if isinstance(definition, asl.Machine):
        return asl.to_document(definition)
    if isinstance(definition, Mapping):
        return definition
    if isinstance(definition, str) and definition.lstrip().startswith("{"):
        return definition
    path = folder / definition
    if not path.is_file():
        raise Missing(str(path), f"it is to be the definition of {name!r}; paths are relative to the file of the app")
    return path.read_bytes()


def _filled(value: Any, substitutions: Mapping[str, str]) -> Any:
    """Put values in the place of `${NAME}`, as CloudFormation's DefinitionSubstitutions do."""
    if isinstance(value, str):
        return _HOLE.sub(lambda found: substitutions.get(found[1], found[0]), value) if substitutions else value
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {key: _filled(each, substitutions) for key, each in members.items()}
    return [_filled(each, substitutions) for each in cast("list[Any]", value)] if isinstance(value, list) else value


def _holes(scope: asl.Scope, path: str) -> list[Finding]:
    """Find resources that have no value yet."""
    found: list[Finding] = []
    for name, state in scope.states.items():
        where = f"{path}/States/{name}"
        for holder in (state, getattr(state, "item_reader", None), getattr(state, "result_writer", None)):
            resource = getattr(holder, "resource", None)
            if isinstance(resource, str) and "${" in resource:
                hint = 'substitutions={"NAME": "agent:answer"}'
                found.append(Finding(f"{where}/Resource", f"{resource!r} has no value yet", hint))
        if isinstance(state, asl.Task) and state.resource is None:
            found.append(Finding(f"{where}/Resource", "is not there", "agent:NAME, or the ARN of a function"))
        for inner in asl.children(state):
            found += _holes(inner, where)
    return found
