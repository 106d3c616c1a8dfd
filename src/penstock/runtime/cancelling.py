"""Handlings of agents that are to end without a result: where they are, or before their turn comes.

Each is recorded as cancelled at once, so that the next process knows too, should this one die or hand over.
"""

from collections.abc import Mapping

from penstock.core.agents.again import TOPIC as AGAIN
from penstock.core.agents.declaration import Agent
from penstock.core.agents.unit import RunChange
from penstock.core.events.envelope import Recorded
from penstock.core.events.envelope import run_id as run_id_of
from penstock.runtime.lanes import Delivery
from penstock.runtime.services import Services
from penstock.runtime.subscriptions import Subscription

Subscriptions = Mapping[tuple[str, str, int], Subscription]


class Cancellations:
    """What is not wanted any more."""

    def __init__(self, services: Services, subscriptions: Subscriptions, under_way: Mapping[str, Delivery]) -> None:
        self._services = services
        self._subscriptions = subscriptions
        self._under_way = under_way
        self._waiting: dict[str, str] = {}  # runs that wait for their turn, and why they are not to get it

    def cancel(self, agent: Agent, recorded: Recorded, reason: str) -> bool:
        """End the handling of an event where it is, or have it not begin; False when there is none to end."""
        place, event = recorded.position, recorded.event
        run_id = run_id_of(event.id, agent.name)
        delivery = self._under_way.get(run_id)
        subscription = self._subscriptions.get((agent.name, place.topic, place.partition))
        again = self._subscriptions.get((agent.name, AGAIN, place.partition))
        is_redriven = again is not None and again.redrives(run_id)
        if subscription is None or (place.offset in subscription.progress and delivery is None and not is_redriven):
            return False
        if delivery is not None and delivery.stopped:
            return True
        # By the commit that is done with what was said: whoever takes over while the handling ends must not begin it again.
        begun = delivery is not None and delivery.begun
        attempt = delivery.attempt if delivery is not None and begun else 0
        now_ms = self._services.clock.now_ms()
        change = RunChange(run_id, agent.name, event.tenant, event.key, "cancelled", attempt, now_ms, reason=reason)
        self._services.committer.add().runs.append(change)
        if delivery is None:
            self._waiting[run_id] = reason
            return True
        delivery.stop(reason)
        if begun and delivery.task is not None:  # else its task sees that it is stopped, before it calls the handler
            delivery.task.cancel()
        return True

    def reach(self, delivery: Delivery) -> bool:
        """Whether a delivery whose turn has come is not wanted."""
        if self._waiting and (reason := self._waiting.pop(delivery.run_id, "")):
            delivery.stop(reason)
        return bool(delivery.stopped)
