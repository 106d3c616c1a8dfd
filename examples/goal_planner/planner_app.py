"""A goal is planned as tasks that depend on each other, carried out in waves, judged, and put together.

`goal.asl.json` leads the agents of this file. Each takes a request, whose fields are checked before it is called.
"""

import json
import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from penstock import App, Context, Event, Passage, Retry
from penstock.errors import Unavailable

HERE = Path(__file__).parent
TASKS_MAX = 12
PASSAGES = 4
MEMORIES = 3

app = App("goal-planner", prompts=HERE / "prompts")
facts = app.knowledge("facts", documents=os.environ.get("PLANNER_FACTS", HERE / "facts"))
memories = app.knowledge("memories")

# The machine says how often an agent is asked: one that tried again by itself would multiply that.
once = Retry(attempts_max=1)


class Task(BaseModel):
    """A task as the model writes it; what does not fit is a finding, and the model hears of it."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")
    type: str = Field(min_length=1, max_length=40)
    description: str = Field(min_length=1, max_length=1000)
    depends_on: list[str] = []


class Quote(BaseModel):
    """A passage, or the result of another task."""

    id: str
    source: str
    text: str


class Goal(Event):
    """What somebody wants. `metadata` may name a `session_id`: what its goals came to is remembered there."""

    goal: str = Field(min_length=1, max_length=2000)
    metadata: dict[str, str] = {}


# Memory.


class Recall(Event):
    session_id: str
    goal: str


class Remember(Event):
    session_id: str
    goal_id: str
    goal: str
    answer: str


@app.agent(retry=once)
async def recall(request: Recall) -> list[str]:
    """Return what the session's earlier goals came to, those that are nearest to this one."""
    found = await memories.search(request.goal, limit=MEMORIES, filter={"session": request.session_id})
    return [each.text for each in found]


@app.agent(retry=once)
async def remember(request: Remember) -> str:
    """Keep what a goal came to, under an id that follows from it: kept twice, it is there once."""
    memories.put(Passage(request.goal_id, f"{request.goal}\n{request.answer}", {"session": request.session_id}))
    return request.goal_id


# Planning.


class MakePlan(Event):
    goal: str = Field(min_length=1, max_length=2000)
    memories: list[str] = []
    feedback: list[str] = []


class PlanMade(Event):
    """The plan, or what is wrong with it; `prompt` and `model` say whose words it is."""

    tasks: list[Task]
    findings: list[str]
    prompt: str
    model: str


@app.agent(retry=once, timeout_s=60)
async def planner(request: MakePlan, ctx: Context) -> PlanMade:
    feedback = "; ".join(request.feedback) or None
    reply = await ctx.model("planner").ask(
        prompt="tasks", goal=request.goal, memories=request.memories, feedback=feedback
    )
    tasks, findings = tasks_in(reply.text)
    return PlanMade(tasks=tasks, findings=findings, prompt=reply.prompt, model=reply.model)


def tasks_in(reply: str) -> tuple[list[Task], list[str]]:
    """Return the tasks in a planner's reply, or all that is wrong with it."""
    try:
        plain = json.loads(reply[reply.find("[") : reply.rfind("]") + 1])
        tasks = TypeAdapter(list[Task]).validate_python(plain)
    except ValidationError as error:
        return [], [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False)]
    except ValueError:
        return [], ["the reply is no JSON list of tasks"]
    findings = graph_findings(tasks)
    return ([] if findings else tasks), findings


def graph_findings(tasks: list[Task]) -> list[str]:
    """Return what keeps tasks from being done one after the other."""
    ids = [task.id for task in tasks]
    findings = [] if 1 <= len(tasks) <= TASKS_MAX else [f"there are {len(tasks)} tasks, and may be 1 to {TASKS_MAX}"]
    findings += [f"{each}: is the id of several tasks" for each in sorted(set(ids)) if ids.count(each) > 1]
    findings += [
        f"{task.id}: depends on {each!r}, which is no task"
        for task in tasks
        for each in task.depends_on
        if each not in ids
    ]
    done: set[str] = set()
    while ready := {task.id for task in tasks if task.id not in done and done.issuperset({*task.depends_on} & {*ids})}:
        done |= ready
    if circle := [each for each in ids if each not in done]:
        findings.append(f"{', '.join(circle)}: depend on each other in a circle")
    return findings


# Doing a task.


class Retrieve(Event):
    task_id: str
    question: str = Field(min_length=1)


class Execute(Event):
    """Nothing is executed without passages: this request cannot be made without them."""

    task_id: str
    task: str = Field(min_length=1)
    passages: list[Quote] = Field(min_length=1)
    feedback: str = ""


class Executed(Event):
    """What a task came to; `sources` are those of the passages that it names."""

    task_id: str
    answer: str
    sources: list[str]


class Evaluate(Event):
    task_id: str
    task: str
    passages: list[Quote] = Field(min_length=1)
    answer: str


class Judged(Event):
    task_id: str
    verdict: Literal["YES", "NO"]
    why: str


@app.agent(retry=once, timeout_s=30)
async def retriever(request: Retrieve) -> list[Quote]:
    try:
        found = await facts.search(request.question, limit=PASSAGES)
    except Unavailable:  # no vectors now: words will do
        found = await facts.search(request.question, limit=PASSAGES, mode="words")
    return [Quote(id=each.id, source=each.source, text=each.text) for each in found]


@app.agent(retry=once, timeout_s=120)
async def executor(request: Execute, ctx: Context) -> Executed:
    reply = await ctx.model("executor").ask(
        prompt="answer", question=request.task, passages=request.passages, feedback=request.feedback or None
    )
    named = [each.source for number, each in enumerate(request.passages, start=1) if f"[{number}]" in reply.text]
    return Executed(task_id=request.task_id, answer=reply.text, sources=list(dict.fromkeys(named)))


@app.agent(retry=once, timeout_s=60)
async def evaluator(request: Evaluate, ctx: Context) -> Judged:
    reply = await ctx.model("evaluator").ask(
        prompt="evaluate", question=request.task, answer=request.answer, passages=request.passages
    )
    verdict, _, why = reply.text.strip().partition("\n")
    is_good = verdict.strip().upper().startswith("YES")
    return Judged(task_id=request.task_id, verdict="YES" if is_good else "NO", why=why.strip() or "without a reason")


# The answer.


class Result(BaseModel):
    """What became of a task. `error` is a name, such as UnsupportedTask, and `cause` says what it means here."""

    id: str
    type: str
    description: str
    status: Literal["done", "doubtful", "failed", "skipped"]
    answer: str = ""
    sources: list[str] = []
    error: str = ""
    cause: str = ""


class Aggregate(Event):
    goal: str
    results: list[Result]


@app.agent(retry=once)
async def aggregator(request: Aggregate) -> str:
    """Put the results together. What was not done is said, by name."""
    used = {"done": "", "doubtful": " (not confirmed)"}
    answers = [each for each in request.results if each.status in used]
    last = [each for each in answers if each.type in ("compare", "summarize")]
    lines = [f"{each.description}{used[each.status]}: {each.answer}" for each in answers if each not in last]
    lines += [f"{each.description}{used[each.status]}: {each.answer}" for each in last]
    lines += [
        f"{each.description}: {each.status}, {each.error}: {each.cause}" for each in request.results if each.error
    ]
    return "\n".join(lines)


# The path of the definition is seen from this file. A goal begins a run, with its fields as the input.
app.workflow("goal", definition="goal.asl.json", accepts=Goal)
