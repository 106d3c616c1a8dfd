"""An app for a job on Flink."""

from penstock import App, Context, Event, Retry


class Ordered(Event, key="customer", topic="ordered"):
    customer: str
    number: int = 0


class Counted(Event, key="customer", topic="counted"):
    customer: str
    number: int
    count: int
    heard: int


class Reminded(Event, key="customer", topic="reminded"):
    customer: str


app = App("shop")


def doubled(number: int) -> int:
    return 2 * number


@app.agent(retry=Retry(attempts_max=2, delay_s=0.01))
async def count(order: Ordered, ctx: Context) -> Counted:
    if order.number < 0:
        raise ValueError("no order has this number")
    number = await ctx.read("double", doubled, order.number)
    seen = await ctx.values.get("count", 0) + 1
    await ctx.values.set("count", seen)
    await ctx.session.add("user", f"order {order.number}")
    return Counted(customer=order.customer, number=number, count=seen, heard=len(await ctx.session.history()))
