"""Goals are carried out as a DAG, by the machine and by the Python function alike; whatever goes wrong has a name."""

import json
from copy import copy
from dataclasses import replace
from pathlib import Path

import planner_flow
import pytest
from planner_app import Execute, Executed, Judged, PlanMade, Quote, Remember, Task, graph_findings, tasks_in
from planner_flow import Goal, GoalInPython

from penstock import testing
from penstock.core.asl.validation import validate
from penstock.errors import Refused
from penstock.testing import ScriptedModel, WritePoint

HERE = Path(__file__).parent
COMPARED = "Compare how long Kafka and SQS keep messages, and email the result to Bob."
app = planner_flow.app


async def led_by_a_machine(live, goal, id="g-1", **metadata):
    return await live.call("goal", Goal(goal=goal, metadata=metadata), id=id, within_s=900)


async def led_by_python(live, goal, id="g-1", **metadata):
    return await live.call("goal_flow", GoalInPython(goal=goal, metadata=metadata), id=id, within_s=900)


BOTH = pytest.mark.parametrize("reached", [led_by_a_machine, led_by_python], ids=["machine", "python"])


def plan(*tasks):
    """Write a plan as (id, type, needs...), as a model does."""
    return json.dumps(
        [
            {"id": name, "type": kind, "description": f"what is {name}?", "depends_on": list(needs)}
            for name, kind, *needs in tasks
        ]
    )


def statuses(outcome):
    return {each["id"]: each["status"] for each in outcome["tasks"]}


class Worker:
    """Executor and retriever in one: notes who began when, and answers by the tasks' ids."""

    def __init__(self):
        self.begun, self.given = [], {}

    async def execute(self, request):
        self.begun.append(request.task_id)
        self.given[request.task_id] = sorted(each.source for each in request.passages)
        return Executed(task_id=request.task_id, answer=f"{request.task_id} is known", sources=[])


def with_handlers(**handlers):
    """Return the app with other handlers for some of its agents."""
    other = copy(app)
    other.agents = {
        name: replace(agent, handler=handlers[name], wants_context=False) if name in handlers else agent
        for name, agent in app.agents.items()
    }
    return other


async def content(request):
    return Judged(task_id=request.task_id, verdict="YES", why="fine")


@BOTH
async def test_a_goal_is_reached_offline_and_says_what_was_not_done(reached):
    async with testing.app(app) as live:
        outcome = await reached(live, COMPARED)
    assert statuses(outcome) == {"t1": "done", "t2": "done", "t3": "done", "t4": "failed"}
    assert outcome["tasks"][1]["sources"] == ["sqs.md"]
    assert outcome["tasks"][3]["error"] == "UnsupportedTask"
    assert "four days" in outcome["answer"]
    assert "UnsupportedTask: no agent does tasks of the type email" in outcome["answer"]


async def test_both_ways_come_to_the_same():
    outcomes = []
    for reached in (led_by_a_machine, led_by_python):
        async with testing.app(app) as live:
            outcomes.append(await reached(live, COMPARED))
    given = [
        [{name: value for name, value in each.items() if value} for each in outcome["tasks"]] for outcome in outcomes
    ]
    assert given[0] == given[1]
    assert outcomes[0]["answer"] == outcomes[1]["answer"]


@BOTH
async def test_needs_come_first_and_their_results_are_passed_on(reached):
    worker = Worker()
    wanted = plan(("d", "summarize", "b", "c"), ("a", "retrieve"), ("b", "compare", "a"), ("c", "compare", "a"))
    async with testing.app(
        with_handlers(executor=worker.execute, evaluator=content), models={"planner": ScriptedModel([wanted])}
    ) as live:
        outcome = await reached(live, "anything about Kafka")
    assert worker.begun[0] == "a"
    assert set(worker.begun[1:3]) == {"b", "c"}
    assert worker.begun[3:] == ["d"]
    assert (worker.given["b"], worker.given["d"]) == (["a"], ["b", "c"])
    assert [each["id"] for each in outcome["tasks"]] == ["d", "a", "b", "c"]


@BOTH
async def test_an_unsupported_task_and_those_that_need_it_are_named_and_the_others_go_on(reached):
    wanted = plan(("a", "teleport"), ("b", "retrieve", "a"), ("c", "retrieve"))
    models = {"planner": ScriptedModel([wanted])}
    async with testing.app(with_handlers(executor=Worker().execute, evaluator=content), models=models) as live:
        outcome = await reached(live, "anything about Kafka")
    assert statuses(outcome) == {"a": "failed", "b": "skipped", "c": "done"}
    assert [each.get("error", "") for each in outcome["tasks"]] == ["UnsupportedTask", "NeedsFailed", ""]


@BOTH
async def test_a_plan_that_is_wrong_is_made_again_with_all_that_is_wrong_with_it(reached):
    wrong = plan(("a", "retrieve", "b"), ("b", "compare", "a", "x"))
    model = ScriptedModel([wrong, "I would rather not.", plan(("a", "retrieve"))])
    async with testing.app(app, models={"planner": model}) as live:
        assert statuses(await reached(live, "How does Kafka keep messages?")) == {"a": "done"}
    told = [request.inputs["feedback"] for request in model.requests]
    assert told[0] is None
    assert "'x', which is no task" in told[1]
    assert "a, b: depend on each other in a circle" in told[1]
    assert told[2] == "the reply is no JSON list of tasks"


