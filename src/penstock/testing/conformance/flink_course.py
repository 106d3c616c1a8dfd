"""The course of a conformance test on Flink: a job is killed at work and comes back, and what it left in Kafka is counted."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from time import perf_counter

from penstock.flink.carrying import dead_letters_topic, sink_topics, source_topics
from penstock.settings import Settings
from penstock.testing.conformance.carrying_out import carried_out
from penstock.testing.conformance.depot import (
    CURE,
    CUSTOMERS,
    NAME,
    SLOW_S,
    TENANTS,
    Deadly,
    Echo,
    Order,
    Poison,
    Recall,
    Slow,
)
from penstock.testing.conformance.flink_counting import ALONE_ID, TAKEN_ID, FlinkCounting
from penstock.testing.conformance.flink_depot import LIFE, Later, file_of, flink_depot
from penstock.testing.conformance.flink_job import Job, Topics, open_topics
from penstock.testing.conformance.places import Places
from penstock.testing.conformance.plan import Plan, customer_of, order_id, order_of, reminder_id
from penstock.testing.conformance.report import Report
from penstock.testing.outside import Outside
from penstock.wrong_servers import said_of_broker

KILLS_MAX = 2  # of the whole job: each costs the start of a JVM
DIES_AFTER = 10  # executions of steps, counted from when a life is at work
FRESH = 12
TAKEN = 12  # orders before one job takes over from another, and after
REST_S = 60.0
KILLER, KILLER_S = "killer", 60.0
RESTARTS_MAX = 6
DEPTH = 60  # of the event that goes round: as if it had made most of its hops
LONG = "x" * 5000
DEAD = dead_letters_topic(NAME)
READ = ("charged", "shipped", "reminded", "recalled", "rested", "digested", DEAD)


def kills_of(plan: Plan) -> int:
    """Return how often the job is killed."""
    return min(plan.kills, KILLS_MAX)


def steps_on_flink(plan: Plan) -> int:
    """Return how many steps the course will tell of."""
    return kills_of(plan) + 7


async def conform_on_flink(
    given: Settings, plan: Plan, *, step: Callable[[str], None], within_s: float, keep: bool = False
) -> Report:
    """Try what can be tried of the guarantees with the app's agents as a job on Flink."""
    return await carried_out(
        given,
        lambda where, report: FlinkCourse(where, plan, report, step),
        ("log", "host"),
        within_s=within_s,
        keep=keep,
    )


