"""People approve: several things at once, in any order, over kills; each is answered once, with what was asked for."""

import asyncio
from dataclasses import dataclass
from typing import Literal

import pytest
from pydantic import BaseModel

from penstock import App, Event, WorkflowContext, testing, tool
from penstock.core.agents.approvals import Approval
from penstock.errors import Invalid, Missing, Refused, RunFailed, StepFailed
from penstock.testing import WritePoint
from penstock.testing.apps import Disk
from penstock.testing.crashing import NotReached
from penstock.testing.fixtures import anyio_backend, disk

__all__ = ["anyio_backend", "disk"]

pytestmark = pytest.mark.usefixtures("any_pace")


class Claim(Event, key="who"):
    who: str
    parts: int = 1


class Refund(BaseModel):
    cents: int
    note: str = ""


@dataclass
class Place:
    street: str
    number: int


def asking(**options):
    app = App("desk")
    seen = []

    @app.workflow
    async def handle(claim: Claim, ctx: WorkflowContext) -> list:
        approval = await ctx.approval("Refund?", payload={"who": claim.who}, **options)
        seen.append(approval)
        return [approval.approved, approval.by, approval.reason]

    return app, seen


def notes(disk):
    return {key: kept for key, kept in disk.memory.values.items() if key[1] == ":steps" and kept}


async def test_what_waits_is_listed_with_what_is_asked_and_answered_over_a_restart(disk):
    app, seen = asking(to=Refund, timeout_s=1000)
    async with testing.app(app, disk=disk) as live:
        run = await live.start("handle", Claim(who="ada"))
        await asyncio.sleep(1)
        (asked,) = await live.approvals()
        assert (asked.run_id, asked.step, asked.title, asked.payload) == (run, "approval#0", "Refund?", {"who": "ada"})
        assert asked.schema is not None
        assert asked.schema["properties"]["cents"] == {"title": "Cents", "type": "integer"}
        assert asked.due_ms == asked.asked_ms + 1_000_000
        assert await live.approvals(tenant="other") == []
        assert await live.questions() == []
        assert (await live.runs("handle"))[0].status == "asking"
    async with testing.app(app, disk=disk) as live:
        await live.approve(asked.id, {"cents": 5}, by="bob", reason="fair")
        assert await live.result(run) == [True, "bob", "fair"]
        assert await live.approvals() == []
    assert seen == [Approval(True, Refund(cents=5), "bob", "fair")]
    assert notes(disk) == {}


async def test_langgraph_4796_approvals_in_subflows_of_a_map_are_answered_in_any_order_and_none_starts_anew(disk):
    app = App("desk")
    executed = []

    @app.workflow
    async def part(claim: Claim, ctx: WorkflowContext) -> str:
        await ctx.step("prepare", executed.append, claim.who)
        first = await ctx.approval(f"first of {claim.who}")
        second = await ctx.approval(f"second of {claim.who}", options=["small", "large"])
        await ctx.step("finish", executed.append, f"{claim.who} finished")
        return f"{claim.who} {first.by} {second.value}"

    class Whole(Event):
        parts: int

    @app.workflow
    async def handle(whole: Whole, ctx: WorkflowContext) -> list[str]:
        async def one(number):
            mine = await ctx.approval(f"branch {number}")
            return f"{mine.by} {await ctx.call('part', Claim(who=f'p{number}'))}"

        return await ctx.map(one, range(whole.parts))

    async with testing.app(app, disk=disk) as live:
        run = await live.start("handle", Whole(parts=3))
        await asyncio.sleep(1)
        assert len(await live.approvals()) == 3
        await by_title(live, "branch 2")
        await by_title(live, "branch 0")
    async with testing.app(app, disk=disk) as live:
        await asyncio.sleep(1)
        assert {each.title for each in await live.approvals()} == {"branch 1", "first of p2", "first of p0"}
        await by_title(live, "first of p2")
        await by_title(live, "second of p2", "large")
    async with testing.app(app, disk=disk) as live:
        await by_title(live, "branch 1")
        await by_title(live, "first of p1")
        await by_title(live, "first of p0")
        await by_title(live, "second of p0", "small")
        await by_title(live, "second of p1", "small")
        assert await live.result(run) == [
            "branch-0 p0 first-of-p0 small",
            "branch-1 p1 first-of-p1 small",
            "branch-2 p2 first-of-p2 large",
        ]
    assert sorted(executed) == sorted([f"p{n}" for n in range(3)] + [f"p{n} finished" for n in range(3)])


