"""How an app's declarations of rules, tables and connections become agents and services of its engine."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from penstock.core.agents.declaration import Agent
from penstock.core.asl.services.http_calls import Connection
from penstock.core.rules.rules import Rule
from penstock.core.tables.schema import Schema
from penstock.errors import Finding, Invalid
from penstock.ports.clock import Clock
from penstock.runtime.connections import Connections, Send
from penstock.runtime.machine_tasks import Outside
from penstock.runtime.models import Models
from penstock.runtime.outside_calls import OutsideCalls
from penstock.runtime.own_services import OwnServices
from penstock.runtime.rules import Rules
from penstock.runtime.tables import NAME as TABLES
from penstock.runtime.tables import Tables
from penstock.runtime.topology import Topology

Fills = Callable[[Outside], None]
NOTHING_MORE: Final[tuple[Fills, ...]] = ()


@dataclass(frozen=True, slots=True)
class Reach:
    """What an app declares for its machines and rules."""

    rules: Mapping[str, Rule] = field(default_factory=dict[str, Rule])
    tables: Mapping[str, Schema] = field(default_factory=dict[str, Schema])
    connections: Mapping[str, Connection | Callable[[], Connection]] = field(
        default_factory=dict[str, "Connection | Callable[[], Connection]"]
    )


class Reaching:
    """What stands behind it while the app runs."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self.rules = Rules(reach.rules)
        self.tables = Tables(reach.tables)
        self._outside_calls: OutsideCalls
        self._more: tuple[Fills, ...] = ()

    def agents(self, known: Topology) -> dict[str, Agent]:
        """Return the agents of penstock's own that the app needs beside those that are known."""
        needed: dict[str, Agent] = {}
        if self._reach.tables:
            needed[TABLES] = self.tables.agent()
        if self._reach.rules:
            needed |= self.rules.agents(known)
        taken = needed.keys() & known.agents.keys()
        if taken:
            hint = "give name=..."
            findings = tuple(Finding(name, "is the name of an agent of penstock's own", hint) for name in sorted(taken))
            raise Invalid("the app's agents", findings)
        return needed

    def over(self, topology: Topology, models: Models, send: Send, clock: Clock, more: Iterable[Fills] = ()) -> None:
        """Reach these from now on. `more` come first: what they fill is carried out elsewhere."""
        connections = Connections(self._reach.connections, send, clock)
        self.rules.over(topology, connections, send)
        self._outside_calls = OutsideCalls(connections, send, models)
        self._more = tuple(more)

    def fill(self, engine: Any, outside: Outside) -> None:
        """Say what the machines of an engine reach."""
        for fill in self._more:
            fill(outside)
        parts = engine.parts
        OwnServices(engine, parts.store, parts.topology, self.tables, self._outside_calls).fill(outside)
