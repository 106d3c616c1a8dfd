"""An app that asks people what became of a charge."""

from penstock import App, Context, Event, tool


class Buy(Event):
    cents: int


app = App("shop")


@tool(unknown="ask")
async def charge(cents: int) -> int:
    raise TimeoutError("no answer")


@app.agent
async def buy(event: Buy, ctx: Context) -> int:
    return await ctx.step("charge", charge, event.cents)