async def by_title(live, title, value=None):
    for _ in range(20):
        found = [each for each in await live.approvals() if each.title == title]
        if found:
            await live.approve(found[0].id, value, by=title.replace(" ", "-"))
            return
        await asyncio.sleep(1)
    raise AssertionError(f"{title!r} is not asked")


async def test_an_answer_that_was_not_asked_for_is_refused_with_all_findings_and_the_question_stays(disk):
    app, seen = asking(to=Refund)
    async with testing.app(app, disk=disk) as live:
        run = await live.start("handle", Claim(who="ada"))
        await asyncio.sleep(1)
        (asked,) = await live.approvals()
        with pytest.raises(Invalid) as caught:
            await live.approve(asked.id, {"cents": "many", "note": 7})
        assert {each.path for each in caught.value.findings} == {"value.cents", "value.note"}
        with pytest.raises(Invalid, match="a rejection has none"):
            await live.engine.services.questions.decide("default", *named(asked, "reject", {"cents": 1}))
        assert await live.dead_letters() == []
        assert len(await live.approvals()) == 1
        await live.reject(asked.id, by="bob", reason="no")
        assert await live.result(run) == [False, "bob", "no"]
    assert seen == [Approval(False, None, "bob", "no")]


def named(asked, outcome, value=None):
    from penstock.runtime.questions import Decision

    return asked.run_id, asked.step, Decision(outcome, value)


@pytest.mark.parametrize(
    ("options", "value", "returned"),
    [
        ({"options": ["s", "m"]}, "m", "m"),
        ({"options": [1, True]}, True, True),
        ({"to": int}, 3, 3),
        ({"to": Literal["a", "b"]}, "b", "b"),
        ({"to": Place}, {"street": "x", "number": 2}, Place("x", 2)),
        ({}, None, None),
    ],
)
async def test_a_value_comes_back_as_the_type_that_was_asked_for(options, value, returned, disk):
    app, seen = asking(**options)
    async with testing.app(app, disk=disk) as live:
        run = await live.start("handle", Claim(who="ada"))
        await asyncio.sleep(1)
        (asked,) = await live.approvals()
        with pytest.raises(Invalid):
            await live.approve(asked.id, ["nonsense"])
        await live.approve(asked.id, value)
        assert (await live.result(run))[0] is True
    assert seen[0].value == returned
    assert type(seen[0].value) is type(returned)


async def test_a_second_answer_is_refused_with_what_the_first_one_was_and_the_same_one_again_is_not(disk):
    app, _ = asking(options=["s", "m"])
    async with testing.app(app, disk=disk) as live:
        run = await live.start("handle", Claim(who="ada"))
        await asyncio.sleep(1)
        (asked,) = await live.approvals()
        answers = await asyncio.gather(
            *(live.approve(asked.id, "s", by=by, reason="fits") for by in ("bob", "cleo", "dan")),
            return_exceptions=True,
        )
        assert [type(each) for each in answers] == [type(None), Refused, Refused]
        for each in answers[1:]:
            assert 'approved with "s" by bob: fits' in str(each)
        await live.result(run)
    async with testing.app(app, disk=disk) as live:
        with pytest.raises(Refused, match=r'answered already .approved with "s" by bob: fits'):
            await live.reject(asked.id)
        assert await live.dead_letters() == []

    app, seen = asking()
    disk = Disk()
    async with testing.app(app, disk=disk) as live:
        run = await live.start("handle", Claim(who="ada"))
        await asyncio.sleep(1)
        (asked,) = await live.approvals()
        await live.approve(asked.id, by="bob", answer_id="a1")
        await live.approve(asked.id, by="bob", answer_id="a1")
        await live.result(run)
    assert len(seen) == 1


