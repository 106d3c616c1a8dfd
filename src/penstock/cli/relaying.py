"""`penstock relay`: agents that remember nothing, between topics of Kafka alone, exactly once by its transactions."""

import asyncio
import signal
import sys

from penstock.app import App
from penstock.cli.arguments import AppFile, Log
from penstock.errors import Finding, Invalid
from penstock.runtime.relaying import ELSEWHERE, stateless_findings
from penstock.settings import Settings, settings


def relay(file: AppFile, log: Log = None) -> None:
    """Run agents that take an event and return events, between topics of Kafka, without a store.

    Each batch is one transaction: what is read counts once, for all who read what is committed. Start as many as there are
    partitions: Kafka's group shares these. What an agent gives up on goes to the topic APP-dead-letters. Ctrl-C stops it.
    """
    from penstock.cli.loading import loaded_app
    from penstock.runtime.process import run_tuned

    run_tuned(_relay(loaded_app(file), settings({"log": log})))


async def _relay(app: App, chosen: Settings) -> None:
    from penstock.adapters.clock.system import SystemClock
    from penstock.brokers import relayed
    from penstock.runtime.topology import Topology

    require_stateless(app)
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stopped.set)
    print(f"penstock: {app.name} relays, without a store; Ctrl-C stops it", file=sys.stderr, flush=True)
    topology = Topology(app.declared.agents, app.declared.events)
    count = await relayed(chosen.log, app.name, topology, SystemClock(), stopped.is_set)
    print(f"penstock: {count} messages were taken", file=sys.stderr, flush=True)


def require_stateless(app: App) -> None:
    """Raise `Invalid`, with all findings, for an app that needs a store."""
    declared = app.declared
    findings = stateless_findings(declared.agents)
    kept = {
        "knowledge": list(declared.collections),
        "schedule": list(declared.plans),
        "rule": list(declared.reach.rules),
        "table": list(declared.reach.tables),
        "router": list(declared.routers),
    }
    findings += [
        Finding(f"{kind} {name!r}", "is kept in the app's store", ELSEWHERE)
        for kind, names in kept.items()
        for name in names
    ]
    if declared.registry:
        findings.append(Finding("schemas", "are kept in the app's store", ELSEWHERE))
    if not declared.agents:
        findings.append(Finding("agents", "there are none", "declare one: @app.agent"))
    if findings:
        raise Invalid(f"the app {app.name!r} without a store", tuple(findings))
