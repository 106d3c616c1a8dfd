"""W4 on LangGraph with AsyncSqliteSaver: prints a line when the first result is durable."""

import asyncio
import sys
from typing import TypedDict

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph


class Greeting(TypedDict, total=False):
    text: str


async def greet(state: Greeting) -> Greeting:
    return {"text": f"hello {state['text']}"}


async def main(file: str) -> None:
    async with AsyncSqliteSaver.from_conn_string(file) as saver:
        graph = StateGraph(Greeting).add_node("greet", greet).add_edge(START, "greet").add_edge("greet", END)
        thread = {"configurable": {"thread_id": "cold"}}
        found = await graph.compile(checkpointer=saver).ainvoke({"text": "world"}, thread, durability="sync")
        print(found["text"], flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
