"""An app whose agents use all that a context has: on a host it must come to the same as in one process."""

import asyncio
import os
from pathlib import Path

from penstock import App, Attempt, Context, Event, Reconcile, Resources, Retry, Skip, tool
from penstock.errors import Refused

app = App("hosted")
handbook = app.knowledge("handbook")
desk = app.router(
    "desk",
    routes={"refund": ["give me my money back", "refund please"], "route": ["where is my parcel", "track my order"]},
)
QUICK = Retry(attempts_max=2, delay_s=0.001, delay_max_s=0.01)


class Asked(Event, key="customer"):
    customer: str
    text: str
    log: str = ""  # the file to which effects are written, outside of everything


class Priced(Event, key="customer"):
    customer: str
    price: int
    seen: int


class Noted(Event, key="customer"):
    customer: str
    note: str


class Poisoned(Event, key="customer"):
    customer: str
    how: str
    log: str = ""


class Slow(Event, key="customer"):
    customer: str
    wait_s: float
    log: str = ""


def wrote(log: str, line: str) -> None:
    """An effect that lasts whatever dies."""
    if log:
        with Path(log).open("a") as file:
            file.write(f"{line}\n")


def priced(text: str) -> int:
    return 7 * len(text)


def charged(log: str, amount: int) -> str:
    wrote(log, f"charged {amount}")
    return f"receipt {amount}"


@tool(unknown=Skip("skipped"))
def told_once(log: str, idempotency_key: str) -> str:
    wrote(log, f"told {idempotency_key}")
    return "told"


@tool(unknown=Reconcile(lambda key: f"{key} happened"), retry=Retry(attempts_max=3, delay_s=0.001, delay_max_s=0.01))
async def flaky(log: str, attempt: Attempt = Attempt.alone) -> int:
    attempt.beat({"seen": attempt.number})
    wrote(log, f"flaky {attempt.number}")
    if attempt.number < 2:
        raise ValueError("not yet")
    return attempt.number


@app.agent(retry=QUICK, resources=Resources(cpus=0.2, workers_max=2))
async def price(asked: Asked, ctx: Context) -> Priced:
    amount = await ctx.read("priced", priced, asked.text)
    key = ctx.idempotency_key("charge")
    receipt = await ctx.step("charge", charged, asked.log, amount)
    told = await ctx.step("tell", told_once, asked.log)
    tries = await ctx.step("flaky", flaky, asked.log)
    seen = await ctx.values.get("seen", 0) + 1
    await ctx.values.set("seen", seen)
    before = len(await ctx.session.history())
    await ctx.session.add("user", asked.text)
    await ctx.session.add("assistant", receipt)
    ctx.stream("notes").write("one ")
    ctx.stream("notes").write({"two": 2})
    found = await handbook.search(asked.text, limit=1)
    chosen = await desk.choose(asked.text)
    reply = await ctx.model().ask("What does it cost?", passages=found)
    note = (
        f"{before} {told} {tries} {[each.id for each in found]} {chosen.route} {bool(reply.text)} {key.split('/')[-1]}"
    )
    ctx.emit(Noted(customer=asked.customer, note=note))
    ctx.emit(Noted(customer=asked.customer, note="later"), after_s=0.01)
    return Priced(customer=asked.customer, price=amount, seen=seen)


@app.agent(retry=QUICK)
async def note(noted: Noted, ctx: Context) -> None:
    """Know that it was noted."""


@app.agent(retry=QUICK)
async def plain(priced: Priced) -> dict[str, int]:
    return {"double": 2 * priced.price}


@app.agent(retry=QUICK, timeout_s=60)
async def suffer(poisoned: Poisoned, ctx: Context) -> None:
    match poisoned.how:
        case "raises":
            raise ValueError("it is broken")
        case "refuses":
            raise Refused("never again", "stop it")
        case "step":
            await ctx.step("charge", charged, 1, 2, 3)  # too many arguments
        case "catches":
            try:
                await ctx.read("failing", failing)
            except KeyError as error:
                ctx.emit(Noted(customer=poisoned.customer, note=f"caught {error.args}"))
        case _:
            await ctx.values.set("", 1)


class Tardy(Event, key="customer"):
    customer: str


@app.agent(retry=QUICK, timeout_s=0.5)
async def linger(tardy: Tardy, ctx: Context) -> None:
    await asyncio.sleep(30)


def failing() -> None:
    raise KeyError("gone")


@app.agent(retry=QUICK, timeout_s=90, resources=Resources(cpus=0.2, workers_max=2, handlings_max=2, idle_s=0.5))
async def wait(slow: Slow, ctx: Context) -> int:
    await ctx.step("before", charged, slow.log, 1)
    await ctx.step("slow", slept, slow.log, slow.wait_s)
    await ctx.step("after", charged, slow.log, 3)
    return os.getpid()


async def slept(log: str, wait_s: float) -> int:
    wrote(log, f"sleeping {os.getpid()}")
    await asyncio.sleep(wait_s)
    wrote(log, "slept")
    return 1


class Many(Event, key="customer"):
    customer: str
    number: int


@app.agent(batch=16, retry=QUICK)
async def gather(many: list[Many], ctx: Context) -> list[Noted]:
    await ctx.read("count", len, many)
    return [Noted(customer=each.customer, note=f"gathered {each.number}") for each in many]
