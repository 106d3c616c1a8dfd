"""W1 to W3 on LangGraph with AsyncSqliteSaver, in one process: a graph of five nodes, a thread for each session.

- Settings: write-ahead log, synchronous=FULL, durability="sync": the next node begins when the one before is recorded.
- The messages are a part of the thread's state, and so in each of its checkpoints. The items of a fan-out are tasks of one
  superstep; each invokes a graph of two nodes.
"""

import asyncio
import operator
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Annotated, Any, TypedDict

import uvloop
import workload
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from sessions import checkpointed_bytes
from workload import w1, w23

PRELOADS_AT_ONCE = 32


def kept(messages: list[tuple[str, str]], more: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [*messages, *more][-w1.MESSAGES :]


class Turn(TypedDict, total=False):
    text: str
    vector: bytes
    passages: list[str]
    prompt: str
    reply: str
    messages: Annotated[list[tuple[str, str]], kept]


class Item(TypedDict, total=False):
    number: int


class FanOut(TypedDict, total=False):
    items: int
    found: Annotated[list[int], operator.add]


class Steps(TypedDict, total=False):
    left: int


def turns(saver: Any) -> Any:
    retrieval = workload.Retrieval()

    async def embed(state: Turn) -> Turn:
        return {"vector": w1.embedding(state["text"])}

    async def retrieve(state: Turn) -> Turn:
        return {"passages": await retrieval.nearest(state["vector"])}

    async def history(state: Turn) -> Turn:
        pairs = ((role, content) for role, content in state["messages"])
        return {"prompt": w1.prompt(pairs, state["passages"], state["text"])}

    async def reason(state: Turn) -> Turn:
        return {"reply": w1.reason(state["prompt"])}

    async def persist(state: Turn) -> Turn:
        return {"messages": [("user", state["text"]), ("assistant", state["reply"])]}

    graph = StateGraph(Turn)
    before = START
    for node in (embed, retrieve, history, reason, persist):
        graph.add_node(node.__name__, node)
        graph.add_edge(before, node.__name__)
        before = node.__name__
    graph.add_edge(before, END)
    return graph.compile(checkpointer=saver)


def fan_outs(saver: Any) -> Any:
    async def doubled(state: Item) -> Item:
        return {"number": w23.doubled(state["number"])}

    async def increased(state: Item) -> Item:
        return {"number": w23.increased(state["number"])}

    of_two = StateGraph(Item).add_node("doubled", doubled).add_node("increased", increased)
    child = of_two.add_edge(START, "doubled").add_edge("doubled", "increased").add_edge("increased", END).compile()

    async def one(state: Item, config: RunnableConfig) -> FanOut:
        return {"found": [(await child.ainvoke(state, config))["number"]]}

    graph = StateGraph(FanOut).add_node("one", one)
    graph.add_conditional_edges(START, lambda state: [Send("one", {"number": n}) for n in range(state["items"])])
    return graph.add_edge("one", END).compile(checkpointer=saver)


def loops(saver: Any) -> Any:
    async def nothing(state: Steps) -> Steps:
        return {"left": state["left"] - w23.nothing()}

    graph = StateGraph(Steps).add_node("nothing", nothing).add_edge(START, "nothing")
    graph.add_conditional_edges("nothing", lambda state: "nothing" if state["left"] else END)
    return graph.compile(checkpointer=saver)


class Peer:
    def __init__(self, folder: Path, saver: Any) -> None:
        self._folder = folder
        self._saver = saver
        self._threads = count()
        self._turns: Any = None
        self._fan_outs = fan_outs(saver)
        self._loops = loops(saver)

    async def preload(self) -> None:
        self._turns = turns(self._saver)
        limit = asyncio.Semaphore(PRELOADS_AT_ONCE)

        async def one(session: str) -> None:
            async with limit:
                messages = {"messages": w1.preloaded(session)}
                await self._turns.aupdate_state(_thread(session), messages, as_node="persist")

        await asyncio.gather(*(one(w1.session_of(number)) for number in range(w1.SESSIONS)))

    async def turn(self, number: int) -> str:
        thread = _thread(w1.session_of(number))
        return (await self._turns.ainvoke({"text": w1.text_of(number)}, thread, durability="sync"))["reply"]

    async def fan_out(self, items: int) -> int:
        thread = _thread(f"run-{next(self._threads)}") | {"max_concurrency": w23.FAN_OUT_AT_ONCE}
        return sum((await self._fan_outs.ainvoke({"items": items}, thread, durability="sync"))["found"])

    async def steps(self, count: int) -> int:
        thread = _thread(f"run-{next(self._threads)}") | {"recursion_limit": count + 10}
        return count - (await self._loops.ainvoke({"left": count}, thread, durability="sync"))["left"]

    def disk_bytes(self) -> int:
        return checkpointed_bytes(self._folder)


def _thread(name: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": name}}


@asynccontextmanager
async def saved(file: Path) -> AsyncGenerator[Any]:
    async with AsyncSqliteSaver.from_conn_string(str(file)) as saver:
        await saver.setup()
        await saver.conn.execute("PRAGMA synchronous = FULL")
        yield saver


async def main() -> None:
    given = workload.arguments("peers/langgraph/run.py")
    async with saved(given.folder / "checkpoints.db") as saver:
        packages = ("langgraph", "langgraph-checkpoint-sqlite", "numpy", "uvloop")
        await workload.measure(given, Peer(given.folder, saver), packages, durability="sync", database="sqlite, WAL, FULL")
    sys.stdout.flush()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
