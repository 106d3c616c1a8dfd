"""State machines as workflows of an app: declared by their definitions, led by the reducer, durable."""

import asyncio
import json
from typing import Any

import pytest

from penstock import App, Context, Event, TaskInput, WorkflowContext, testing
from penstock.core.agents.policy import Retry
from penstock.core.asl.definition import Machine, Pass, Succeed, Task
from penstock.errors import Invalid, Missing, RunCancelled, RunFailed

ONCE = Retry(attempts_max=1)


class Question(Event, key="session"):
    session: str
    text: str


class Answer(Event):
    text: str


class Order(Event):
    text: str


def support() -> App:
    app = App("support")

    @app.agent(retry=ONCE)
    async def answer(question: Question) -> Answer:
        if question.text == "?":
            raise LookupError("nothing is asked")
        return Answer(text=question.text.upper())

    @app.agent(retry=ONCE)
    async def double(given: TaskInput) -> object:
        return given.input * 2

    @app.agent(retry=ONCE)
    async def nobody(given: TaskInput) -> None:
        raise AssertionError(given)

    return app


def machine(**states: dict) -> dict:
    return {"StartAt": next(iter(states)), "States": states}


ASK = {"Type": "Task", "Resource": "agent:answer", "End": True}


async def outcome(app, name, input, disk=None):
    async with testing.app(app, disk=disk) as live:
        run = await live.start(name, app.agents[name].accepts[0](input=input))
        try:
            return await live.result(run, within_s=1e9)
        except RunFailed as error:
            return error


@pytest.mark.parametrize("ending", ["json", "yaml"])
async def test_a_definition_is_read_from_a_file_beside_the_app(tmp_path, ending):
    (tmp_path / f"qa.asl.{ending}").write_text(
        json.dumps(machine(Ask=ASK))
        if ending == "json"
        else "StartAt: Ask\nStates:\n  Ask:\n    Type: Task\n    Resource: agent:answer\n    End: true\n"
    )
    (tmp_path / "app.py").write_text(
        "def declare(app):\n    return app.workflow('qa', definition='qa.asl." + ending + "')\n"
    )
    scope = {"__file__": str(tmp_path / "app.py")}
    exec((tmp_path / "app.py").read_text(), scope)
    app = support()
    qa = scope["declare"](app)
    assert qa.definition.start_at == "Ask"
    assert await outcome(app, "qa", {"session": "1", "text": "hi"}) == {"text": "HI"}


async def test_a_machine_that_was_built_runs_agents_functions_and_waits():
    app = support()
    invoke = Task(
        resource="arn:aws:states:::lambda:invoke",
        parameters={"FunctionName": "double", "Payload.$": "$.n"},
        result_path="$.twice",
        output_path="$.twice.Payload",
        next="Again",
    )
    again = Task(resource="arn:aws:lambda:eu-west-1:1:function:double:live", next="Done")
    states = {"First": Pass(result={"n": 21}, next="Call"), "Call": invoke, "Again": again, "Done": Succeed()}
    app.workflow("twice", definition=Machine(start_at="First", states=states))
    assert await outcome(app, "twice", None) == 84


async def test_all_that_is_wrong_with_a_declaration_is_said_at_once():
    app = support()
    with pytest.raises(Invalid) as refused:
        app.workflow("qa", definition=machine(A={"Type": "Pass"}, B={"Type": "Nap", "End": True}), timeout=3, version=0)
    told = str(refused.value)
    assert "timeout: is not an option of a workflow" in told
    assert "version: is 0" in told
    assert "/States/A" in told
    assert "Nap" in told
    with pytest.raises(Missing, match=r"nowhere\.asl\.json"):
        app.workflow("qa", definition="nowhere.asl.json")
    with pytest.raises(Invalid, match="definition: is missing"):
        app.workflow("qa")
    with pytest.raises(Invalid, match="has no value yet"):
        app.workflow("qa", definition=machine(A={"Type": "Task", "Resource": "${Fn}", "End": True}))