class FlinkCourse:
    """One course, at places of its own."""

    def __init__(self, where: Places, plan: Plan, report: Report, step: Callable[[str], None]) -> None:
        self._folder = where.folder
        self._log = where.depot.log
        self._plan = plan
        self._report = report
        self._step = step
        self.doing = "nothing yet"

    def _do(self, what: str) -> None:
        self.doing = what
        self._step(what)

    async def run(self) -> None:
        """Go through all of it."""
        self._begin_life(1)
        declared = flink_depot(self._folder).declared
        made = {*source_topics(declared), *sink_topics(declared)}
        jobs = self._job(), self._job()
        async with AsyncExitStack() as stack:
            async with said_of_broker(self._log):
                topics = await stack.enter_async_context(open_topics(self._log, READ, made))
            counting = FlinkCounting(topics, self._plan, self._report, Outside(self._folder))
            try:
                await self._lives(*jobs, topics, counting)
            finally:
                for each in jobs:
                    await each.kill()

    def _job(self) -> Job:
        return Job(file_of(self._folder), self._log, self._folder)

    async def _lives(self, job: Job, newer: Job, topics: Topics, counting: FlinkCounting) -> None:
        last = kills_of(self._plan) + 1
        for life in range(1, last):
            self._do(f"life {life}: the job is killed at work")
            self._begin_life(life)
            await job.start()
            await self._work_until_killed(life, job, topics, counting)
        self._do("the job comes back, and all is sent again")
        self._begin_life(last)
        began = perf_counter()
        await job.start()
        await self._send_all(topics, self._plan.orders)
        self._report["C5"].counts["taken over after a kill, s"] = round(perf_counter() - began, 1)
        self._report["C1"].expect(await topics.until(counting.all_shipped, REST_S), "not all orders were shipped")
        self._do("the job is killed at work, and nothing is sent again")
        await self._left_alone(job, topics)
        self._do("the job is frozen at work, another one goes on, and the first wakes up")
        await self._frozen(job, newer, topics)
        await self._rest(newer, topics, counting)

    async def _rest(self, job: Job, topics: Topics, counting: FlinkCounting) -> None:
        self._do("workers of Python die with a handler")
        await self._dies(job, topics)
        self._do("slow, poisoned, endless and too large events")
        await self._slow(topics)
        await self._poison(topics)
        await self._bounds(topics)
        self._do("all comes to rest, and is counted")
        await self._recall(topics)
        await topics.until(counting.all_reminded, REST_S)
        self._report["C1"].expect(await job.stop() == 0, "the job did not stop as it should")
        counting.count()

    async def _left_alone(self, job: Job, topics: Topics) -> None:
        """Kill the job while orders are under way, and send nothing again: what a checkpoint has must go on by itself."""
        row, orders = self._report["C1"], [f"{ALONE_ID}{number}" for number in range(TAKEN)]
        await self._under_way(topics, orders)
        await job.kill()
        await job.start()
        shipped = await self._shipped(topics, orders)
        row.counts["went on by themselves"] = sum(shipped[each] == 1 for each in orders)
        row.expect(shipped == Counter(orders), f"orders were shipped so often after a kill: {dict(shipped)}")

    async def _frozen(self, job: Job, newer: Job, topics: Topics) -> None:
        """Freeze the job while orders are under way, start another one of its name, and let the first go on."""
        row, began = self._report["C5"], perf_counter()
        orders = [f"{TAKEN_ID}{number}" for number in range(2 * TAKEN)]
        await self._under_way(topics, orders[:TAKEN])
        job.freeze()
        await newer.start()
        row.counts["taken over from a frozen one, s"] = round(perf_counter() - began, 1)
        await self._shipped(topics, orders[:TAKEN])
        ended = await job.thaw(REST_S)
        row.counts["ended when it woke up"] = int(ended)
        row.expect(ended, "the job that was frozen did not end when it woke up")
        await self._send_each(topics, orders[TAKEN:])
        shipped = await self._shipped(topics, orders)
        row.counts["orders, each shipped once"] = sum(shipped[each] == 1 for each in orders)
        row.expect(shipped == Counter(orders), f"orders were shipped so often: {dict(shipped)}")

    async def _under_way(self, topics: Topics, orders: Sequence[str]) -> None:
        """Send orders, and return when the first output is seen: just after a checkpoint that has the others half done."""
        known = len(topics.events("charged"))
        await self._send_each(topics, orders)
        await topics.until(lambda: len(topics.events("charged")) > known, REST_S)

    async def _shipped(self, topics: Topics, orders: Sequence[str]) -> Counter[str]:
        """Wait until orders are shipped, and return how often each is."""

        def shipped() -> Counter[str]:
            return Counter(each.correlation_id for each in topics.events("shipped") if each.correlation_id in orders)

        await topics.until(lambda: len(shipped()) == len(orders), REST_S)
        return shipped()

    async def _send_each(self, topics: Topics, orders: Sequence[str]) -> None:
        for each in orders:
            await topics.send(Order(customer=each, number=0), each)

    def _begin_life(self, life: int) -> None:
        (self._folder / LIFE).write_text(str(life))

    async def _work_until_killed(self, life: int, job: Job, topics: Topics, counting: FlinkCounting) -> None:
        """Send orders, and kill the job while it is at them: the first time before anything of it may be durable."""
        outside, half = Outside(self._folder), self._plan.orders // 2
        await self._send_all(topics, half)
        if life == 1:
            await self._send_timers(topics)
        else:
            await topics.until(lambda: len(topics.events("shipped")) >= half, REST_S)
        before = len(outside.executions())
        if life > 1:
            await self._send_all(topics, self._plan.orders)
        await topics.until(lambda: len(outside.executions()) >= before + DIES_AFTER, REST_S)
        await job.kill()
        await topics.look()
        counting.killed(life)

    async def _send_all(self, topics: Topics, orders: int) -> None:
        """Send the orders of each customer in their order; those that were sent before are sent again, under the same ids."""

        async def send(tenant: str, customer: int) -> None:
            for number in range(customer, orders, CUSTOMERS):
                await topics.send(order_of(number), order_id(tenant, number), tenant=tenant)

        await asyncio.gather(*(send(tenant, customer) for tenant in TENANTS for customer in range(CUSTOMERS)))

    async def _send_timers(self, topics: Topics) -> None:
        for number in range(self._plan.reminders):
            await topics.send(Later(customer=customer_of(number), number=number), reminder_id(number))
        for customer in range(CUSTOMERS):
            await topics.send(Poison(customer=customer_of(customer)), f"poison-{customer}")

    async def _dies(self, job: Job, topics: Topics) -> None:
        """Have the process die that executes a handler, each time: the job is started again, until that one is given up."""
        row, began, restarts = self._report["C6"], perf_counter(), 0

        def is_given_up() -> bool:
            return any(each.key == KILLER for each in topics.events(DEAD))

        await topics.send(Deadly(customer=KILLER), "deadly-1")
        while await topics.until(lambda: is_given_up() or job.is_over, KILLER_S) and not is_given_up():
            row.expect(restarts < RESTARTS_MAX, "what kills each worker was not given up")
            if restarts == RESTARTS_MAX:
                break
            restarts += 1
            await job.kill()  # what is left of it
            await job.start()
        row.expect(is_given_up(), "what kills each worker has no dead letter")
        row.counts["started again"] = restarts
        row.counts["given up what kills each worker, after s"] = round(perf_counter() - began, 1)

    async def _slow(self, topics: Topics) -> None:
        row, began = self._report["C2"], perf_counter()
        await topics.send(Slow(customer="slow"), "slow-1")
        for each in range(FRESH):
            await topics.send(Order(customer=f"beside-{each}", number=0), f"beside-{each}")
        beside = {f"beside-{each}" for each in range(FRESH)}
        await topics.until(lambda: beside <= {each.correlation_id for each in topics.events("shipped")}, REST_S)
        took_s = perf_counter() - began
        row.expect(
            await topics.until(lambda: bool(topics.events("rested")), SLOW_S + REST_S), "a slow handler never ended"
        )
        ended_s = perf_counter() - began
        row.expect(took_s < ended_s, f"others waited for a slow handler: {took_s:.1f} s of {ended_s:.1f} s")
        row.counts["others beside a slow handler"] = FRESH

    async def _poison(self, topics: Topics) -> None:
        row = self._report["C6"]
        poisoned = [f"poison-{customer}" for customer in range(CUSTOMERS)]

        def letters() -> list[str]:
            return [each.id for each in topics.events(DEAD) if each.id in poisoned]

        await topics.until(lambda: len(letters()) >= CUSTOMERS, REST_S)
        row.expect(sorted(letters()) == poisoned, f"the dead letters are {sorted(letters())}")
        reasons = [dict(each.message.headers).get("penstock-reason", b"") for each in topics.messages(DEAD)]
        row.expect(sum(b"poison" in each for each in reasons) == CUSTOMERS, "a dead letter does not say why")
        (self._folder / CURE).touch()
        for customer in range(CUSTOMERS):
            await topics.send(Poison(customer=customer_of(customer)), f"poison-{customer}-again")
        await topics.until(lambda: len(topics.events("digested")) >= CUSTOMERS, REST_S)
        digested = len(topics.events("digested"))
        row.expect(digested == CUSTOMERS, f"{digested} of {CUSTOMERS} that were sent again were handled")
        row.counts |= {"dead letters": len(letters()), "sent again under new ids": CUSTOMERS, "handled": digested}

    async def _bounds(self, topics: Topics) -> None:
        row, known = self._report["C9"], len(topics.messages(DEAD))
        await topics.send(Echo(customer="endless"), "echo-1", depth=DEPTH)
        await topics.send(Order(customer=LONG, number=0), "large-1")
        await topics.until(lambda: len(topics.messages(DEAD)) >= known + 2, REST_S)
        letters = {each.key: each for each in topics.events(DEAD)[known:] if each.key in {"endless", LONG}}
        row.expect(letters.keys() == {"endless", LONG}, f"{len(letters)} dead letters of a loop and of too long a key")
        row.counts |= {
            "hops at the end": letters["endless"].depth if "endless" in letters else 0,
            "too large, refused": int(LONG in letters),
        }
        row.tried = (
            "an agent that calls itself for ever ends after its hops; what follows from a key over the limit is refused"
        )

    async def _recall(self, topics: Topics) -> None:
        for tenant in TENANTS:
            for customer in range(CUSTOMERS):
                name = customer_of(customer)
                await topics.send(Recall(customer=name), f"recall-{tenant}-{name}", tenant=tenant)
        await topics.until(lambda: len(topics.events("recalled")) >= len(TENANTS) * CUSTOMERS, REST_S)
