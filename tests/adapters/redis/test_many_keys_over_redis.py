"""A thousand keys at once in one worker, over a real broker: slow handlers hold nothing up but their own keys."""

import asyncio
import secrets

import pytest

from penstock import App, Event

KEYS = 900
SLOW_S = 3.0  # longer than a worker may be silent
pytestmark = pytest.mark.timeout(300)  # the first time, a server is installed


class Job(Event, key="customer", topic="jobs"):
    customer: str
    number: int
    slow: bool = False


def worker(done, under_way, takes):
    app = App("keys")

    @app.agent(timeout_s=120)
    async def work(job: Job) -> None:
        under_way.add((job.customer, job.number))
        if job.slow:
            await takes()
        done.append((job.customer, job.number))

    return app


async def test_slow_keys_hold_up_neither_others_nor_the_worker_and_what_was_done_stays_done_after_a_death(
    redis, tmp_path
):
    log = f"{redis.address}?prefix={secrets.token_hex(6)}-&partitions=2"
    chosen = {"store": f"sqlite:{tmp_path}/keys.db", "log": log}
    done, under_way, reached, killed = [], set(), asyncio.Event(), []

    async def life():
        """Work until all quick ones are done beside the slow ones, and then die: nothing is finished, nothing written."""
        async with worker(done, under_way, asyncio.Event().wait).running(**chosen) as live:
            slow = [Job(customer=f"s{key}", number=0, slow=True) for key in range(KEYS)]
            await live.engine.send_many([*slow, *(Job(customer=each.customer, number=1) for each in slow)])
            await live.engine.until(lambda: len(under_way) >= KEYS)
            quick = [Job(customer=f"q{key}", number=number) for number in range(4) for key in range(50)]
            await live.engine.send_many(quick)
            await live.engine.until(lambda: len(done) == len(quick))
            assert {name[0] for name, _ in done} == {
                "q"
            }  # behind none of the slow ones, nor a second event of their keys
            await live.engine.services.committer.durable()
            reached.set()
            await asyncio.Event().wait()

    async with asyncio.timeout(100):
        task = asyncio.ensure_future(life())
        await asyncio.wait([task, asyncio.ensure_future(reached.wait())], return_when=asyncio.FIRST_COMPLETED)
        assert reached.is_set(), task.exception()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    killed += done
    done.clear()
    under_way.clear()

    async with (
        asyncio.timeout(100),
        worker(done, under_way, lambda: asyncio.sleep(SLOW_S)).running(**chosen) as live,
    ):
        await live.engine.until(lambda: len(done) >= 2 * KEYS)
        assert await live.engine.settled(20)
    assert not set(killed) & set(done)  # what was done beyond those that were not is known
    assert len(done) == len(set(done)) == 2 * KEYS
    for key in range(KEYS):
        assert done.index((f"s{key}", 0)) < done.index((f"s{key}", 1))
    for key in range(50):
        assert [number for name, number in killed if name == f"q{key}"] == [0, 1, 2, 3]
