"""What an app declares for its machines and rules: rules themselves, tables, and what authorises calls of APIs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from penstock.core.agents.declaration import Agent
from penstock.core.asl.services.bus import DEFAULT_BUS
from penstock.core.asl.services.http_calls import Connection
from penstock.core.events.event import Event
from penstock.core.rules.rules import Rule, ruled
from penstock.core.rules.targets import Target
from penstock.core.tables.schema import KEY_TYPES, Schema
from penstock.errors import Finding, Invalid
from penstock.runtime.machines import StateMachine
from penstock.runtime.reaching import Reach

AnyTarget = Target | str | StateMachine | type[Event] | Callable[..., Any]


class DeclaresReach:
    """The part of an app that declares what its machines and rules reach."""

    agents: dict[str, Agent]

    def __init__(self) -> None:
        self.rules: dict[str, Rule] = {}
        self.tables: dict[str, Schema] = {}
        self.connections: dict[str, Connection | Callable[[], Connection]] = {}
        self.tracer_provider: Any = None

    def trace_by(self, provider: Any) -> None:
        """Have the app traced by this `TracerProvider` of OpenTelemetry's SDK, whatever the environment says."""
        self.tracer_provider = provider

    def rule(
        self,
        name: str,
        *,
        pattern: Mapping[str, object],
        targets: Sequence[AnyTarget] | AnyTarget,
        bus: str = DEFAULT_BUS,
        **options: Any,
    ) -> Rule:
        """Declare that events of a bus which match a pattern (EventBridge's) go to targets. Several rules may match one event.

        A target is a `Target`, or for short the text in it ("agent:audit", "https://..."), an agent's function, a state machine,
        or an event class, which stands for its topic. `bus`: where events are put (`events:putEvents`, `POST /v1/bus`), or "app",
        on which all events of this app are. `enabled`, `description`. Raises `Invalid` with all findings.
        """
        if name in self.rules:
            raise Invalid("the rules", (Finding("name", f"{name!r} is taken by another rule", "rename it"),))
        given: list[Any] = list(cast("Sequence[Any]", targets)) if isinstance(targets, list | tuple) else [targets]
        self.rules[name] = ruled(name, pattern, [self._target(each) for each in given], bus, options)
        return self.rules[name]

    def table(self, name: str, *, key: str, sort: str = "", key_type: str = "S", sort_type: str = "S") -> Schema:
        """Declare a table that `dynamodb:getItem`, `putItem`, `updateItem` and `deleteItem` of this app's machines work on.

        `key`: the attribute that is its partition key; `sort`: that of its sort key, if it has one; their types are S, N or B.
        """
        findings = [
            Finding(field, f"is {value!r}", "S, N or B")
            for field, value in (("key_type", key_type), ("sort_type", sort_type))
            if value not in KEY_TYPES
        ]
        if not key:
            findings.append(Finding("key", "is empty", "the attribute that is the partition key"))
        if name in self.tables:
            findings.append(Finding("name", f"{name!r} is taken by another table", "rename it"))
        if findings:
            raise Invalid(f"the table {name!r}", tuple(findings))
        self.tables[name] = Schema(name, key, sort, key_type, sort_type)
        return self.tables[name]

    def connection(self, name: str, connection: Connection | Callable[[], Connection]) -> None:
        """Name what authorises calls of an API: `http:invoke` and targets of rules name it, and never hold the secret.

        A function is asked with each call, so that a secret may come from wherever it is kept, and change.
        """
        self.connections[name] = connection

    @property
    def reach(self) -> Reach:
        """All that machines and rules reach."""
        return Reach(self.rules, self.tables, self.connections)

    def _target(self, given: Any) -> Target:
        match given:
            case Target():
                return given
            case str():
                return Target(given)
            case StateMachine():
                return Target(f"workflow:{given.name}")
            case type() if issubclass(given, Event):
                return Target(f"topic:{given.topic_}")
            case _:
                name = next((each.name for each in self.agents.values() if each.handler is given), None)
                if name is None:
                    finding = Finding("targets", f"{given!r} is no agent of this app", "declare it before the rule")
                    raise Invalid("the rules", (finding,))
                return Target(f"agent:{name}")
