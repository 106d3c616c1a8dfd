"""What waits for each agent, over HTTP."""

import asyncio

from desk import client_of

from penstock import App, Concurrency, Event, Flow, Rate


class Job(Event, key="customer"):
    customer: str


async def test_it_says_what_waits_and_why():
    app = App("works")
    release = asyncio.Event()
    begun = asyncio.Event()

    @app.agent(flow=Flow(concurrency=(Concurrency(5, by="tenant"), Concurrency(1)), rate=Rate(100)))
    async def work(job: Job) -> None:
        begun.set()
        await release.wait()

    async with app.running(store="memory:") as running, client_of(running) as client:
        await running.engine.send_many([Job(customer=f"c{number % 3}") for number in range(6)])
        await begun.wait()
        (queue,) = (await client.get("/v1/queues")).json()["queues"]
        release.set()
        assert await running.engine.settled(10)
        (empty,) = (await client.get("/v1/queues")).json()["queues"]
    assert queue.pop("oldest_ms") > 1_600_000_000_000
    limits = ["5 at once for each tenant", "1 at once", "100 in 1 s"]
    assert queue == {"agent": "work", "running": 1, "waiting": 2, "held": 3, "in_log": 0, "limits": limits}
    assert empty == {**queue, "running": 0, "waiting": 0, "held": 0, "oldest_ms": None}