async def test_an_answer_while_the_code_is_not_there_is_checked_when_it_is(disk):
    app, _ = asking(to=Refund)
    async with testing.app(app, disk=disk) as live:
        run = await live.start("handle", Claim(who="ada"))
        await asyncio.sleep(1)
        (asked,) = await live.approvals()
    async with testing.app(App("penstock"), disk=disk) as live:
        await live.approve(asked.id, {"cents": "much"}, by="bob")
        with pytest.raises(Refused, match=r'approved with {"cents":"much"} by bob'):
            await live.approve(asked.id, {"cents": 1}, by="cleo")
    async with testing.app(app, disk=disk) as live:
        await asyncio.sleep(1)
        (again,) = await live.approvals()
        assert again.id == asked.id
        assert "value.cents" in again.reason
        await live.approve(asked.id, {"cents": 1}, by="cleo")
        assert await live.result(run) == [True, "cleo", ""]
    assert notes(disk) == {}


@pytest.mark.parametrize(
    ("on_timeout", "result"), [("raise", None), ("approve", [True, "", ""]), ("reject", [False, "", ""])]
)
async def test_what_nobody_answers_in_time_ends_as_it_says_over_a_restart(on_timeout, result, disk):
    app, seen = asking(timeout_s=60, on_timeout=on_timeout)
    async with testing.app(app, disk=disk) as live:
        run = await live.start("handle", Claim(who="ada"))
        await asyncio.sleep(40)
        (asked,) = await live.approvals()
    async with testing.app(app, disk=disk) as live:
        if result is None:
            with pytest.raises(RunFailed, match=r"the approval 'Refund\?' did not end within 60 s"):
                await live.result(run, within_s=21)
        else:
            assert await live.result(run, within_s=21) == result
            assert seen[0].timed_out
        with pytest.raises(Refused, match=r"timed out after 60 s|nobody answered within 60 s"):
            await live.approve(asked.id)
        assert await live.approvals() == []
    assert notes(disk) == {}


async def test_what_is_asked_in_a_branch_that_loses_or_a_run_that_is_cancelled_is_withdrawn(disk):
    app = App("desk")

    @app.workflow
    async def handle(claim: Claim, ctx: WorkflowContext) -> str:
        winner, _ = await ctx.first(ctx.approval("loses"), ctx.approval("wins"))
        other = await ctx.approval("after")
        return f"{winner} {other.by}"

    async with testing.app(app, disk=disk) as live:
        run = await live.start("handle", Claim(who="ada"))
        await asyncio.sleep(1)
        loses, _ = sorted(await live.approvals(), key=lambda each: each.title)
        await by_title(live, "wins")
        await asyncio.sleep(1)
        assert [each.title for each in await live.approvals()] == ["after"]
        with pytest.raises(Refused, match="withdrawn: its run waits for it no more"):
            await live.approve(loses.id)
    async with testing.app(app, disk=disk) as live:
        await asyncio.sleep(1)
        (after,) = await live.approvals()
        await live.cancel(run, "not any more")
        with pytest.raises(RunFailed, match="not any more"):
            await live.result(run)
        assert await live.approvals() == []
        with pytest.raises(Refused, match="withdrawn: its run is cancelled"):
            await live.approve(after.id)
        assert await live.dead_letters() == []
    assert notes(disk) == {}


