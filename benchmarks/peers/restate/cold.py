"""W4 on Restate: its server, an endpoint, and the first call. Prints a line when its result is durable."""

import asyncio
import sys
from pathlib import Path

import server


async def main(file: str) -> None:
    async with server.started(Path(file).parent, "cold_service:app", ("cold/greet", "world")):
        print("hello world", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
