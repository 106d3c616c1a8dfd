"""An app's agents between topics of Kafka, without a store, until it is stopped."""

import asyncio
import signal
import sys

from penstock.app import App
from penstock.errors import Finding, Invalid
from penstock.runtime.relaying import ELSEWHERE, stateless_findings
from penstock.settings import Settings


async def relay_app(app: App, chosen: Settings) -> None:
    """Run until SIGINT or SIGTERM. Raises `Invalid` for an app that needs a store."""
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