async def test_approvals_and_unknown_outcomes_are_told_apart(disk):
    app = App("desk")

    @tool(unknown="ask")
    async def charge(cents: int) -> int:
        raise TimeoutError("no answer")

    @app.workflow
    async def handle(claim: Claim, ctx: WorkflowContext) -> list:
        async def charged():
            try:
                return await ctx.step("charge", charge, 7)
            except StepFailed as error:
                return str(error)

        approval, outcome = await ctx.gather(ctx.approval("Charge?"), charged())
        return [approval.approved, outcome]

    async with testing.app(app, disk=disk) as live:
        run = await live.start("handle", Claim(who="ada"))
        await asyncio.sleep(1)
        (asked,), (question,) = await live.approvals(), await live.questions()
        assert (asked.step, question.step) == ("gather#0[0]/approval#0", "gather#0[1]/charge#0")
        with pytest.raises(Refused, match="approve or reject it"):
            await live.engine.services.questions.decide("default", *named(asked, "done"))
        with pytest.raises(Refused, match="done, retry or fail"):
            await live.engine.services.questions.decide("default", *named(question, "approve"))
        await live.approve(asked.id)
        await live.decide(run, question.step, "done", 7)
        assert await live.result(run) == [True, 7]


async def test_what_is_no_approval_is_missing(disk):
    app, _ = asking()
    async with testing.app(app, disk=disk) as live:
        run = await live.start("handle", Claim(who="ada"))
        await asyncio.sleep(1)
        (asked,) = await live.approvals()
        for wrong in ("nonsense", f"{run}/approval#1", "other:handle/approval#0"):
            with pytest.raises(Missing):
                await live.approve(wrong)
        with pytest.raises(Missing):
            await live.approve(asked.id, tenant="other")
        assert len(await live.approvals()) == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"timeout_s": -1, "on_timeout": "perhaps"}, ["timeout_s: is -1", "raise, approve or reject"]),
        ({"on_timeout": "reject"}, ["give timeout_s"]),
        ({"on_timeout": "approve", "timeout_s": 1, "to": int}, ["there would be no value"]),
        ({"options": []}, ["options: are 0"]),
        ({"options": [1], "to": int, "tpye": 3}, ["give one of them", "tpye: is not an option"]),
    ],
)
async def test_what_cannot_be_asked_is_said_with_all_findings(options, told, disk):
    app, _ = asking(**options)
    async with testing.app(app, disk=disk) as live:
        with pytest.raises(RunFailed) as caught:
            await live.result(await live.start("handle", Claim(who="ada")))
    for each in told:
        assert each in str(caught.value)


async def test_a_kill_at_any_point_loses_no_question_and_no_answer():
    app, _ = asking(options=["s", "m"])

    async def answered(live, answers):
        asked = await live.engine.until(live.approvals)
        await live.approve(asked[0].id, "s", by="bob")
        answers.append("bob")

    died = 0
    for point in (WritePoint.BEFORE_COMMIT, WritePoint.AFTER_COMMIT, WritePoint.AFTER_HANDLING):
        for nth in range(1, 20):
            disk, answers = Disk(), []
            try:
                async with testing.app(app, disk=disk) as live, live.crash_at(point, nth):
                    run = await live.start("handle", Claim(who="ada"), id="c1")
                    await answered(live, answers)
                    await live.result(run)
            except NotReached:
                break
            died += 1
            async with testing.app(app, disk=disk) as live:
                run = await live.start("handle", Claim(who="ada"), id="c1")
                await asyncio.sleep(1)
                asked = await live.approvals()
                assert not (answers and asked)  # what was accepted counts
                for each in asked:
                    await live.approve(each.id, "m", by="cleo")
                result = await live.result(run)
                assert result[1] == "bob" or not answers
            assert notes(disk) == {}
    assert died >= 6


async def test_an_answer_in_the_instant_of_the_timeout_counts_or_is_refused(disk):
    app, _ = asking(timeout_s=10, on_timeout="reject")
    for late_s in (9.9, 10, 10.1):
        async with testing.app(app, disk=(fresh := Disk())) as live:
            run = await live.start("handle", Claim(who="ada"))
            await asyncio.sleep(late_s / 2)
            (asked,) = await live.approvals()
            await asyncio.sleep(late_s / 2)
            try:
                await live.approve(asked.id, by="bob")
                counts = True
            except Refused:
                counts = False
            assert (await live.result(run))[:2] == ([True, "bob"] if counts else [False, ""])
        assert notes(fresh) == {}