async def test_what_a_machine_calls_must_be_there_when_the_app_starts():
    app = support()
    tasks = {
        "A": {"Type": "Task", "Resource": "agent:answr", "Next": "B"},
        "B": {"Type": "Task", "Resource": "arn:aws:states:::nowhere:doIt", "Parameters": {}, "Next": "C"},
        "C": {**ASK, "Resource": "${Ask}"},
    }
    app.workflow("qa", definition=machine(**tasks), substitutions={"Ask": "agent:answer"})
    with pytest.raises(Invalid) as refused:
        async with testing.app(app):
            pass
    told = [str(each) for each in refused.value.findings]
    assert len(told) == 2
    assert "qa: /States/A/Resource: the app has no agent 'answr'" in told[0]
    assert "nothing here does what arn:aws:states:::nowhere:doIt names" in told[1]


async def test_an_input_that_does_not_fit_the_agent_fails_the_task_with_all_findings():
    app = support()
    app.workflow("qa", definition=machine(Ask=ASK))
    error = await outcome(app, "qa", {"session": 1, "txt": "hi"})
    assert error.reason.startswith("Invalid: ")
    cause = json.loads(error.reason.removeprefix("Invalid: "))
    assert cause["errorType"] == "Invalid"
    assert all(field in cause["errorMessage"] for field in ("session", "text", "txt"))


async def test_the_failure_of_an_agent_has_the_name_of_its_exception_and_may_be_caught():
    app = support()
    caught = {"ErrorEquals": ["LookupError"], "ResultPath": "$.error", "Next": "Sorry"}
    app.workflow("qa", definition=machine(Ask={**ASK, "Catch": [caught]}, Sorry={"Type": "Succeed"}))
    output = await outcome(app, "qa", {"session": "1", "text": "?"})
    cause = json.loads(output["error"]["Cause"])
    assert output["error"]["Error"] == "LookupError"
    assert cause["errorMessage"] == "nothing is asked"
    assert cause["errorType"] == "LookupError"
    assert cause["stackTrace"][0].startswith("test_machines.py:")


async def test_other_events_may_begin_a_run_and_a_workflow_may_call_it():
    app = support()
    qa = app.workflow("qa", definition=machine(Ask=ASK), accepts=Question, timeout_s=60)

    @app.workflow
    async def twice(order: Order, ctx: WorkflowContext) -> list[Any]:
        first = Question(session="1", text=order.text)
        return [await ctx.call("qa", first), await ctx.call("qa", qa.input({"session": "1", "text": "b"}))]

    async with testing.app(app) as live:
        assert await live.call("twice", Order(text="a"), within_s=60) == [{"text": "A"}, {"text": "B"}]
        assert await live.call("qa", Question(session="1", text="c"), within_s=60) == {"text": "C"}


async def test_a_run_goes_on_with_the_definition_that_it_began_with(disk):
    def app_with(text: str) -> App:
        app = support()
        wait = {"Type": "Wait", "Seconds": 3600, "Next": "Say"}
        app.workflow("qa", definition=machine(Wait=wait, Say={"Type": "Pass", "Result": text, "End": True}))
        return app

    old, new = app_with("old"), app_with("new")
    async with testing.app(old, disk=disk) as live:
        run = await live.start("qa", old.agents["qa"].accepts[0](input=1))
    async with testing.app(new, disk=disk) as live:
        assert await live.result(run, within_s=1e5) == "old"
        later = await live.start("qa", new.agents["qa"].accepts[0](input=1))
        assert await live.result(later, within_s=1e5) == "new"


async def test_cancelling_a_run_cancels_the_agents_that_it_waits_for(disk):
    app = App("slow")
    ended = []

    @app.agent
    async def slow(given: TaskInput, ctx: Context) -> None:
        try:
            await ctx.read("wait", asyncio.sleep, 1000)
        finally:
            ended.append(given.input)

    branch = machine(S={"Type": "Task", "Resource": "agent:slow", "End": True})
    fan = {"Type": "Parallel", "Branches": [branch, {**branch, "StartAt": "T", "States": {"T": branch["States"]["S"]}}]}
    app.workflow("both", definition=machine(Fan={**fan, "End": True}))
    async with testing.app(app, disk=disk) as live:
        run = await live.start("both", app.agents["both"].accepts[0](input=7))
        await live.clock.sleep(1)
        await live.cancel(run, "enough")
        with pytest.raises(RunCancelled):
            await live.result(run, within_s=100)
        await live.settled()
        assert {each.status for each in await live.runs("slow")} == {"cancelled"}
    assert ended == [7, 7]
