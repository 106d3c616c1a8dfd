"""Tools in a running app: bounds of time, failures that are told apart, people who decide (C4)."""

import asyncio

import pytest

from penstock import NOT_DONE, App, Attempt, Context, Event, Reconcile, Retry, Skip, WorkflowContext, testing, tool
from penstock.errors import Missing, Refused, RunFailed, StepFailed, Unavailable
from penstock.testing import run_virtually

TWICE = Retry(attempts_max=2, delay_s=10, factor=1, delay_max_s=10)


class Buy(Event, key="who"):
    who: str = "ada"


class Bought(Event, key="who"):
    who: str
    cents: int


def shop(call, *args, timeout_s=300.0, **options):
    """Return an app whose agent `buy` makes one step of a tool."""
    app = App("shop")

    @app.agent(name="buy", retry=Retry(attempts_max=3), timeout_s=timeout_s)
    async def handle(event: Buy, ctx: Context) -> Bought:
        return Bought(who=event.who, cents=await ctx.step("charge", call, *args, **options))

    return app


async def bought(live, within_s=10_000):
    return (await live.ask(Buy(), Bought, id="b1", within_s=within_s)).cents


async def said_yes(live):
    """Be the person who is asked, once."""
    found = await live.engine.until(live.questions)
    await live.decide(found[0].run_id, found[0].step, "done", 5)


def test_c4_an_attempt_that_takes_too_long_is_ended_and_has_an_unknown_outcome():
    calls: list[int] = []

    @tool(timeout_s=5, retry=TWICE, unknown=Reconcile(lambda key: NOT_DONE))
    async def slow(attempt: Attempt = Attempt.alone) -> int:
        calls.append(attempt.number)
        if len(calls) == 1:
            await asyncio.sleep(6)
        return 7

    async def main():
        async with testing.app(shop(slow)) as live:
            assert await bought(live) == 7

    run_virtually(main())
    assert calls == [1, 2]


def test_c4_silence_ends_an_attempt_and_signs_of_life_do_not():
    seen: list[object] = []

    @tool(idle_s=5, retry=TWICE)
    async def copied(attempt: Attempt = Attempt.alone) -> int:
        seen.append(attempt.details)
        for row in range(10):
            await asyncio.sleep(4)
            attempt.beat(row)
        if attempt.number == 1:
            await asyncio.sleep(6)
        return 1

    async def main():
        async with testing.app(shop(copied)) as live:
            assert await bought(live) == 1

    run_virtually(main())
    assert seen == [None, 9]


def test_c9_all_attempts_together_have_a_bound():
    calls: list[float] = []

    @tool(total_s=25, retry=Retry(attempts_max=100, delay_s=10, factor=1, delay_max_s=10))
    async def never() -> int:
        calls.append(asyncio.get_running_loop().time())
        await asyncio.sleep(1 if len(calls) < 3 else 1000)
        raise OSError("no")

    async def main():
        async with testing.app(shop(never)) as live:
            with pytest.raises(RunFailed, match=r"StepFailed: step charge#0 failed"):
                await bought(live)

    run_virtually(main())
    assert calls[-1] - calls[0] < 25


def test_c6_a_step_that_used_up_its_attempts_is_not_tried_again_by_its_handler():
    """Budget-like counters count retries once (openai-agents #3353): two attempts, not two times three."""
    calls: list[int] = []

    @tool(retry=TWICE)
    def broken() -> int:
        calls.append(1)
        raise OSError("no")

    async def main():
        async with testing.app(shop(broken)) as live:
            with pytest.raises(RunFailed, match="step charge#0 failed: OSError: no"):
                await bought(live)
            assert [letter.attempts for letter in await live.dead_letters()] == [1]

    run_virtually(main())
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("error", "outcome"), [(Unavailable("bank", "charge"), -1), (ConnectionResetError(), -1), (OSError("full"), 5)]
)
def test_c4_what_may_have_happened_is_told_from_what_failed(error, outcome):
    calls: list[int] = []

    @tool(unknown=Skip(-1), retry=TWICE)
    async def charge() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise error
        return 5

    async def main():
        async with testing.app(shop(charge)) as live:
            assert await bought(live) == outcome

    run_virtually(main())


