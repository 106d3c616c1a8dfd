"""Limits, rates, priorities and busy keys of a whole app, in virtual time."""

import asyncio
from itertools import pairwise

import pytest

from penstock import App, Concurrency, Event, Flow, Rate, Retry, testing
from penstock.errors import RunCancelled
from penstock.runtime.places import IN_FLIGHT_MAX, OWN_PLACES
from penstock.testing.fixtures import anyio_backend, disk

__all__ = ["anyio_backend", "disk"]
pytestmark = pytest.mark.anyio
FAN_OUT = 5_000


class Job(Event, key="customer"):
    customer: str
    number: int = 0
    urgency: int = 0


class Other(Event):
    number: int = 0


class Done(Event):
    number: int


class Works:
    """An app with one worker, whose handlings are noted."""

    def __init__(self, flow, *, takes_s=1.0, **options):
        self.begun = []  # (seconds, number)
        self.active = 0
        self.most = 0
        self.takes_s = takes_s
        self.app = App("works")
        self.app.agent(flow=flow, **options)(self.work)
        self.app.agent(self.other)

    async def work(self, job: Job) -> Done:
        self.begun.append((round(asyncio.get_running_loop().time(), 3), job.number))
        self.active += 1
        self.most = max(self.most, self.active)
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            self.active -= 1
        return Done(number=job.number)

    async def other(self, other: Other) -> int:
        return other.number

    @property
    def numbers(self):
        return [number for _, number in self.begun]


def jobs(count, **fields):
    return [Job(customer=f"c{number}", number=number, **fields) for number in range(count)]


async def test_dbos_1302_a_busy_agent_does_not_starve_the_others():
    """https://github.com/dbos-inc/dbos-transact-ts/issues/1302"""
    works = Works(None, takes_s=30.0)
    async with testing.app(works.app) as live:
        await live.engine.send_many(jobs(FAN_OUT))
        before_s = asyncio.get_running_loop().time()
        for number in range(OWN_PLACES * 3):
            assert await live.call("other", Other(number=number)) == number
        assert asyncio.get_running_loop().time() - before_s < 1
        assert works.active == IN_FLIGHT_MAX
        await live.settled()
    assert len(works.begun) == FAN_OUT
    assert works.most == IN_FLIGHT_MAX


async def test_dbos_1267_a_wide_fan_out_waits_without_polling():
    """https://github.com/dbos-inc/dbos-transact-ts/issues/1267: 5,000 who wait cost nothing until something happens."""
    works = Works(Flow(concurrency=10), takes_s=3600.0, timeout_s=7200)
    async with testing.app(works.app) as live:
        waiting = [asyncio.ensure_future(live.call("work", job, within_s=10_000_000)) for job in jobs(FAN_OUT)]
        await asyncio.sleep(1)
        assert works.active == 10
        loop = asyncio.get_running_loop()
        jumps, jump = [], loop.jump
        loop.jump = lambda seconds: (jumps.append(seconds), jump(seconds))
        await asyncio.sleep(3000)
        assert len(jumps) <= 50  # the rounds of the janitor, and nothing for each of those who wait
        assert await live.call("other", Other(number=1)) == 1
        assert len(await asyncio.gather(*waiting)) == FAN_OUT
    assert works.most == 10


async def test_a_place_that_becomes_free_goes_to_each_agent_in_turn():
    first, second = Works(None), []
    app = first.app

    @app.agent(name="second")
    async def take(other: Other) -> None:
        second.append(round(asyncio.get_running_loop().time(), 3))
        await asyncio.sleep(1)

    async with testing.app(app) as live:
        await live.engine.send_many(jobs(3 * IN_FLIGHT_MAX))
        await live.engine.send_many([Other() for _ in range(IN_FLIGHT_MAX)])
        await live.settled()
    begun = sorted({at for at, _ in first.begun})
    assert sum(at == second[0] for at in second) == OWN_PLACES
    halves = [sum(at == each for at in second) for each in sorted(set(second))][1]
    assert halves >= IN_FLIGHT_MAX // 2 - OWN_PLACES
    assert len(begun) <= 5