@BOTH
async def test_after_three_wrong_plans_it_fails_by_name(reached):
    models = {"planner": ScriptedModel(["no", "no", "no", "no"])}
    async with testing.app(app, models=models) as live:
        with pytest.raises(Exception, match=r"PlanInvalid.*after 3 plans"):
            await reached(live, "How does Kafka keep messages?")
    assert len(models["planner"].requests) == 3


@BOTH
@pytest.mark.parametrize(("verdicts", "status", "tries"), [(["NO", "YES"], "done", 2), (["NO"] * 9, "doubtful", 3)])
async def test_no_from_the_evaluator_is_another_try_with_the_reason(reached, verdicts, status, tries):
    executor = ScriptedModel([f"try {number} [1]" for number in range(9)])
    evaluator = ScriptedModel([f"{verdict}\nit is too short" for verdict in verdicts])
    models = {"planner": ScriptedModel([plan(("a", "retrieve"))]), "executor": executor, "evaluator": evaluator}
    async with testing.app(app, models=models) as live:
        outcome = await reached(live, "How does Kafka keep messages?")
    assert statuses(outcome) == {"a": status}
    assert [request.inputs["feedback"] for request in executor.requests] == [None, *["it is too short"] * (tries - 1)]
    assert ("NotConfirmed" in outcome["answer"]) == (status == "doubtful")


@BOTH
async def test_nothing_is_executed_without_passages(reached):
    async def finds_nothing(_request):
        return []

    worker = Worker()
    handlers = with_handlers(retriever=finds_nothing, executor=worker.execute)
    async with testing.app(
        handlers, models={"planner": ScriptedModel([plan(("a", "retrieve"), ("b", "summarize"))])}
    ) as live:
        outcome = await reached(live, "anything")
    assert [each["error"] for each in outcome["tasks"]] == ["NothingFound", "NothingFound"]
    assert worker.begun == []
    with pytest.raises(Exception, match="passages"):
        Execute.checked({"task_id": "a", "task": "x", "passages": []})


@BOTH
async def test_what_a_goal_came_to_is_remembered_in_its_session(reached):
    model = ScriptedModel([plan(("a", "retrieve"))] * 3)
    async with testing.app(app, models={"planner": model}) as live:
        for number, session in enumerate(["ada", "bob", "ada"]):
            await reached(live, "How long does SQS keep messages?", id=f"g-{number}", session_id=session)
            await live.knowledge("memories").indexed()
    remembered = [request.inputs["memories"] for request in model.requests]
    assert [len(each) for each in remembered] == [0, 0, 1]
    assert remembered[2][0].startswith("How long does SQS keep messages?\n")


@BOTH
async def test_a_retriever_that_breaks_fails_its_task_only(reached):
    async def breaks(request):
        if request.task_id == "a":
            raise Refused("out of order")
        return [Quote(id="x#1", source="x.md", text="SQS keeps messages for four days.")]

    models = {"planner": ScriptedModel([plan(("a", "retrieve"), ("b", "retrieve"))])}
    handlers = with_handlers(retriever=breaks, executor=Worker().execute, evaluator=content)
    async with testing.app(handlers, models=models) as live:
        outcome = await reached(live, "How long does SQS keep messages?")
    assert statuses(outcome) == {"a": "failed", "b": "done"}
    assert "out of order" in outcome["tasks"][0]["cause"]


DEATHS = [
    *((point, 1) for point in ("after append", "before commit", "during commit", "after commit", "after release")),
    *((WritePoint.AFTER_HANDLING, nth) for nth in (1, 4, 8, 12)),
]


@BOTH
@pytest.mark.parametrize(("point", "nth"), DEATHS)
async def test_a_goal_is_reached_once_wherever_the_process_dies(reached, disk, point, nth):
    async with testing.app(app) as live:
        wanted = await reached(live, COMPARED)
    async with testing.app(app, disk=disk) as live, live.crash_at(point, nth):
        await reached(live, COMPARED)
    async with testing.app(app, disk=disk) as live:
        assert await reached(live, COMPARED) == wanted
        await live.settled()
        assert [each.answer for each in await live.events(Remember)] == [wanted["answer"]]
        assert len(await live.events(PlanMade)) == 1


def test_all_that_is_wrong_with_a_plan_is_said_at_once():
    tasks, findings = tasks_in('[{"id": "a b", "type": "", "description": "x", "when": 1}, {"id": "c"}]')
    assert tasks == []
    assert {each.partition(":")[0] for each in findings} == {"0.id", "0.type", "0.when", "1.type", "1.description"}
    twice = [Task(id="a", type="retrieve", description="x")] * 13
    assert graph_findings(twice) == ["there are 13 tasks, and may be 1 to 12", "a: is the id of several tasks"]


def test_a_plan_may_stand_in_prose_and_fences():
    fenced = f"Here you are:\n```json\n{plan(('a', 'retrieve'))}\n```"
    assert [each.id for each in tasks_in(fenced)[0]] == ["a"]


def test_the_machine_has_no_findings_and_the_tutorials_has_one_with_the_fix():
    assert validate(json.loads((HERE / "goal.asl.json").read_text(encoding="utf-8"))) == []
    wrong = json.loads((HERE / "wrong" / "tutorial.asl.json").read_text(encoding="utf-8"))
    found = validate(wrong)
    assert {each.rule for each in found} == {"pass-result-static"}
    assert all(each.severity == "warning" and "Parameters" in each.hint for each in found)
