"""What of an app a job on Flink carries, and what it does not: that is said when the job is built, all of it at once."""

from collections.abc import Iterator
from dataclasses import replace

from penstock.brokers import carried_topics
from penstock.core.agents.declaration import Agent
from penstock.core.events.dead_messages import dead_letters_topic
from penstock.errors import Finding, Invalid
from penstock.flink.marks import marks_topic
from penstock.runtime.forgetting_control import declares_subjects
from penstock.runtime.topology import Topology, require_one_order
from penstock.wiring import Declared, topology_of

ELSEWHERE = "run it on another host beside the job, over the same topics: penstock run --log kafka://..."


def require_carried(declared: Declared) -> None:
    """Raise `Invalid`, with all findings, for an app that a job on Flink cannot carry."""
    topology = Topology(declared.agents, declared.events)
    findings = [found for agent in declared.agents.values() for found in _of_agent(agent)]
    findings += [*_of_knowledge(declared), *_of_app(declared)]
    try:
        require_one_order(topology)
    except Invalid as error:
        findings += error.findings
    if declares_subjects(topology):
        problem = "says whom events are about, and what Flink keeps cannot be sealed and forgotten"
        findings.append(Finding("events", problem, ELSEWHERE))
    if not source_topics(declared):
        findings.append(Finding("agents", "there are none that take an event", "declare one: @app.agent"))
    if findings:
        raise Invalid(f"the app {declared.name!r} for Flink", tuple(findings))


def carried_by_job(declared: Declared) -> dict[str, str]:
    """Return the topics that go over Kafka, each with the type of its events where it has one only.

    Those of the app's events, and those between the stages of its streams; penstock's other own topics stay in the process.
    """
    topology = topology_of(in_job(declared))
    taken = {event.topic_ for agent in declared.agents.values() for event in agent.accepts}
    return dict(sorted((dict.fromkeys(taken, "") | carried_topics(topology)).items()))


def in_job(declared: Declared) -> Declared:
    """Return an app as a job has it: what it knows lies elsewhere, and what is to be found is a message for who indexes it."""
    return replace(declared, collections=())


def source_topics(declared: Declared) -> list[str]:
    """Return the topics that a job reads: those of events that the app's agents take."""
    return sorted({event.topic_ for agent in declared.agents.values() for event in agent.accepts})


def sink_topics(declared: Declared) -> list[str]:
    """Return the topics that a job may write to: those of all events that the app knows, of dead letters, and of marks."""
    return [*carried_by_job(declared), dead_letters_topic(declared.name), marks_topic(declared.name)]


def _of_agent(agent: Agent) -> Iterator[Finding]:
    options, path = agent.options, f"agent {agent.name!r}"
    if options.workflow:
        yield Finding(path, "is a workflow, whose runs wait for answers, signals and time", ELSEWHERE)
    if options.batch:
        problem = f"takes batches of {options.batch}, and Flink keeps what an agent does by key"
        yield Finding(f"{path}.batch", problem, "take one event at a time")
    if options.flow is not None:
        problem = "limits how much goes on at once, and a job has no limits over all its subtasks"
        yield Finding(f"{path}.flow", problem, f"leave it out, or {ELSEWHERE}")


def _of_knowledge(declared: Declared) -> Iterator[Finding]:
    """Streams embed, and say what is to be indexed. A search needs what the app's store has, and any agent may search."""
    if declared.agents.keys() - declared.stages.keys():
        hint = "its streams alone can be a job (--streams); " + ELSEWHERE
        for name in declared.collections:
            yield Finding(f"knowledge {name!r}", "is searched in the app's store, which a job has not", hint)
        return
    for stage, searched in declared.stages.items():
        for name in searched:
            problem = f"searches {name!r}, and knowledge is searched in the app's store, which a job has not"
            hint = "give --streams: the app beside the job searches for it (penstock run --streams flink)"
            yield Finding(f"stream {stage!r}", problem, hint)


def _of_app(declared: Declared) -> Iterator[Finding]:
    for name in declared.plans:
        yield Finding(f"schedule {name!r}", "goes by its name, not by a key", ELSEWHERE)
    for name in declared.reach.rules:
        yield Finding(f"rule {name!r}", "has targets outside of the app's topics", ELSEWHERE)
    for name in declared.reach.tables:
        yield Finding(f"table {name!r}", "lies in the app's store, which a job has not", ELSEWHERE)
    for name in declared.routers:
        yield Finding(f"router {name!r}", "is trained by the app's knowledge", ELSEWHERE)
    if declared.registry:
        yield Finding("schemas", "are kept in the app's store, which a job has not", ELSEWHERE)
