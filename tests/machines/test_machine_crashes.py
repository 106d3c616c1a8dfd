"""A state machine's run that dies at any write point goes on: the same history, and each effect once."""

import pytest

from penstock import App, Context, TaskFailed, TaskInput, testing
from penstock.core.agents.policy import Retry
from penstock.errors import RunFailed
from penstock.runtime.machine_tasks import TaskCall
from penstock.testing import WritePoint

DYING = [each for each in WritePoint if each not in (WritePoint.BEFORE_CLAIM, WritePoint.AFTER_CLAIM)]
PAY = {"Type": "Task", "Resource": "agent:pay"}
BACKOFF = [{"ErrorEquals": ["Pay.Busy"], "IntervalSeconds": 30, "BackoffRate": 2, "MaxAttempts": 5}]

ORDERS = {
    "StartAt": "Each",
    "States": {
        "Each": {
            "Type": "Map",
            "MaxConcurrency": 2,
            "ItemProcessor": {
                "StartAt": "Pay",
                "States": {
                    "Pay": {**PAY, "Retry": BACKOFF, "ResultPath": "$.paid", "Next": "Rest"},
                    "Rest": {"Type": "Wait", "SecondsPath": "$.rest", "End": True},
                },
            },
            "ResultPath": "$.paid",
            "Next": "Side by side",
        },
        "Side by side": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "Long", "States": {"Long": {"Type": "Task", "Resource": "agent:long", "End": True}}},
                {"StartAt": "Out", "States": {"Out": {**PAY, "Parameters": {"id": "no"}, "End": True}}},
            ],
            "Catch": [{"ErrorEquals": ["Pay.Refused"], "ResultPath": "$.refused", "Next": "Post"}],
            "End": True,
        },
        "Post": {
            "Type": "Task",
            "Resource": "arn:aws:states:::post:send",
            "Parameters": {"to.$": "$.to"},
            "ResultPath": "$.post",
            "TimeoutSeconds": 3600,
            "Next": "Done",
        },
        "Done": {"Type": "Succeed", "OutputPath": "$.post"},
    },
}
INPUT = [{"id": "a", "rest": 5}, {"id": "busy", "rest": 1}, {"id": "c", "rest": 90}]


class Shop:
    """What outlives the processes: how often each thing was done."""

    def __init__(self):
        self.paid = {}
        self.posted = {}
        self.cancelled = 0

    def app(self):
        app = App("shop")
        once = Retry(attempts_max=1)

        @app.agent(retry=once)
        async def pay(given: TaskInput, ctx: Context) -> object:
            order = given.input["id"]
            if order == "no":
                raise TaskFailed("Pay.Refused", "no money")
            count = await ctx.step("take", self.take, order)
            if order == "busy" and count < 3:
                raise TaskFailed("Pay.Busy", "later")
            return {"order": order}

        @app.agent(retry=once)
        async def long(given: TaskInput, ctx: Context) -> object:
            await ctx.read("sleep", testing.virtual_time.asyncio.sleep, 10_000)
            return given.input

        app.workflow("orders", definition={**ORDERS, "States": ORDERS["States"]})
        return app

    def take(self, order):
        self.paid[order] = self.paid.get(order, 0) + 1
        return self.paid[order]

    async def post(self, call: TaskCall):
        self.posted[call.idempotency_key] = self.posted.get(call.idempotency_key, 0) + 1
        return {"sent": call.arguments["to"]}


@pytest.fixture
def shop():
    return Shop()
