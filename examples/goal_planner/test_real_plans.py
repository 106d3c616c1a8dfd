"""Plans that people wrote (StrategyQA) are carried out in the order of their needs."""

import json
import os
from pathlib import Path

import pytest
from planner_app import TASKS_MAX, tasks_in
from planner_flow import Goal
from test_planner import Worker, content, with_handlers

from penstock import testing
from penstock.testing import ScriptedModel

CORPUS = Path(__file__).parents[2] / os.environ.get("PENSTOCK_CORPUS", "../shared/corpus")
FILE = CORPUS / "agents" / "strategyqa_train_plans.jsonl"
TRIED = 10
pytestmark = pytest.mark.skipif(
    not FILE.is_file(), reason="NO CORPUS: set PENSTOCK_CORPUS to the folder of the corpora"
)


def plans():
    for line in FILE.read_text(encoding="utf-8").splitlines():
        known = json.loads(line)
        yield [
            {
                "id": f"s{each['id']}",
                "type": "compare" if each["needs"] else "retrieve",
                "description": each["text"] or "?",
                "depends_on": [f"s{need}" for need in each["needs"]],
            }
            for each in known["steps"]
        ]


def test_all_of_them_are_sound():
    found = {json.dumps(each): tasks_in(json.dumps(each))[1] for each in plans() if 1 <= len(each) <= TASKS_MAX}
    assert len(found) > 2000
    assert {plan: findings for plan, findings in found.items() if findings} == {}


async def test_each_task_begins_after_those_that_it_needs():
    chosen = sorted(plans(), key=lambda plan: -sum(len(each["depends_on"]) for each in plan))[:TRIED]
    for plan in chosen:
        worker = Worker()
        handlers = with_handlers(executor=worker.execute, evaluator=content)
        async with testing.app(handlers, models={"planner": ScriptedModel([json.dumps(plan)])}) as live:
            await live.call("goal", Goal(goal="anything about Kafka"), within_s=900)
        assert len(worker.begun) == len(plan)
        for each in plan:
            assert all(worker.begun.index(need) < worker.begun.index(each["id"]) for need in each["depends_on"])
            assert set(each["depends_on"]) <= set(worker.given[each["id"]])
