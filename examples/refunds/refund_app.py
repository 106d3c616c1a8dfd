"""Refunds: a model assesses the complaint, a person approves what is much, and the money goes out once."""

from penstock import App, Context, Event, WorkflowContext
from penstock.errors import TimedOut

APPROVAL_FROM = 100.0
APPROVAL_S = 3 * 24 * 3600.0
PRICES = {"A-1": 20.0, "B-2": 250.0}


class Complaint(Event, key="customer"):
    customer: str
    order: str
    text: str


class Assess(Event, key="customer"):
    customer: str
    order: str
    text: str


class Assessment(Event):
    justified: bool
    amount: float


class Settled(Event, key="customer"):
    customer: str
    amount: float
    reason: str


# These two stand for services of yours: an order system that is asked, and a bank that acts.


async def price_of(order: str) -> float:
    return PRICES[order]


async def pay(customer: str, amount: float, *, key: str) -> str:
    return f"paid {amount:.2f} to {customer} under {key}"


app = App("refunds")


@app.agent
async def assess(complaint: Assess, ctx: Context) -> Assessment:
    price = await ctx.read("price", price_of, complaint.order)
    reply = await ctx.model("assessor").ask(f"Is this complaint justified? Answer yes or no.\n\n{complaint.text}")
    return Assessment(justified=reply.text.lower().startswith("yes"), amount=price)


@app.workflow
async def refund(complaint: Complaint, ctx: WorkflowContext) -> Settled:
    found = await ctx.call("assess", Assess(**complaint.model_dump()))
    if not found.justified:
        return Settled(customer=complaint.customer, amount=0, reason="not justified")
    if found.amount >= APPROVAL_FROM:
        try:
            approved = await ctx.wait_for("approval", bool, timeout_s=APPROVAL_S)
        except TimedOut:
            approved = False
        if not approved:
            return Settled(customer=complaint.customer, amount=0, reason="not approved")
    await ctx.step("pay", pay, complaint.customer, found.amount, key=ctx.idempotency_key("pay"))
    return Settled(customer=complaint.customer, amount=found.amount, reason="refunded")
