"""The process that the crash test kills: clients who send turns of W1, and say on stdout which were acknowledged.

Given on stdin: a JSON object of client number -> the number of the first turn that is not acknowledged. Each turn has an id of
its own, so that sending it again after a crash is sending the same event. A session holds so few turns that all its messages
are kept.
"""

import asyncio
import json
import sys
from pathlib import Path

from penstock.bench.turns import SPACE, Reply, Turn, passages_index, turns_app
from penstock.runtime.tasks import Tasks
from penstock.runtime.vector_batch import VectorBatch
from penstock.settings import Settings

CLIENTS = 32
TURNS_PER_SESSION = 8


def session_of(client: int, turn: int) -> str:
    return f"client-{client}-{turn // TURNS_PER_SESSION}"


def text_of(client: int, turn: int) -> str:
    return f"turn {turn} of client {client}"


async def main(store: Path, first: dict[int, int]) -> None:
    async with asyncio.TaskGroup() as group:
        batch = VectorBatch(await passages_index(), SPACE, Tasks(group))
        async with turns_app(batch.nearest).running(Settings(store=f"sqlite:{store}")) as running:

            async def client(number: int) -> None:
                turn = first.get(number, 0)
                while True:
                    asked = Turn(session_id=session_of(number, turn), text=text_of(number, turn))
                    await running.ask(asked, Reply, id=f"{number}-{turn}")
                    sys.stdout.write(f"{number} {turn}\n")
                    sys.stdout.flush()  # to a pipe: what was written is the parent's, whatever becomes of this process
                    turn += 1

            async with asyncio.TaskGroup() as clients:
                for number in range(CLIENTS):
                    clients.create_task(client(number))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), {int(key): turn for key, turn in json.load(sys.stdin).items()}))
