"""The flow that a seed gives to an agent: limits and rates that leave nothing out, and whether they hold, also over several processes."""

from random import Random

from life import Life

from penstock.core.agents.flow import Concurrency, Flow, Rate


def flow_of(seed: int) -> Flow | None:
    """Return the same flow in every life of a world: half of them have none."""
    random = Random(seed)
    if random.random() < 0.5:
        return None
    bounds = [Concurrency(random.randint(1, 4)), Concurrency(random.randint(1, 2), by="number")]
    rates = [Rate(random.randint(1, 20), per_s=0.1), Rate(random.randint(1, 5), per_s=0.1, by="customer")]
    return Flow(
        concurrency=tuple(each for each in bounds if random.random() < 0.5),
        rate=tuple(each for each in rates if random.random() < 0.5),
        priority=random.choice(["", "number"]),
        aging_s=random.choice([0.0, 1.0]),
        when_busy=random.choice([None, "queue"]),
    )


def within_limits(life: Life, agent: str, flow: Flow | None) -> bool:
    """Whether no more handlings of an agent go on than its flow lets through, in all processes whose claim lasts."""
    if flow is None or not life.owns:
        return True
    lives = [each for each in life.world.lives if each.owns]
    going = sum(count for each in lives for (name, _), count in each.active.items() if name == agent)
    return all(going <= each.at_once for each in flow.concurrencies if not each.by)
