"""An app whose agent says what it has seen of a key: what `make takeover` and the tests of several workers ask for."""

from penstock import App, Context, Event


class Order(Event, key="customer"):
    customer: str
    number: int


app = App("counting")


@app.agent
async def take(order: Order, ctx: Context) -> list[int]:
    seen = [*await ctx.values.get("seen", [], to=list[int]), order.number]
    await ctx.values.set("seen", seen)
    return seen
