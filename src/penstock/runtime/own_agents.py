"""Penstock's own agents in an app: what the app declares decides which there are."""

from collections.abc import Collection

from penstock.core.agents.declaration import Agent
from penstock.core.agents.forgetting import FORGETTER
from penstock.core.knowledge.generation_events import KEEPER
from penstock.core.knowledge.uses import USES
from penstock.errors import Finding, Invalid
from penstock.runtime import control, indexer, schedules, schemas, uses
from penstock.runtime.forgetting_control import forgetter
from penstock.runtime.generation_control import generation_keeper


def own_agents(taken: Collection[str], *, knowledge: bool, registry: bool, subjects: bool = False) -> dict[str, Agent]:
    """Return them by name; `Invalid` where an agent of the app has the name of one: it would be replaced without a word."""
    findings = tuple(
        Finding(name, "is the name of an agent of penstock's own", "give name=...")
        for name in (
            indexer.NAME,
            KEEPER,
            USES,
            control.NAME,
            schedules.NAME,
            *([schemas.NAME] if registry else []),
            *([FORGETTER] if subjects else []),
        )
        if name in taken
    )
    if findings:
        raise Invalid("the app's agents", findings)
    agents = {control.NAME: control.control()}
    if knowledge:
        agents[indexer.NAME] = indexer.indexer()
        agents[KEEPER] = generation_keeper()
        agents[USES] = uses.counting()
    if registry:
        agents[schemas.NAME] = schemas.schema_registry()
    if subjects:
        agents[FORGETTER] = forgetter()
    return agents
