"""W1 as a Restate virtual object, keyed by session: its endpoint, served by granian.

Its steps are async functions, since the SDK gives every other kind a thread hop; retrieval is batched as in penstock.
"""

import workload
from restate import ObjectContext, RunOptions, VirtualObject
from restate import app as restate_app
from restate.serde import BytesSerde
from workload import w1

_BYTES = RunOptions(serde=BytesSerde())
_JSON = RunOptions()
_retrieval = workload.Retrieval()
agent = VirtualObject("agent")


@agent.handler()
async def preload(ctx: ObjectContext, session: str) -> int:
    ctx.set("messages", w1.preloaded(session))
    return w1.MESSAGES


@agent.handler()
async def turn(ctx: ObjectContext, text: str) -> str:
    vector = await ctx.run_typed("embed", _embed, _BYTES, text=text)
    passages = await ctx.run_typed("retrieve", _retrieve, _JSON, vector=vector)
    messages = await ctx.get("messages", type_hint=list) or []
    prompt = await ctx.run_typed("history", _prompt, _JSON, messages=messages, passages=passages, text=text)
    reply = await ctx.run_typed("reason", _reason, _JSON, prompt=prompt)
    ctx.set("messages", [*messages, ["user", text], ["assistant", reply]][-w1.MESSAGES :])
    return reply


async def _embed(text: str) -> bytes:
    return w1.embedding(text)


async def _retrieve(vector: bytes) -> list[str]:
    return await _retrieval.nearest(vector)


async def _prompt(messages: list[list[str]], passages: list[str], text: str) -> str:
    return w1.prompt(((role, content) for role, content in messages), passages, text)


async def _reason(prompt: str) -> str:
    return w1.reason(prompt)


app = restate_app(services=[agent])
