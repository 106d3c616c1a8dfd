"""What is counted of a job on Flink: what those see who read what is committed, and what was done outside, in which life."""

import json
from collections import Counter
from itertools import pairwise
from typing import Any

from penstock.core.events.envelope import Envelope, run_id
from penstock.testing.conformance.depot import CUSTOMERS, TENANTS
from penstock.testing.conformance.flink_job import Topics
from penstock.testing.conformance.outcomes import digest_of
from penstock.testing.conformance.plan import Plan, customer_of, order_id, total_of
from penstock.testing.conformance.report import Report
from penstock.testing.outside import Outside

HANDLED_BY = {"charged": "charge", "shipped": "ship"}  # whose handling an event of a topic ends
TAKEN_ID = "taken-"  # orders that come while one job takes over from another
ALONE_ID = "alone-"  # orders that are under way when the job is killed, and are not sent again
FIRST, SECOND = "charge#0", "thank#0"


class FlinkCounting:
    """The rows that are counted at the end."""

    def __init__(self, topics: Topics, plan: Plan, report: Report, outside: Outside) -> None:
        self._topics = topics
        self._plan = plan
        self._report = report
        self._outside = outside
        self._kept: dict[str, int] = {}  # a run -> the life before whose end its outcome was seen
        self._kills = 0

    def killed(self, life: int) -> None:
        """Note what was seen as committed before a kill."""
        self._kills += 1
        for topic, agent in HANDLED_BY.items():
            for event in self._topics.events(topic):
                self._kept.setdefault(run_id(event.causation_id, agent), life)

    def all_shipped(self) -> bool:
        """Whether each order has led to its end."""
        shipped = {each.correlation_id for each in self._topics.events("shipped")}
        return {order_id(tenant, number) for tenant, number in self._plan.all_orders} <= shipped

    def all_reminded(self) -> bool:
        """Whether each timer has fired."""
        return len({_data(each)["number"] for each in self._topics.events("reminded")}) >= self._plan.reminders

    def count(self) -> None:
        """Count everything, once all has come to rest."""
        self._durable()
        self._order()
        sessions, told = self._atomic()
        self._steps()
        self._isolation(sessions)
        self._time()
        self._not_there()
        self._report.outcome_of_agents = digest_of(told, sessions)

    def _durable(self) -> None:
        row, shipped = self._report["C1"], {each.correlation_id for each in self._topics.events("shipped")}
        orders = {
            each for each in self._topics.acknowledged if each.startswith(("order-", "beside-", TAKEN_ID, ALONE_ID))
        }
        lost = sorted(orders - shipped)
        row.tried = (
            "all processes of the job are killed by SIGKILL; what Kafka had acknowledged is looked for at its end"
        )
        row.counts |= {"kills": self._kills, "acknowledged": len(orders), "lost": len(lost)}
        row.expect(self._kills > 0, "the job was never killed")
        row.findings += [f"lost: {each}" for each in lost]

    def _order(self) -> None:
        row, disorder = self._report["C2"], 0
        came: dict[tuple[str, str], list[int]] = {}
        for event in self._topics.events("shipped"):
            if event.correlation_id.startswith("order-"):
                came.setdefault((event.tenant, event.key), []).append(_data(event)["number"])
        first: dict[tuple[str, str], list[int]] = {}
        for _, run, step in self._outside.executions():
            tenant, _, number = run.removeprefix("order-").removesuffix(":charge").partition("-")
            if run.startswith("order-") and step == FIRST:
                seen = first.setdefault((tenant, customer_of(int(number))), [])
                seen += [int(number)] * (int(number) not in seen)
        disorder = sum(one > other for each in (*came.values(), *first.values()) for one, other in pairwise(each))
        row.tried = (
            "orders of a customer are handled in the order in which they were sent; others beside one that takes 6 s"
        )
        row.counts |= {"keys": len(first), "out of order": disorder}
        row.expect(len(first) == CUSTOMERS * len(TENANTS), f"{len(first)} keys were seen")
        row.expect(not disorder, f"{disorder} effects or events were out of order")

    def _atomic(self) -> tuple[dict[str, Any], list[list[str]]]:
        """C3: events, values and sessions agree, for those who read what is committed. Return the sessions and the answers."""
        row, wrong, told = self._report["C3"], list[str](), list[list[str]]()
        counts = {topic: Counter(each.correlation_id for each in self._topics.events(topic)) for topic in HANDLED_BY}
        totals = {each.correlation_id: _data(each)["total"] for each in self._topics.events("shipped")}
        for tenant, number in self._plan.all_orders:
            name = order_id(tenant, number)
            found = {topic: count[name] for topic, count in counts.items()}
            if set(found.values()) != {1}:
                wrong.append(f"{name} led to {found}")
            if totals.get(name) != total_of(number):
                wrong.append(f"{name} was counted as number {totals.get(name)}")
            told.append([name, str(totals.get(name))])
        sessions: dict[str, Any] = {}
        for event in self._topics.events("recalled"):
            sessions[f"{event.tenant}/{event.key}"] = _data(event)["numbers"]
        for tenant in TENANTS:
            for customer in range(CUSTOMERS):
                held = sessions.get(f"{tenant}/{customer_of(customer)}")
                if held != list(range(customer, self._plan.orders, CUSTOMERS)):
                    wrong.append(f"the session of {tenant}/{customer_of(customer)} holds {held}")
        row.tried = "each order led to one charge, one shipment, one place in its session, and one step of a total"
        row.counts |= {"orders": len(told), "sessions": len(sessions), "wrong": len(wrong)}
        row.findings += wrong
        return sessions, sorted(told)

    def _steps(self) -> None:
        """C4, C7: what is in a checkpoint is not done again, and a step waits for the one that has what led to it."""
        row, released = self._report["C4"], self._report["C7"]
        executions = self._outside.executions()
        again = sum(run in self._kept and life > self._kept[run] for life, run, _ in executions)
        times = Counter((run, step) for _, run, step in executions)
        relied_on = self._relied_on(executions)
        row.tried = (
            "each step is noted outside when it is executed, and compared with what was committed before each kill"
        )
        row.counts |= {
            "executed": len(times),
            "executed though in a checkpoint": again,
            "repeated with the same key": sum(times.values()) - len(times) - again,
        }
        row.expect(not again, f"{again} steps were executed though their checkpoint was complete")
        row.expect(not relied_on, f"{len(relied_on)} steps were executed again though the next one had begun")
        released.tried = (
            "what those see who read what is committed has its cause there; none is repeated that another followed"
        )
        charged = {each.correlation_id for each in self._topics.events("charged")}
        unfounded = {each.correlation_id for each in self._topics.events("shipped")} - charged
        released.counts |= {"events": len(charged), "events without their cause": len(unfounded)}
        released.counts["effects whose cause was not durable"] = len(relied_on)
        released.expect(not unfounded, f"{len(unfounded)} events were seen before their cause")
        released.expect(not relied_on, f"{len(relied_on)} effects left before what led to them was durable")

    def _relied_on(self, executions: list[tuple[int, str, str]]) -> set[str]:
        """Return the runs that had gone on from a step, and did it again.

        One that is frozen does what it was about to do when it wakes up, with the same key: nobody can take that back.
        """
        on, found = set[str](), set[str]()
        for _, run, step in (each for each in executions if not each[1].startswith(TAKEN_ID)):
            if step == SECOND:
                on.add(run)
            elif step == FIRST and run in on:
                found.add(run)
        return found

    def _isolation(self, sessions: dict[str, Any]) -> None:
        row = self._report["C10"]
        tenants = Counter(
            each.tenant for each in self._topics.events("shipped") if each.correlation_id.startswith("order-")
        )
        for tenant in TENANTS:
            row.counts[f"orders of {tenant}"] = tenants[tenant]
            row.expect(tenants[tenant] == self._plan.orders, f"{tenant} has {tenants[tenant]} orders")
        row.counts["sessions"] = len(sessions)
        row.expect(len(sessions) == CUSTOMERS * len(TENANTS), f"{len(sessions)} sessions were told")
        row.tried = "two tenants with the same keys: totals and sessions are their own"

    def _time(self) -> None:
        row = self._report["C11"]
        fired = Counter(_data(each)["number"] for each in self._topics.events("reminded"))
        row.tried = "timers that were set before the kills fire, each seen once"
        row.counts |= {"timers": self._plan.reminders, "fired": sum(fired.values())}
        row.expect(dict(fired) == dict.fromkeys(range(self._plan.reminders), 1), f"timers fired: {dict(fired)}")

    def _not_there(self) -> None:
        """What a job has not, and how the rows were tried that are not counted here."""
        report = self._report
        report[
            "C5"
        ].tried = (
            "the job is killed, and the same command goes on; it is frozen, another one begins, and the first wakes up"
        )
        report[
            "C6"
        ].tried = "events that no agent can handle, or that kill the process, among others; sent again once they can be handled"
        report["C8"].absent = "Kafka keeps the events: replay them into an app on another host"
        report["knowledge"].absent = "run it on another host, over the same topics"


def _data(event: Envelope) -> dict[str, Any]:
    return json.loads(event.data)
