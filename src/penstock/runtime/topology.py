"""Which events an app knows, where they are kept, and which agents take them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from penstock.core.agents.declaration import Agent, event_key
from penstock.core.events.event import Event
from penstock.core.events.versions import gaps
from penstock.core.knowledge.events import KnowledgeEvent
from penstock.errors import Finding, Invalid, Missing, Refused


@dataclass(frozen=True, slots=True)
class Kind:
    """An event type of the app."""

    event: type[Event]
    topic: str
    key: str | None

    def key_of(self, event: Event) -> str:
        """Return the value of the key field, as text; empty when the type has none."""
        return "" if self.key is None else str(getattr(event, self.key))

    def written_as(self, type: str) -> str:
        """Return the type that a name stands for: itself, or version 1 when it says none."""
        return type if type in self.event.reads_() else f"{type}.v1"


def require_one_order(topology: "Topology") -> None:
    """Refuse, with all findings, an app whose order per key is not that of its partitions: several workers would break it."""
    findings = [
        Finding(
            f"{agent.name}.key",
            f"orders {event.__name__} by {field!r}, and its partition goes by {topology.kind(event).key!r}",
            f"declare the key with the event: class {event.__name__}(Event, key={field!r})",
        )
        for agent in topology.agents.values()
        for event in agent.accepts
        if event is not KnowledgeEvent
        and (field := agent.key_field(event)) is not None
        and field != topology.kind(event).key
    ]
    findings += [
        Finding(
            f"{agent.name}.key",
            "orders events of knowledge by another key than their document",
            "leave the key away: with several workers the events about one document are in one order",
        )
        for agent in topology.agents.values()
        if KnowledgeEvent in agent.accepts and agent.options.key is not None
    ]
    if findings:
        raise Invalid("the app for several partitions", tuple(findings))


class Topology:
    """The agents of an app by what they take."""

    def __init__(self, agents: Mapping[str, Agent], known: Iterable[type[Event]] = ()) -> None:
        self.agents = dict(agents)
        named = {event for agent in agents.values() for event in (*agent.accepts, *agent.emits)} | set(known)
        self.kinds: dict[str, Kind] = {}
        self.older: dict[str, Kind] = {}  # by the types of older versions, which are brought to the newest
        findings: list[Finding] = []
        for event in sorted(named, key=lambda each: each.type_):
            known_as = self.kinds.get(event.type_)
            if known_as is not None and known_as.event is not event:
                hint = "rename one, or give it another version"
                findings.append(Finding(event.type_, "is the type of two different classes", hint))
            self.kinds[event.type_] = Kind(event, event.topic_, event_key(event, self.agents))
        findings += self._read_older(named)
        if findings:
            raise Invalid("the app's events", tuple(findings))
        self.topics: dict[str, list[Agent]] = {}
        for agent in self.agents.values():
            for topic in sorted({event.topic_ for event in agent.accepts}):
                self.topics.setdefault(topic, []).append(agent)

    def kind(self, event: type[Event]) -> Kind:
        """Return what the app knows of an event type; one that no agent names is known by its class alone."""
        found = self.kinds.get(event.type_)
        if found is None:
            found = self.kinds[event.type_] = Kind(event, event.topic_, event.key_)
        return found

    def _read_older(self, named: set[type[Event]]) -> list[Finding]:
        """Learn which older versions can be read; return what is wrong with that."""
        findings: list[Finding] = []
        for event in sorted(named, key=lambda each: each.type_):
            for version in gaps(event.version_, event.upcasters_):
                hint = f"declare @{event.__name__}.upcast({version})"
                findings.append(Finding(f"{event.type_}.upcast", f"nothing brings version {version} to the next", hint))
            for each in event.reads_()[1:]:
                if each in self.kinds:
                    hint = "remove the class of the older version"
                    findings.append(Finding(each, f"is a class of the app, and is brought to {event.type_}", hint))
                self.older[each] = self.kinds[event.type_]
        return findings

    def of_type(self, type: str) -> Kind | None:
        """Return the kind that events of a type become, of an older version too."""
        return self.kinds.get(type) or self.older.get(type)

    def named(self, type: str) -> Kind:
        """Return the kind of a type name; `Missing` when the app has none such."""
        found = self.of_type(type) or self.of_type(f"{type}.v1")
        if found is None:
            raise Missing(f"the event type {type!r}", f"this app knows {', '.join(self.kinds) or 'none'}")
        return found

    def require_taker(self, agent: str, event: Event) -> None:
        """Raise `Missing` or `Refused` unless the agent exists and takes this event."""
        found = self.agents.get(agent)
        if found is None:
            raise Missing(f"the agent {agent!r}", f"this app has {', '.join(self.agents) or 'none'}")
        if type(event) not in found.accepts:
            raise Refused(f"{agent!r} does not take {event.type_}", "send it as an event instead")
        selection = found.options.pattern
        if selection is not None and not selection.takes(type(event), event.type_, event.encoded()):
            raise Refused(
                f"{agent!r} takes only events that match its pattern", "send it as an event, for who takes it"
            )

    def require_answerable(self, event: Event) -> None:
        """Raise `Refused` where no agent takes this event."""
        takers = self.takers(type(event))
        if not takers:
            raise Refused(f"no agent of this app takes {event.type_}", "declare one, or send the event without asking")
        selections = [each.options.pattern for each in takers]
        if None not in selections:
            data = event.encoded()
            if not any(each.takes(type(event), event.type_, data) for each in selections if each is not None):
                hint = "send the event without asking"
                raise Refused(f"no agent that takes {event.type_} has a pattern that this one matches", hint)

    def takers(self, event: type[Event]) -> list[Agent]:
        """Return the agents that take events of a type."""
        return [agent for agent in self.agents.values() if event in agent.accepts]
