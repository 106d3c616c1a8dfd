"""How an app is tested: in memory, without a network, three days in no time, and a process that dies."""

from collections import Counter
from pathlib import Path

import pytest
from refund_app import APPROVAL_S, Complaint, Settled, app, pay

from penstock import testing
from penstock.testing import Cassette, ScriptedModel, WritePoint

TAPE = Path(__file__).parent / "tape.jsonl"
SMALL = Complaint(customer="ada", order="A-1", text="The cup came broken.")
LARGE = Complaint(customer="bob", order="B-2", text="The chair came without legs.")


async def test_a_small_refund_is_paid_at_once():
    async with testing.app(app, models={"assessor": ScriptedModel(["Yes."])}) as live:
        settled = await live.ask(SMALL, Settled)
    assert (settled.amount, settled.reason) == (20, "refunded")


async def test_what_is_not_justified_is_not_paid():
    async with testing.app(app, models={"assessor": ScriptedModel(["No."])}) as live:
        assert (await live.ask(SMALL, Settled)).reason == "not justified"


@pytest.mark.parametrize(("approved", "reason"), [(True, "refunded"), (False, "not approved")])
async def test_a_large_refund_waits_for_a_person_over_a_restart(disk, approved, reason):
    async with testing.app(app, models={"assessor": ScriptedModel(["Yes."])}, disk=disk) as live:
        await live.send(LARGE, id="c-1")
        await live.settled()
    async with testing.app(app, disk=disk) as live:
        await live.signal("c-1:refund", "approval", approved)
        assert (await live.ask(LARGE, Settled, id="c-1")).reason == reason


async def test_nobody_answers_for_three_days():
    async with testing.app(app, models={"assessor": ScriptedModel(["Yes."])}) as live:
        before_s = live.clock.monotonic_s()
        assert (await live.ask(LARGE, Settled, within_s=2 * APPROVAL_S)).reason == "not approved"
        assert live.clock.monotonic_s() - before_s >= APPROVAL_S


@pytest.mark.parametrize("point", [WritePoint.BEFORE_EFFECT, WritePoint.AFTER_EFFECT, WritePoint.AFTER_COMMIT])
async def test_the_bank_is_never_told_to_pay_under_two_keys(disk, point):
    paid = Counter()

    async def bank(name, call, args, options):
        """Answer in place of the tools: count what is paid, by its key."""
        if call is pay:
            paid[options["key"]] += 1
        return await call(*args, **options)

    models = {"assessor": ScriptedModel(["Yes."] * 2)}
    async with testing.app(app, models=models, tools=bank, disk=disk) as live, live.crash_at(point):
        await live.ask(SMALL, Settled, id="c-1")
    async with testing.app(app, models=models, tools=bank, disk=disk) as live:
        assert (await live.ask(SMALL, Settled, id="c-1")).reason == "refunded"
    assert list(paid) == ["c-1:refund/pay#0"]


async def test_what_was_recorded_is_played():
    tape = Cassette(TAPE)  # PENSTOCK_CASSETTES=record makes it anew
    models = {"assessor": tape.model("assessor", ScriptedModel(["Yes, it is."]))}  # in place of a real one
    async with testing.app(app, models=models, tools=tape.tools) as live:
        assert (await live.ask(SMALL, Settled, id="c-1")).reason == "refunded"
    assert not tape.unplayed
