"""What the reducer promises of any machine: it is never stuck, and the same happenings give the same run.

What single states do is held by AWS's recordings: `test_recordings.py`.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.core.asl.definition import from_document
from penstock.core.asl.happenings import (
    CancelTask,
    CancelTimer,
    Failed,
    Heartbeat,
    ReadItems,
    ScheduleTask,
    Started,
    StartTimer,
    Stopped,
    Succeeded,
    TimerFired,
    WriteResults,
)
from penstock.core.asl.history import aws_shaped
from penstock.core.asl.program import compiled
from penstock.core.asl.reducer import advance
from penstock.core.asl.run import Run

STEPS_MAX = 300
ERRORS = ("States.ALL", "States.Timeout", "States.TaskFailed", "Broken")
RETRY = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 2, "JitterStrategy": "FULL"}

simple = st.sampled_from(
    [
        {"Type": "Pass", "Parameters": {"n.$": "$.n", "id.$": "States.UUID()"}},
        {"Type": "Pass", "Result": 1, "ResultPath": "$.x", "Assign": {"seen.$": "$"}},
        {"Type": "Wait", "Seconds": 3},
        {"Type": "Task", "Resource": "agent:a", "ResultPath": "$.a", "TimeoutSeconds": 5, "HeartbeatSeconds": 2},
        {"Type": "Task", "Resource": "agent:a", "ResultPath": "$.a", "Retry": [RETRY]},
        {"Type": "Pass", "InputPath": "$.missing"},
    ]
)


def chain(states, *, catch, error):
    """States in a row; whatever can catch goes to the end."""
    named = {f"S{at}": dict(each) for at, each in enumerate(states)}
    for at, each in enumerate(named.values()):
        if at + 1 < len(named):
            each["Next"] = f"S{at + 1}"
        else:
            each["End"] = True
        if catch and each["Type"] in {"Task", "Parallel", "Map"}:
            each["Catch"] = [{"ErrorEquals": [error], "Next": "Caught", "ResultPath": "$.error"}]
    named["Caught"] = {"Type": "Succeed"}
    return {"StartAt": "S0", "States": named}


def nested(inner):
    scopes = st.builds(
        chain, st.lists(inner, min_size=1, max_size=3), catch=st.booleans(), error=st.sampled_from(ERRORS)
    )
    parallel = st.builds(
        lambda branches: {"Type": "Parallel", "Branches": branches, "ResultPath": "$.p", "Retry": [RETRY]},
        st.lists(scopes, min_size=1, max_size=3),
    )
    mapped = st.builds(
        lambda scope, at_once, mode: {
            "Type": "Map",
            "ItemsPath": "$.items",
            "MaxConcurrency": at_once,
            "ResultPath": "$.m",
            "ItemSelector": {"n.$": "$$.Map.Item.Value", "items.$": "$.items"},
            "ItemProcessor": {"ProcessorConfig": {"Mode": mode}, **scope},
        },
        scopes,
        st.integers(0, 2),
        st.sampled_from(["INLINE", "DISTRIBUTED"]),
    )
    return parallel | mapped


states = st.recursive(simple, nested, max_leaves=6)
machines = st.builds(
    chain, st.lists(states, min_size=1, max_size=4), catch=st.booleans(), error=st.sampled_from(ERRORS)
)


class World:
    """Answers a run's commands by chance, in any order, some late and some twice."""

    def __init__(self, run, draw):
        self.run = run
        self.draw = draw
        self.now_ms = 1_000
        self.tasks = set()
        self.timers = {}
        self.happenings = []
        self.commands = []

    def say(self, happening):
        self.happenings.append(happening)
        for command in advance(self.run, happening):
            self.commands.append(command)
            match command:
                case ScheduleTask() | ReadItems() | WriteResults():
                    self.tasks.add(command.id)
                case StartTimer():
                    self.timers[command.id] = command.at_ms
                case CancelTimer():
                    del self.timers[command.id]
                case CancelTask():
                    self.tasks.remove(command.id)

    def choose(self):
        tasks, timers = sorted(self.tasks), sorted(self.timers, key=lambda each: (self.timers[each], each))
        if tasks and (not timers or self.draw(st.booleans())):
            return self.answer(self.draw(st.sampled_from(tasks)))
        self.now_ms = max(self.now_ms, self.timers[timers[0]])
        fired = TimerFired(at_ms=self.now_ms, id=timers[0])
        del self.timers[timers[0]]
        return fired

    def answer(self, task):
        kind = self.draw(st.sampled_from(["succeeded", "failed", "heartbeat", "twice"]))
        if kind == "heartbeat":
            return Heartbeat(at_ms=self.now_ms, id=task)
        self.tasks.discard(task)
        if kind == "failed":
            return Failed(at_ms=self.now_ms, id=task, error="Broken", cause="by chance")
        done = Succeeded(at_ms=self.now_ms, id=task, output={"done": task})
        if kind == "twice":
            self.say(done)
        return done


