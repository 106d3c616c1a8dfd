"""W4 on DBOS with SQLite: prints a line when the first result is durable."""

import asyncio
import os
import sys

from dbos import DBOS


@DBOS.step()
async def greeting(name: str) -> str:
    return f"hello {name}"


@DBOS.workflow()
async def greet(name: str) -> str:
    return await greeting(name)


async def main(file: str) -> None:
    DBOS(config={"name": "cold", "system_database_url": f"sqlite:///{file}", "log_level": "ERROR"})
    DBOS.launch()
    print(await greet("world"), flush=True)


if __name__ == "__main__":
    asyncio.run(main(os.path.abspath(sys.argv[1])))
    os._exit(0)  # its threads would otherwise be waited for
