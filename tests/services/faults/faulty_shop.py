"""An app of three agents, whose every act is a line in the file that FAULTS_NOTES names: what is run while servers fail.

`thank` comes a moment later, by a timer. What is poisonous fails each time (`bad`), or kills its process (`deadly`).
"""

import os
import signal
import time

from penstock import App, Context, Event, Retry

BAD, DEADLY = "bad", "deadly"
THANK_AFTER_S = 0.5


class Order(Event, key="customer", topic="order"):
    customer: str
    number: int


class Charged(Event, key="customer", topic="charged"):
    customer: str
    number: int
    total: int


class Thanked(Event, key="customer", topic="thanked"):
    customer: str
    number: int


app = App("faulty-shop")


def note(what: str, customer: str, number: int) -> None:
    notes = os.open(os.environ["FAULTS_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(notes, f"{time.monotonic()} {os.getpid()} {what} {customer} {number}\n".encode())
    os.close(notes)


@app.agent(retry=Retry(attempts_max=3, delay_s=0.1))
async def charge(order: Order, ctx: Context) -> Charged:
    if order.customer == BAD:
        raise ValueError("this order cannot be charged")
    if order.customer == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    total = await ctx.values.get("total", 0) + 1
    await ctx.values.set("total", total)
    return Charged(customer=order.customer, number=order.number, total=total)


@app.agent
async def ship(charged: Charged, ctx: Context) -> int:
    await ctx.step("ship", note, "ship", charged.customer, charged.number)
    ctx.emit(Thanked(customer=charged.customer, number=charged.number), after_s=THANK_AFTER_S)
    return charged.total


@app.agent
async def thank(thanked: Thanked, ctx: Context) -> None:
    await ctx.step("thank", note, "thank", thanked.customer, thanked.number)
