"""An app of two agents, whose every act is a line in the file that FAULTS_NOTES names: what is run while servers fail."""

import os
import time

from penstock import App, Context, Event


class Order(Event, key="customer", topic="order"):
    customer: str
    number: int


class Charged(Event, key="customer", topic="charged"):
    customer: str
    number: int
    total: int


app = App("faulty-shop")


def note(what: str, customer: str, number: int) -> None:
    notes = os.open(os.environ["FAULTS_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(notes, f"{time.monotonic()} {os.getpid()} {what} {customer} {number}\n".encode())
    os.close(notes)


@app.agent
async def charge(order: Order, ctx: Context) -> Charged:
    total = await ctx.values.get("total", 0) + 1
    await ctx.values.set("total", total)
    return Charged(customer=order.customer, number=order.number, total=total)


@app.agent
async def ship(charged: Charged, ctx: Context) -> int:
    await ctx.step("ship", note, "ship", charged.customer, charged.number)
    return charged.total
