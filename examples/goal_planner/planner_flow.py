"""The same goals, led by a Python function in place of the state machine: the same agents, waves and limits."""

from functools import partial
from typing import Any

from planner_app import (
    Aggregate,
    Evaluate,
    Execute,
    Goal,
    MakePlan,
    Quote,
    Recall,
    Remember,
    Result,
    Retrieve,
    Task,
    app,
)

from penstock import WorkflowContext
from penstock.errors import Refused, RunFailed

PLANS_MAX = 3
TRIES_MAX = 3
AT_ONCE_MAX = 5


class GoalInPython(Goal):
    """A goal for the function below: a `Goal` is the machine's."""


@app.workflow(timeout_s=900)
async def goal_flow(goal: GoalInPython, ctx: WorkflowContext) -> dict[str, Any]:
    session = goal.metadata.get("session_id", "default")
    try:
        memories = await ctx.call("recall", Recall(session_id=session, goal=goal.goal))
    except RunFailed:
        memories = []
    left = tasks = await planned(goal.goal, memories, ctx)
    done: dict[str, Result] = {}
    while left:
        wave = [task for task in left if done.keys() >= set(task.depends_on)]
        results = await ctx.map(partial(carried_out, ctx, goal.goal, done), wave, limit=AT_ONCE_MAX)
        done |= {result.id: result for result in results}
        left = [task for task in left if task.id not in done]
    results = [done[task.id] for task in tasks]
    answer = await ctx.call("aggregator", Aggregate(goal=goal.goal, results=results))
    await ctx.call("remember", Remember(session_id=session, goal_id=ctx.event.id, goal=goal.goal, answer=answer))
    return {"goal": goal.goal, "answer": answer, "tasks": [result.model_dump() for result in results]}


async def planned(goal: str, memories: list[str], ctx: WorkflowContext) -> list[Task]:
    """Ask for a plan until one is sound, each time with what was wrong with the last one."""
    findings: list[str] = []
    for _ in range(PLANS_MAX):
        plan = await ctx.call("planner", MakePlan(goal=goal, memories=memories, feedback=findings))
        if not plan.findings:
            return plan.tasks
        findings = plan.findings
    raise Refused(f"PlanInvalid: after {PLANS_MAX} plans: {'; '.join(findings)}", "say the goal in other words")


async def carried_out(ctx: WorkflowContext, goal: str, done: dict[str, Result], task: Task) -> Result:
    """Do one task; whatever becomes of it has a name, and the others go on."""
    needs = [done[each] for each in task.depends_on]
    about = {"id": task.id, "type": task.type, "description": task.description}
    lacking = [each.id for each in needs if each.status in ("failed", "skipped")]
    if task.type not in ("retrieve", "compare", "summarize"):
        cause = f"no agent does tasks of the type {task.type}"
        return Result(**about, status="failed", error="UnsupportedTask", cause=cause)
    if lacking:
        return Result(**about, status="skipped", error="NeedsFailed", cause=f"it needs {', '.join(lacking)}")
    try:
        passages = [Quote(id=each.id, source=each.id, text=each.answer) for each in needs]
        words = f"{task.description} ({goal})"
        if task.type == "retrieve":
            passages += await ctx.call("retriever", Retrieve(task_id=task.id, question=task.description))
            words = task.description
        if not passages:
            cause = "there are no passages to work on"
            return Result(**about, status="failed", error="NothingFound", cause=cause)
        return Result(**about, **await judged(task, words, passages, ctx))
    except RunFailed as error:
        return Result(**about, status="failed", error=type(error).__name__, cause=error.reason)


async def judged(task: Task, words: str, passages: list[Quote], ctx: WorkflowContext) -> dict[str, Any]:
    """Do a task until the evaluator is content, each time with what he said of the last try."""
    why, answer, sources = "", "", list[str]()
    for _ in range(TRIES_MAX):
        made = await ctx.call("executor", Execute(task_id=task.id, task=words, passages=passages, feedback=why))
        answer, sources = made.answer, made.sources
        said = await ctx.call("evaluator", Evaluate(task_id=task.id, task=words, passages=passages, answer=answer))
        if said.verdict == "YES":
            return {"status": "done", "answer": answer, "sources": sources}
        why = said.why
    return {"status": "doubtful", "answer": answer, "sources": sources, "error": "NotConfirmed", "cause": why}