def test_a_tool_that_refuses_is_not_called_again():
    calls: list[int] = []

    @tool(retry=TWICE)
    def refuse() -> int:
        calls.append(1)
        raise Refused("never", "give up")

    async def main():
        async with testing.app(shop(refuse)) as live:
            with pytest.raises(RunFailed, match="Refused: never"):
                await bought(live)

    run_virtually(main())
    assert calls == [1]


@pytest.mark.parametrize("call", [tool(lambda cents: cents), lambda cents: cents])
def test_c6_a_call_that_cannot_be_made_so_fails_at_once(call):
    async def main():
        async with testing.app(shop(call, 1, 2, 3)) as live:
            with pytest.raises(RunFailed, match="cannot be called so"):
                await bought(live)
            assert [letter.attempts for letter in await live.dead_letters()] == [1]

    run_virtually(main())


def test_c6_a_type_error_within_the_function_may_pass_and_is_tried_again():
    calls: list[int] = []

    def charge() -> int:
        calls.append(1)
        return 5 if len(calls) > 1 else len(5)

    async def main():
        async with testing.app(shop(charge)) as live:
            assert await bought(live) == 5

    run_virtually(main())


def test_c4_a_workflow_meets_the_same_failure_again_after_a_kill():
    disk, calls, app = testing.Disk(), [], App("shop")

    @tool
    def broken() -> int:
        calls.append(1)
        raise OSError("no")

    @app.workflow
    async def buy(event: Buy, ctx: WorkflowContext) -> Bought:
        try:
            await ctx.step("charge", broken)
        except StepFailed as failed:
            await ctx.wait_for("go on")
            return Bought(who=failed.reason, cents=0)
        raise AssertionError(event)

    async def main():
        async with testing.app(app, disk=disk) as live, live.crash_at("after commit", 3):
            await live.send(Buy(), id="b1")
            await asyncio.sleep(1)
            await live.send(Buy(), id="b2")
            await asyncio.sleep(1)
        async with testing.app(app, disk=disk) as live:
            await live.signal("b1:buy", "go on")
            assert (await live.ask(Buy(), Bought, id="b1", within_s=5)).who == "OSError: no"

    run_virtually(main())
    assert len(calls) == 2  # one in each run, and none in the replays


def test_a_person_is_asked_while_the_handlers_time_stands_still_and_the_engine_is_quiet():
    @tool(unknown="ask", timeout_s=1)
    async def charge() -> int:
        await asyncio.sleep(2)
        return 5

    async def main():
        async with testing.app(shop(charge, timeout_s=60)) as live:
            asking = asyncio.ensure_future(bought(live))
            assert await live.engine.drained(50)
            await asyncio.sleep(10_000 - 100)
            (question,) = await live.questions()
            assert (question.call, question.agent) == ("charge()", "buy")
            assert question.reason.startswith("TimedOut")
            with pytest.raises(Missing):
                await live.decide(question.run_id, "charge#1", "done")
            with pytest.raises(Missing):
                await live.decide(question.run_id, question.step, "done", tenant="other")
            assert await live.questions(tenant="other") == []
            await live.decide(question.run_id, question.step, "done", "five")  # does not fit: asked again
            await asyncio.sleep(1)
            (again,) = await live.questions()
            assert "Expected `int`" in again.reason
            await live.decide(again.run_id, again.step, "done", 5)
            assert await asking == 5

    run_virtually(main())


def test_an_attempt_that_fails_beside_a_question_leaves_it_to_the_next():
    app, attempts = App("shop"), []

    @tool(unknown="ask", timeout_s=1)
    async def charge() -> int:
        await asyncio.sleep(2)
        return 5

    @app.agent
    async def buy(event: Buy, ctx: Context) -> Bought:
        attempts.append(ctx.attempt)

        async def beside() -> None:
            await asyncio.sleep(5)
            if ctx.attempt == 1:
                raise OSError("beside")

        cents, _ = await asyncio.gather(ctx.step("charge", charge), beside())
        return Bought(who=event.who, cents=cents)

    async def main():
        async with testing.app(app) as live:
            asking = asyncio.ensure_future(bought(live))
            await asyncio.sleep(1000)
            assert attempts == [1, 2]
            await said_yes(live)
            assert await asking == 5

    run_virtually(main())
