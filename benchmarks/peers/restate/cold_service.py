"""The endpoint of cold.py."""

from restate import Context, Service
from restate import app as restate_app

cold = Service("cold")


@cold.handler()
async def greet(ctx: Context, name: str) -> str:
    return await ctx.run_typed("greeting", greeting, name=name)


async def greeting(name: str) -> str:
    return f"hello {name}"


app = restate_app(services=[cold])
