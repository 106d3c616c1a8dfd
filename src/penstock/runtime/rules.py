"""The agents behind an app's rules: one that matches, and one for each target.

- What a rule gives to agents, workflows and topics is emitted by the handling that matches: with its commit, and so once,
  whatever crashes.
- What cannot be given to a target (its input fits nobody there) fails in the target's own run, and lies in its dead letters;
  the other targets get theirs.
- An address is called in the target's own run, in order per key, with a key by which the receiver knows it if it is called again.
- Hops are counted over rules: a loop of rules ends after 64 of them in the dead letters.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.agents.machine_events import MachineInput, TaskInput
from penstock.core.agents.selection import Selection
from penstock.core.asl.services.http_calls import Connection, HttpRequest, HttpResponse, http_request, reason_of
from penstock.core.asl.services.problems import CallFailed
from penstock.core.events.event import Event
from penstock.core.patterns.inputs import Rule as RuleSeen
from penstock.core.rules.bus_events import OWN_BUS, BusEvent, TargetDue, seen_in_app, seen_on_bus
from penstock.core.rules.rules import Buses, Rule
from penstock.core.rules.targets import Target
from penstock.core.timing.timers import moment_text
from penstock.errors import Finding, Invalid, Missing, Refused, Unavailable
from penstock.runtime.addressing import OWN_TOPICS, event_in, kinds_in, kinds_of
from penstock.runtime.connections import Connections, Send
from penstock.runtime.context import Context
from penstock.runtime.machine_inputs import event_for
from penstock.runtime.topology import Topology

NAME: Final = "rules"
_AGAIN: Final = frozenset({408, 409, 425, 429})
_SERVER_ERROR: Final = 500
_ERROR: Final = 300


class Rules:
    """The rules of an app, and the agents that carry them out."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self.buses = Buses(rules.values())
        self._targets = {rule.agent_of(target): (rule, target) for rule in rules.values() for target in rule.targets}
        self._topology: Topology
        self._connections: Connections
        self._send: Send

    def agents(self, known: Topology) -> dict[str, Agent]:
        """Return the agents behind the rules of an app whose other agents and events are known. Raises `Invalid`."""
        own = [kind.event for kind in known.kinds.values() if not kind.topic.startswith(OWN_TOPICS)]
        watched = [event for event in own if self.buses.may_match(event)]
        self._require_reachable(known, watched)
        taken: Any = BusEvent
        for event in watched:
            taken = taken | event
        agents = {NAME: _declared(self.match, NAME, taken, Options())}
        for name, (_, target) in self._targets.items():
            options = Options(retry=target.retry, timeout_s=target.timeout_s + 5, pattern=Selection({"target": [name]}))
            agents[name] = _declared(self.reach, name, TargetDue, options)
        return agents

    def over(self, topology: Topology, connections: Connections, send: Send) -> None:
        """Reach these from now on."""
        self._topology, self._connections, self._send = topology, connections, send

    async def match(self, event: Any, ctx: Context) -> None:
        """Give an event to the targets of all rules that it matches."""
        if isinstance(event, BusEvent):
            bus, document = event.bus, seen_on_bus(event, ctx.event)
        else:
            bus, document = OWN_BUS, seen_in_app(ctx.event)
        for rule in self.buses.matching(bus, document):
            for target in rule.targets:
                self._give(rule, target, document, ctx)

    async def reach(self, due: TargetDue, ctx: Context) -> Any:
        """Have one target get what it is to get, or say why it cannot."""
        rule, target = self._targets[due.target]
        if not target.is_address:
            ctx.emit(self._event(rule, target, due.document, ctx))
            return None
        request = await self._request(rule, target, due.document, ctx)
        return await ctx.step("call", _called, self._send, request, target.timeout_s)

    def _give(self, rule: Rule, target: Target, document: dict[str, Any], ctx: Context) -> None:
        if not target.is_address:
            try:
                ctx.emit(self._event(rule, target, document, ctx))
            except (Invalid, Missing, Refused, ValueError):
                pass  # its own run will say so, and keep it
            else:
                return
        ctx.emit(TargetDue(target=rule.agent_of(target), key=ctx.event.key or ctx.event.id, document=document))

    def _event(self, rule: Rule, target: Target, document: Mapping[str, Any], ctx: Context) -> Event:
        kinds, text = _classes(self._topology, target), self._input(rule, target, document, ctx)
        if target.kind != "topic" and any(issubclass(kind, MachineInput | TaskInput) for kind in kinds):
            return event_for(self._topology.agents[target.subject], target.subject, json.loads(text))
        return event_in(text, kinds, str(document["detail-type"]))

    def _input(self, rule: Rule, target: Target, document: Mapping[str, Any], ctx: Context) -> str:
        return target.gets.of(document, RuleSeen(rule.name, rule.name, moment_text(ctx.event.time_ms)))

    async def _request(self, rule: Rule, target: Target, document: Mapping[str, Any], ctx: Context) -> HttpRequest:
        text = self._input(rule, target, document, ctx)
        body = json.loads(text) if text[:1] in "{[" else text
        connection = await self._connections.authorised(target.connection) if target.connection else Connection()
        parameters = {"ApiEndpoint": target.to, "Method": "POST", "RequestBody": body}
        try:
            return http_request(parameters, connection, ctx.idempotency_key("call"))
        except CallFailed as error:
            raise Refused(error.cause, "mend the target") from error

    def _require_reachable(self, known: Topology, watched: list[type[Event]]) -> None:
        findings: list[Finding] = []
        for rule, target in self._targets.values():
            where = f"{rule.name}.{target.name}"
            try:
                taken = _classes(known, target)
            except Missing as error:
                findings.append(Finding(where, f"{error.what} is missing", error.hint))
                continue
            again = [event.__name__ for event in watched if event in taken and rule in self.buses.may_match(event)]
            if again:
                problem = f"is given {', '.join(again)}, which the rule matches: it would go round"
                hint = "who takes an event gets it without a rule; a pattern: @app.agent(pattern=...)"
                findings.append(Finding(where, problem, hint))
        if findings:
            raise Invalid("the app's rules", tuple(findings))


def _classes(known: Topology, target: Target) -> list[type[Event]]:
    """Return what a target may be given; `Missing` when the app has no such target."""
    if target.is_address:
        return []
    return kinds_in(known, target.subject) if target.kind == "topic" else kinds_of(known, target.subject)


def _declared(method: Any, name: str, taken: Any, options: Options) -> Agent:
    """Declare a method as an agent of what it takes, which only the app knows."""

    async def handler(event: Any, ctx: Context) -> Any:
        return await method(event, ctx)

    handler.__annotations__ = {"event": taken, "ctx": Context}
    return declare(handler, name, options)


async def _called(send: Send, request: HttpRequest, timeout_s: float) -> int:
    """Call an address, and return the status; raise what says whether trying again may help."""
    answer: HttpResponse = await send(request, timeout_s)
    if answer.status < _ERROR:
        return answer.status
    told = f"{answer.status} {answer.reason or reason_of(answer.status)}"
    if answer.status >= _SERVER_ERROR or answer.status in _AGAIN:
        raise Unavailable(request.url.partition("?")[0], request.method, told)
    raise Refused(f"{request.url.partition('?')[0]} answered {told}", "look at what the target is given")
