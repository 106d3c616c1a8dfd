"""The workloads as Restate services, served by granian: W1 is a virtual object keyed by session.

Its steps are async functions, since the SDK gives every other kind a thread hop; retrieval is batched as in penstock. The
items of a fan-out are calls of another handler, in waves.
"""

from functools import cache

import workload
from restate import Context, ObjectContext, RunOptions, Service, VirtualObject, gather
from restate import app as restate_app
from restate.serde import BytesSerde
from workload import w1, w23

_BYTES = RunOptions(serde=BytesSerde())
_JSON = RunOptions()
_retrieval = cache(workload.Retrieval)
agent = VirtualObject("agent")
runs = Service("runs")


@agent.handler()
async def preload(ctx: ObjectContext, session: str) -> int:
    _retrieval()
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


@runs.handler()
async def child(ctx: Context, number: int) -> int:
    doubled = await ctx.run_typed("doubled", _doubled, _JSON, number=number)
    return await ctx.run_typed("increased", _increased, _JSON, number=doubled)


@runs.handler()
async def fan_out(ctx: Context, items: int) -> int:
    found = 0
    for start in range(0, items, w23.FAN_OUT_AT_ONCE):
        wave = range(start, min(items, start + w23.FAN_OUT_AT_ONCE))
        calls = await gather(*(ctx.service_call(child, arg=number) for number in wave))
        found += sum([await call for call in calls])
    return found


@runs.handler()
async def steps(ctx: Context, count: int) -> int:
    for _ in range(count):
        await ctx.run_typed("nothing", _nothing, _JSON)
    return count


async def _embed(text: str) -> bytes:
    return w1.embedding(text)


async def _retrieve(vector: bytes) -> list[str]:
    return await _retrieval().nearest(vector)


async def _prompt(messages: list[list[str]], passages: list[str], text: str) -> str:
    return w1.prompt(((role, content) for role, content in messages), passages, text)


async def _reason(prompt: str) -> str:
    return w1.reason(prompt)


async def _doubled(number: int) -> int:
    return w23.doubled(number)


async def _increased(number: int) -> int:
    return w23.increased(number)


async def _nothing() -> int:
    return w23.nothing()


app = restate_app(services=[agent, runs])
