"""Whether all that an app's state machines name is there, said once when the app starts, and not when a run comes to it."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from penstock.core.agents.declaration import Agent
from penstock.core.asl import definition as asl
from penstock.core.asl.resources import Kind, Resource, parse_resource
from penstock.errors import Finding, Invalid
from penstock.runtime.machine_tasks import Outside, found, names_of
from penstock.runtime.machines import machine_of

LAMBDA_INVOKE = ("lambda", "invoke")
OBJECTS = "set objects in penstock.toml, or PENSTOCK_OBJECTS, to file:FOLDER or s3:"


def require_reachable(agents: Mapping[str, Agent], outside: Outside) -> None:
    """Refuse, with all findings, machines that name agents that the app does not have, or services that nobody is here."""
    findings: list[Finding] = []
    for agent in agents.values():
        machine = machine_of(agent)
        if machine is not None:
            findings += _lacking(machine.definition, f"{agent.name}: ", agents, outside)
    if findings:
        raise Invalid("the app's state machines", tuple(findings))


def _lacking(scope: asl.Scope, path: str, agents: Mapping[str, Agent], outside: Outside) -> Iterator[Finding]:
    for name, state in scope.states.items():
        where = f"{path}/States/{name}"
        match state:
            case asl.Task():
                yield from _lacking_task(state, where, agents, outside)
            case asl.Map():
                reader, writer = state.item_reader, state.result_writer
                yield from _lacking_one(
                    None if reader is None else reader.resource, f"{where}/ItemReader", outside.sources, OBJECTS
                )
                yield from _lacking_one(
                    None if writer is None else writer.resource, f"{where}/ResultWriter", outside.sinks, OBJECTS
                )
            case _:
                pass
        for inner in asl.children(state):
            yield from _lacking(inner, where, agents, outside)


def _lacking_task(state: asl.Task, where: str, agents: Mapping[str, Agent], outside: Outside) -> Iterator[Finding]:
    resource = parse_resource(state.resource or "")
    if resource is None:
        return
    if resource.kind is Kind.ACTIVITY and found(outside.services, resource) is None:
        if resource.name not in outside.activities:
            hint = f'app.activity("{resource.name}"), or name an agent: agent:{resource.name}'
            yield Finding(f"{where}/Resource", f"the app has no activity {resource.name!r}", hint)
        return
    name = _agent_of(state, resource)
    if name is None:
        if names_of(resource) != LAMBDA_INVOKE:
            yield from _lacking_one(state.resource, where, outside.services)
    elif name not in agents and found(outside.services, resource) is None:
        known = ", ".join(each for each, agent in agents.items() if not agent.options.batch)
        yield Finding(f"{where}/Resource", f"the app has no agent {name!r}", f"it has {known}")


def _agent_of(state: asl.Task, resource: Resource) -> str | None:
    """Return the name of the agent that does a task, as far as that is written in the definition."""
    if resource.kind in (Kind.AGENT, Kind.WORKFLOW, Kind.LAMBDA):
        return resource.name
    given = state.parameters or state.arguments
    function = cast("dict[str, Any]", given).get("FunctionName") if isinstance(given, dict) else None
    if names_of(resource) != LAMBDA_INVOKE or not isinstance(function, str) or function.startswith("{%"):
        return None
    return function.rpartition(":function:")[2].partition(":")[0]


def _lacking_one(text: str | None, where: str, known: Mapping[str, object], hint: str = "") -> Iterator[Finding]:
    resource = None if text is None else parse_resource(text)
    if resource is not None and found(known, resource) is None:
        names = ", ".join(sorted(known)) or "nothing of the kind"
        yield Finding(f"{where}/Resource", f"nothing here does what {text} names", hint or f"there is {names}")
