"""W4 on LlamaIndex workflows with the DBOS runtime: prints a line when the first result is durable."""

import asyncio
import os
import sys

from dbos import DBOS
from llama_agents.dbos import DBOSRuntime
from workflows import Workflow, step
from workflows.events import StartEvent, StopEvent


class Greet(Workflow):
    @step
    async def greet(self, asked: StartEvent) -> StopEvent:
        return StopEvent(result=f"hello {asked.name}")


async def main(file: str) -> None:
    DBOS(config={"name": "cold", "system_database_url": f"sqlite:///{file}", "log_level": "ERROR"})
    runtime = DBOSRuntime(polling_interval_sec=0.01)
    greet = Greet(timeout=30, runtime=runtime)
    await runtime.launch()
    print(await greet.run(name="world"), flush=True)


if __name__ == "__main__":
    asyncio.run(main(os.path.abspath(sys.argv[1])))
    os._exit(0)  # its threads would otherwise be waited for
