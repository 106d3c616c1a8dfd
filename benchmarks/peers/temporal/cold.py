"""W4 on Temporal: its development server, a worker, and the first result. Prints a line when that is durable."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import server
from temporalio import activity, workflow
from temporalio.worker import UnsandboxedWorkflowRunner, Worker


@activity.defn
async def greeting(name: str) -> str:
    return f"hello {name}"


@workflow.defn
class Greet:
    @workflow.run
    async def run(self, name: str) -> str:
        return await workflow.execute_local_activity(greeting, name, start_to_close_timeout=timedelta(seconds=10))


async def main(file: str) -> None:
    async with (
        server.started(Path(file).parent) as (client, _),
        Worker(
            client,
            task_queue="cold",
            workflows=[Greet],
            activities=[greeting],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ),
    ):
        print(await client.execute_workflow(Greet.run, "world", id="cold", task_queue="cold"), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