async def test_a_rate_is_kept_and_used():
    works = Works(Flow(rate=Rate(10, per_s=1, burst=5)), takes_s=0)
    async with testing.app(works.app) as live:
        before_s = asyncio.get_running_loop().time()
        await live.engine.send_many(jobs(100))
        await live.settled()
    times = [at - before_s for at, _ in works.begun]
    assert sum(at < 0.05 for at in times) == 5
    assert 9.4 < times[-1] < 9.6
    assert works.numbers == list(range(100))


async def test_a_rate_is_kept_over_kills(disk):
    works = Works(Flow(rate=Rate(5, per_s=60)), takes_s=0)
    for life in range(4):
        async with testing.app(works.app, disk=disk) as live:
            if life == 0:
                await live.engine.send_many(jobs(30))
            await asyncio.sleep(30)
    times = sorted(at for at, _ in works.begun)
    for first, at in enumerate(times):
        within = [later for later in times[first:] if later - at <= 60.0]
        assert len(within) <= 10
    assert 12 <= len(times) <= 15


async def test_attempts_count_as_beginnings():
    works = Works(Flow(rate=Rate(1, per_s=10)), takes_s=0, retry=Retry(attempts_max=4, delay_s=0.01, delay_max_s=0.01))
    work = works.work

    async def failing(job: Job) -> None:
        await work(job)
        raise RuntimeError("again")

    app = App("failing")
    app.agent(flow=Flow(rate=Rate(1, per_s=10)), retry=Retry(attempts_max=4, delay_s=0.01, delay_max_s=0.01))(failing)
    async with testing.app(app) as live:
        await live.send(Job(customer="a"))
        await live.settled()
    times = [at for at, _ in works.begun]
    assert [round(later - at) for at, later in pairwise(times)] == [10, 10, 10]


async def test_the_urgent_go_first_and_the_patient_are_not_forgotten():
    works = Works(Flow(concurrency=1, priority="urgency", aging_s=10), takes_s=1)
    async with testing.app(works.app) as live:
        await live.engine.send_many(
            [Job(customer=f"c{n}", number=n, urgency=urgency) for n, urgency in enumerate([0, 0, 5, 9, 1])]
        )
        for number in range(100, 250):  # urgent ones come as fast as they are handled
            await asyncio.sleep(1)
            await live.send(Job(customer=f"c{number}", number=number, urgency=9))
        await live.settled()
    assert works.numbers[:4] == [0, 3, 2, 100] or works.numbers[:3] == [0, 3, 100]
    patient = works.begun[works.numbers.index(1)][0] - works.begun[0][0]
    assert 85 <= patient <= 100  # 9 * aging_s, and what was before it


async def test_the_order_within_a_key_is_stronger_than_priority():
    works = Works(Flow(concurrency=1, priority="urgency"), takes_s=1)
    async with testing.app(works.app) as live:
        await live.engine.send_many([Job(customer="a", number=n, urgency=n) for n in range(5)])
        await live.settled()
    assert works.numbers == [0, 1, 2, 3, 4]


async def test_tenants_take_turns():
    works = Works(Flow(concurrency=1), takes_s=1)
    async with testing.app(works.app) as live:
        await live.engine.send_many(jobs(50), tenant="loud")
        await live.engine.send_many([Job(customer="q", number=100 + n) for n in range(3)], tenant="quiet")
        await live.settled()
    assert [n >= 100 for n in works.numbers[:8]].count(True) == 3


async def test_tenants_take_turns_for_the_places_of_an_agent_without_a_flow():
    works = Works(None, takes_s=1)
    async with testing.app(works.app) as live:
        await live.engine.send_many(jobs(3 * IN_FLIGHT_MAX), tenant="loud")
        await live.engine.send_many([Job(customer=f"q{n}", number=-1) for n in range(10)], tenant="quiet")
        await live.settled()
    assert works.numbers.index(-1) < IN_FLIGHT_MAX + 5