@settings(max_examples=150, deadline=None)
@given(machines, st.data())
def test_a_run_is_never_stuck_and_can_be_made_again_from_what_happened(document, data):
    program = compiled(from_document(document))
    world = World(Run(program), data.draw)
    world.say(Started(at_ms=1, input={"n": 1, "items": [1, 2, 3]}, name="r"))
    for _ in range(STEPS_MAX):
        if world.run.is_over:
            break
        assert world.tasks or world.timers, "it waits for nothing"
        world.say(world.choose())
    else:
        world.say(Stopped(at_ms=world.now_ms, error="Enough"))
    assert world.run.is_over
    assert not world.tasks, "whoever works is told that nobody waits for it"
    assert not world.timers

    again, commands = Run(program), []
    for each in world.happenings:
        commands += advance(again, each)
    assert commands == world.commands
    assert again.history.events == world.run.history.events
    assert (again.status, again.result, again.failure) == (world.run.status, world.run.result, world.run.failure)
    for number, event in enumerate(world.run.history.events, start=1):
        assert event.id == number
        assert event.previous_id < number
        assert aws_shaped(event)["type"] == event.type


def run_to(machine, *happenings):
    run = Run(compiled(from_document(machine)))
    commands = [each for happening in happenings for each in advance(run, happening)]
    return run, commands


def test_a_run_that_is_over_takes_what_still_comes_and_does_nothing():
    machine = {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}
    run, commands = run_to(machine, Started(at_ms=1, input=5, name="r"), Succeeded(at_ms=2, id=1), Stopped(at_ms=3))
    assert (run.status, run.result, commands) == ("SUCCEEDED", 5, [])


def test_a_machine_out_of_time_ends_and_cancels_what_it_waits_for():
    machine = {
        "TimeoutSeconds": 2,
        "StartAt": "A",
        "States": {"A": {"Type": "Task", "Resource": "agent:a", "End": True}},
    }
    run, commands = run_to(machine, Started(at_ms=0, input={}, name="r"))
    timer, task = commands
    assert timer.at_ms == 2_000
    assert advance(run, TimerFired(at_ms=2_000, id=timer.id)) == [CancelTask(id=task.id)]
    assert run.status == "TIMED_OUT"
    assert run.history.events[-1].type == "ExecutionTimedOut"


def test_an_endless_machine_ends_at_the_quota_of_events():
    machine = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "A"}}}
    run, _ = run_to(machine, Started(at_ms=0, input={}, name="r"))
    assert (run.status, run.failure.error) == ("FAILED", "States.Runtime")
    assert "25000" in run.failure.cause


def test_a_payload_above_the_quota_fails_the_state_that_leaves_it():
    machine = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Parameters": {"a.$": "$", "b.$": "$"}, "End": True}}}
    run, _ = run_to(machine, Started(at_ms=0, input="x" * 200_000, name="r"))
    assert (run.status, run.failure.error) == ("FAILED", "States.DataLimitExceeded")


def test_the_time_of_a_state_is_that_of_its_entry_also_when_its_task_has_taken_long():
    selector = {"entered.$": "$$.State.EnteredTime"}
    machine = {
        "StartAt": "A",
        "States": {"A": {"Type": "Task", "Resource": "agent:a", "ResultSelector": selector, "End": True}},
    }
    run, commands = run_to(machine, Started(at_ms=1_000, input={}, name="r"))
    advance(run, Succeeded(at_ms=60_000, id=commands[0].id, output={}))
    assert run.result == {"entered": "1970-01-01T00:00:01.000Z"}


def test_no_two_fields_of_a_state_draw_the_same_chance():
    drawn = {"id.$": "States.UUID()"}
    machine = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Parameters": drawn, "Assign": drawn, "Next": "B"},
            "B": {"Type": "Pass", "Parameters": {"first.$": "$.id", "second.$": "$id"}, "End": True},
        },
    }
    run, _ = run_to(machine, Started(at_ms=0, input={}, name="r"))
    assert run.result["first"] != run.result["second"]
