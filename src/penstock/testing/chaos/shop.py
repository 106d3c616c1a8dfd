"""The app that is killed: a shop whose every act is noted outside, where no crash of the engine can take it back.

- `charge` (two steps) and `ship` (one) are agents, one after the other, in order per customer; the total of a customer tells
  whether an order was handled twice or not at all.
- `travel` is a workflow: it acts, calls an agent, sleeps, and acts again.
"""

from penstock.app import App
from penstock.core.events.event import Event
from penstock.runtime.context import Context
from penstock.runtime.workflow_context import WorkflowContext
from penstock.testing.outside import Outside

CUSTOMERS = 4
SLEEP_S = 0.01


class Order(Event, key="customer"):
    """Something to be charged and shipped."""

    customer: str
    number: int


class Charged(Event, key="customer"):
    """It was charged, as the `total`-th of this customer."""

    customer: str
    number: int
    total: int


class Shipped(Event, key="customer"):
    """It was shipped."""

    customer: str
    number: int
    total: int


class Trip(Event):
    """Something that a workflow does."""

    number: int


class Priced(Event):
    """What the workflow was told."""

    number: int


class Pricing(Event):
    """What the workflow asks."""

    number: int


class Arrived(Event):
    """The workflow has ended."""

    number: int


def shop(outside: Outside) -> App:
    """Return the app, acting upon an outside."""
    app = App("shop")

    async def act(ctx: Context | WorkflowContext, step: str) -> None:
        run_id, _, number = ctx.idempotency_key(step).partition("/")
        await ctx.step(step, outside.executing, run_id, number)

    @app.agent
    async def charge(order: Order, ctx: Context) -> Charged:
        total = await ctx.values.get("total", 0) + 1
        await ctx.values.set("total", total)
        await act(ctx, "charge")
        await act(ctx, "thank")  # begins when the charge is durable: here it is known whether that one is repeated
        return Charged(customer=order.customer, number=order.number, total=total)

    @app.agent
    async def ship(charged: Charged, ctx: Context) -> Shipped:
        await act(ctx, "ship")
        await ctx.session.add("user", str(charged.number))
        return Shipped(customer=charged.customer, number=charged.number, total=charged.total)

    @app.agent
    async def price(pricing: Pricing) -> Priced:
        return Priced(number=pricing.number)

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> Arrived:
        await act(ctx, "book")
        priced = await ctx.call("price", Pricing(number=trip.number))
        await ctx.sleep(SLEEP_S)
        await act(ctx, "settle")
        return Arrived(number=priced.number)

    del charge, ship, price, travel
    return app


def order_id(number: int) -> str:
    """Return the id under which a client sends an order, each time."""
    return f"order-{number}"


def customer_of(number: int) -> str:
    """Return whose order it is."""
    return f"customer-{number % CUSTOMERS}"


def total_of(number: int) -> int:
    """Return the total that an order must be answered with: the orders of a customer are sent in their order."""
    return number // CUSTOMERS + 1