async def test_a_limit_of_each_tenant_leaves_the_others_alone():
    works = Works(Flow(concurrency=Concurrency(1, by="tenant")), takes_s=10)
    async with testing.app(works.app) as live:
        await live.engine.send_many(jobs(5), tenant="a")
        await asyncio.sleep(1)
        await live.engine.send_many([Job(customer="x", number=9)], tenant="b")
        await asyncio.sleep(1)
        assert works.numbers == [0, 9]
        await live.settled()


async def test_debounce_handles_the_last_of_each_burst():
    works = Works(Flow(debounce_s=5), takes_s=0)
    async with testing.app(works.app) as live:
        for number in range(4):
            await live.send(Job(customer="a", number=number), id=f"j{number}")
            await asyncio.sleep(3)
        await asyncio.sleep(10)
        await live.send(Job(customer="a", number=9), id="j9")
        await live.settled()
        runs = {run.run_id: (run.status, run.reason) for run in await live.runs("work")}
    assert works.numbers == [3, 9]
    assert works.begun[0][0] == pytest.approx(14, abs=0.1)
    assert runs["j0:work"] == ("cancelled", "superseded by j1:work, within debounce_s=5")


async def test_debounce_does_not_put_off_forever():
    works = Works(Flow(debounce_s=5, debounce_max_s=20), takes_s=0)
    async with testing.app(works.app) as live:
        for number in range(30):
            await live.send(Job(customer="a", number=number))
            await asyncio.sleep(2)
        await live.settled()
    assert len(works.begun) == 3
    assert works.numbers[-1] == 29


async def test_debounce_over_a_restart_waits_only_for_what_is_left(disk):
    works = Works(Flow(debounce_s=100), takes_s=0)
    async with testing.app(works.app, disk=disk) as live:
        await live.engine.send_many([Job(customer="a", number=n) for n in range(3)])
        await asyncio.sleep(60)
    async with testing.app(works.app, disk=disk) as live:
        before_s = asyncio.get_running_loop().time()
        await live.settled()
    assert works.numbers == [2]
    assert works.begun[0][0] - before_s < 45


async def test_an_interruption_ends_one_that_waits_for_another_attempt():
    app = App("failing")
    seen = []

    @app.agent(flow=Flow(when_busy="interrupt"), retry=Retry(attempts_max=9, delay_s=1000, delay_max_s=1000))
    async def work(job: Job) -> int:
        seen.append(job.number)
        if job.number == 0:
            raise RuntimeError("later")
        return job.number

    async with testing.app(app) as live:
        await live.send(Job(customer="a", number=0), id="j0")
        await asyncio.sleep(1)
        assert await live.call("work", Job(customer="a", number=1)) == 1
        await live.settled()
        (run,) = [each for each in await live.runs("work") if each.run_id == "j0:work"]
    assert seen == [0, 1]
    assert (run.status, run.attempt) == ("cancelled", 2)


async def test_an_interruption_ends_one_that_waits_for_a_limit():
    works = Works(Flow(when_busy="interrupt", concurrency=1), takes_s=10)
    async with testing.app(works.app) as live:
        await live.engine.send_many([Job(customer="a", number=0), Job(customer="b", number=1)])
        waiting = asyncio.ensure_future(live.call("work", Job(customer="c", number=2), within_s=100))
        await asyncio.sleep(1)
        await live.send(Job(customer="c", number=3))
        with pytest.raises(RunCancelled, match="interrupted by"):
            await waiting
        assert works.numbers == [0]
        await live.settled()
    assert works.numbers == [0, 1, 3]


async def test_a_handler_that_catches_its_interruption_has_succeeded():
    app = App("stubborn")

    @app.agent(flow=Flow(when_busy="interrupt"))
    async def work(job: Job) -> str:
        try:
            await asyncio.sleep(3600 if job.number == 0 else 0)
        except asyncio.CancelledError:
            return "what was there so far"
        return "all"

    async with testing.app(app) as live:
        first = asyncio.ensure_future(live.call("work", Job(customer="a", number=0)))
        await asyncio.sleep(1)
        assert await live.call("work", Job(customer="a", number=1)) == "all"
        assert await first == "what was there so far"
