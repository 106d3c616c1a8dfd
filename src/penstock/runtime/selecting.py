"""Runs that there will never be: of events that an agent passes over, because its pattern does not match them."""

from penstock.core.events.envelope import event_of
from penstock.errors import Missing
from penstock.ports.state import RunCatalog
from penstock.runtime.topology import Topology


async def require_selected(topology: Topology, store: RunCatalog, id: str) -> None:
    """Raise `Missing` for a run that nothing is known of but its event, if the agent passes over that."""
    event_id, name = event_of(id)
    agent = topology.agents.get(name)
    if agent is None or not agent.is_choosy:
        return
    recorded = await store.event(event_id)
    if recorded is not None and not agent.selects(recorded.event):
        raise Missing(f"the run {id!r}", f"the pattern of {name!r} does not match its event")
