"""Random machines of all that distributed Maps, both query languages, variables, Retry and Catch can do, against a world of chance."""

from hypothesis import given, settings
from hypothesis import strategies as st
from test_reducer import ERRORS, STEPS_MAX, World, chain

from penstock.core.asl.definition import from_document
from penstock.core.asl.findings import problems
from penstock.core.asl.happenings import Failed, ReadItems, Started, Stopped, Succeeded, WriteResults
from penstock.core.asl.program import compiled
from penstock.core.asl.reducer import advance
from penstock.core.asl.run import Run
from penstock.core.asl.validation import validate

GIVEN = {"n": 1, "items": [1, 2, 3], "most": 2}
BOUNDED = {
    "ErrorEquals": ["Broken", "States.Timeout"],
    "IntervalSeconds": 2,
    "BackoffRate": 3,
    "MaxDelaySeconds": 4,
    "MaxAttempts": 3,
    "JitterStrategy": "FULL",
}
CAUGHT = {"ErrorEquals": ["States.ALL"], "Next": "Caught"}
QUERY = {"QueryLanguage": "JSONata"}

simple = st.sampled_from(
    [
        {"Type": "Task", "Resource": "agent:a", "ResultPath": "$.a", "TimeoutSeconds": 9, "Retry": [BOUNDED]},
        {"Type": "Pass", "Assign": {"kept.$": "$.items", "n.$": "$.n"}},
        {"Type": "Pass", "ResultPath": None, "Parameters": {"x.$": "States.ArrayGetItem($.items, $.n)"}},
        {"Type": "Pass", **QUERY, "Output": "{% $merge([$states.input, {'sum': $sum($states.input.items)}]) %}"},
        {"Type": "Pass", **QUERY, "Assign": {"id": "{% $uuid() %}"}, "Output": "{% $states.input %}"},
        {"Type": "Pass", **QUERY, "Output": "{% $states.input.missing %}"},
        {"Type": "Task", "Resource": "agent:a", **QUERY, "Arguments": {"n": "{% $states.input.n %}"}, "Output": "{% $states.input %}"},
        {"Type": "Wait", "SecondsPath": "$.n"},
    ]
)  # fmt: skip


def distributed(scope, options, tolerated):
    reader, batched, writer = options
    state = {
        "Type": "Map",
        "ResultPath": "$.m",
        "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, **scope},
        "Retry": [{"ErrorEquals": ["States.ItemReaderFailed"], "MaxAttempts": 1}],
        **tolerated,
    }
    if reader:
        place = {"Bucket": "b", "Key.$": "$$.Execution.Name"}
        state["ItemReader"] = {"Resource": "arn:aws:states:::s3:getObject", "Parameters": place}
    else:
        state["ItemsPath"] = "$.items"
    if batched:
        state["ItemBatcher"] = {"MaxItemsPerBatch": 2, "BatchInput": {"n.$": "$.n", "items.$": "$.items"}}
    else:
        state["ItemSelector"] = {"n.$": "$$.Map.Item.Value", "items": [1]}
    if writer:
        state["ResultWriter"] = {
            "Resource": "arn:aws:states:::s3:putObject",
            "Parameters": {"Bucket": "b", "Prefix": "p"},
        }
    return state


def nested(inner):
    scopes = st.builds(
        chain, st.lists(inner, min_size=1, max_size=2), catch=st.booleans(), error=st.sampled_from(ERRORS)
    )
    tolerated = st.sampled_from(
        [{}, {"ToleratedFailureCount": 1}, {"ToleratedFailurePercentage": 50}, {"MaxConcurrencyPath": "$.most"}]
    )
    maps = st.builds(distributed, scopes, st.tuples(st.booleans(), st.booleans(), st.booleans()), tolerated)
    return maps | st.builds(
        lambda branches: {"Type": "Parallel", "Branches": branches, "ResultPath": "$.p", "Catch": [CAUGHT]},
        st.lists(scopes, min_size=1, max_size=2),
    )


def renamed(scope, prefix=""):
    """Give each state of a machine a name of its own: names are unique in the whole of it."""
    states, kept = {}, dict(scope["States"])
    if not any("Catch" in each for each in kept.values()):
        del kept["Caught"]  # nothing leads there
    for name, each in kept.items():
        state = {**each}
        if "Next" in state:
            state["Next"] = prefix + state["Next"]
        if "Catch" in state:
            state["Catch"] = [{**catcher, "Next": prefix + "Caught"} for catcher in state["Catch"]]
            if "QueryLanguage" in state:
                assign = {"caught": "{% $states.errorOutput %}"}
                state["Catch"] = [
                    {"ErrorEquals": each["ErrorEquals"], "Next": each["Next"], "Assign": assign}
                    for each in state["Catch"]
                ]
        if "Branches" in state:
            state["Branches"] = [
                renamed(branch, f"{prefix}{name}.{at}.") for at, branch in enumerate(state["Branches"])
            ]
        if "ItemProcessor" in state:
            state["ItemProcessor"] = {**state["ItemProcessor"], **renamed(state["ItemProcessor"], f"{prefix}{name}.")}
        states[prefix + name] = state
    return {"StartAt": prefix + scope["StartAt"], "States": states}


machines = st.builds(
    lambda states, catch, error: renamed(chain(states, catch=catch, error=error)),
    st.lists(st.recursive(simple, nested, max_leaves=4), min_size=1, max_size=3),
    st.booleans(),
    st.sampled_from(ERRORS),
)


class FileWorld(World):
    """Also answers readings and writings, by chance."""

    def answer(self, task):
        command = next(each for each in self.commands if hasattr(each, "payload") and each.id == task)
        if not isinstance(command, ReadItems | WriteResults):
            return super().answer(task)
        self.tasks.discard(task)
        if self.draw(st.integers(0, 3)) == 0:
            return Failed(at_ms=self.now_ms, id=task, error=None, cause="The store said no.")
        if isinstance(command, WriteResults):
            told = {each.status for each in command.children}
            assert told <= {"SUCCEEDED", "FAILED", "ABORTED", "PENDING"}, told
            return Succeeded(at_ms=self.now_ms, id=task, output={"MapRunArn": command.map_run})
        return Succeeded(at_ms=self.now_ms, id=task, output=self.draw(st.sampled_from([[], [1, 2, 3], [{"a": 1}], 5])))


def seen(run):
    return run.status, run.result, run.failure, run.history.events


@settings(max_examples=150, deadline=None)
@given(machines, st.data())
def test_random_machines_end_and_any_part_of_what_happened_can_be_gone_on_from(document, data):
    assert not problems(validate(document))
    program = compiled(from_document(document))
    world = FileWorld(Run(program), data.draw)
    world.say(Started(at_ms=1, input=GIVEN, name="r"))
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
    ids = [each.id for each in world.commands if hasattr(each, "payload")]
    assert len(ids) == len(set(ids)), "no two works have one number"

    cut = data.draw(st.integers(1, len(world.happenings)))
    again, commands = Run(program), []
    for each in world.happenings[:cut]:
        commands += advance(again, each)
    before = seen(again)
    for each in world.happenings[1:cut]:  # what came already comes once more, as after a crash
        if not isinstance(each, Stopped) and getattr(each, "id", 0) not in again.works:
            assert not advance(again, each)
    assert seen(again) == before
    for each in world.happenings[cut:]:
        commands += advance(again, each)
    assert commands == world.commands
    assert seen(again) == seen(world.run)
