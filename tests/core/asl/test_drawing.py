"""Pictures of machines: nothing is left out, nothing lies upon another, and any name can stand in them."""

import struct
import xml.etree.ElementTree as ET
from itertools import combinations

import pytest
from definition_corpus import cases, needs_definitions
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.asl.choice_rule import ChoiceRule
from penstock.core.asl.definition import (
    Branch,
    Catcher,
    Choice,
    Fail,
    Machine,
    Map,
    Parallel,
    Pass,
    Processor,
    Succeed,
    Task,
    Wait,
    from_document,
    to_document,
)
from penstock.core.asl.drawing.graph import Edge, Graph, Node, Visit, graph_of, rule_text
from penstock.core.asl.drawing.layout import laid_out
from penstock.core.asl.drawing.mermaid import mermaid_text
from penstock.core.asl.drawing.png import png_bytes
from penstock.core.asl.drawing.svg import svg_text
from penstock.core.asl.drawing.visits import history_of, visits_of
from penstock.core.asl.validation import parse
from penstock.testing.asl_world import carried_out

MACHINE = Machine(
    start_at="Ask",
    states={
        "Ask": Task(
            resource="agent:answer", catch=(Catcher(error_equals=("States.ALL",), next="Failed"),), next="Good?"
        ),
        "Good?": Choice(
            choices=(ChoiceRule(variable="$.score", numeric_greater_than=0.5, next="Done"),), default="Later"
        ),
        "Later": Wait(seconds=5, next="Ask"),
        "Done": Succeed(),
        "Failed": Fail(error="Gave up"),
    },
)
NESTED = Machine(
    start_at="Both",
    states={
        "Both": Parallel(
            branches=(
                Branch(start_at="L", states={"L": Pass(end=True)}),
                Branch(start_at="R", states={"R": Pass(end=True)}),
            ),
            next="Each",
        ),
        "Each": Map(item_processor=Processor(start_at="I", states={"I": Pass(end=True)}), end=True),
    },
)


def test_mermaid_has_every_state_and_every_way():
    assert mermaid_text(graph_of(MACHINE)) == (
        "flowchart TD\n"
        '  s0(("Start"))\n'
        '  s1["Ask<br/>agent:answer"]\n'
        '  s2{"Good?"}\n'
        '  s3>"Later<br/>wait 5 s"]\n'
        '  s4(["Done"])\n'
        '  s5(["Failed<br/>Gave up"])\n'
        '  s6(("End"))\n'
        "  s0 --> s1\n"
        "  s1 --> s2\n"
        '  s1 -.->|"States.ALL"| s5\n'
        '  s2 -->|"$.score #62; 0.5"| s4\n'
        '  s2 -->|"otherwise"| s3\n'
        "  s3 --> s1\n"
        "  s4 --> s6\n"
        "  s5 --> s6\n"
    )


def test_mermaid_puts_branches_into_their_state():
    lines = mermaid_text(graph_of(NESTED)).splitlines()
    assert [line.strip() for line in lines if "subgraph" in line] == [
        'subgraph s1["Both<br/>parallel"]',
        'subgraph s1b0[" "]',
        'subgraph s1b1[" "]',
        'subgraph s8["Each<br/>map"]',
    ]
    assert sum(line.strip() == "end" for line in lines) == 4


def test_a_run_is_marked_in_its_machine():
    visits = {"Ask": Visit("caught", "1.2 s, States.Timeout"), "Failed": Visit("failed")}
    text = mermaid_text(graph_of(MACHINE, visits))
    assert "1.2 s, States.Timeout" in text
    assert "  class s1 caught\n" in text
    assert "  class s5 failed\n" in text
    assert "#fbdcdc" in svg_text(laid_out(graph_of(MACHINE, visits)))


def visited(machine, input=None, **functions):
    case = {"definition": to_document(machine), "input": input or {}, "functions": functions}
    return visits_of(carried_out(case).history.events)


def test_a_run_is_marked_by_what_its_history_says():
    function = "arn:aws:lambda:r:1:function:f"
    raising = {"f": {"behaviour": "raise", "error": "Boom", "message": "no"}}
    caught = Task(resource=function, catch=(Catcher(error_equals=("States.ALL",), next="Later"),), next="Later")
    states = {"Call": caught, "Later": Wait(seconds=90, next="End"), "End": Fail(error="Gone")}
    visits = visited(Machine(start_at="Call", states=states), **raising)
    assert visits["Call"] == Visit("caught", "1 ms, Boom")
    assert visits["Later"] == Visit("succeeded", "1.5 min")
    assert visits["End"] == Visit("failed", "Gone")
    uncaught = visited(Machine(start_at="Call", states={"Call": Task(resource=function, end=True)}), **raising)
    assert uncaught["Call"] == Visit("failed", "Boom")


def test_states_inside_of_others_are_counted():
    each = Map(items_path="$.items", item_processor=Processor(start_at="I", states={"I": Pass(end=True)}), end=True)
    visits = visited(Machine(start_at="Each", states={"Each": each}), {"items": [1, 2, 3]})
    assert visits["I"] == Visit("succeeded", "3 times, 0 ms")
    assert visits["Each"].status == "succeeded"


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"Variable": "$.a", "StringEquals": "x"}, '$.a = "x"'),
        ({"Variable": "$.a", "NumericLessThanEqualsPath": "$.b"}, "$.a <= $.b"),
        ({"Variable": "$.a", "TimestampGreaterThan": "2024-01-01T00:00:00Z"}, "$.a > 2024-01-01T00:00:00Z"),
        ({"Variable": "$.a", "StringMatches": "x*"}, '$.a ~ "x*"'),
        ({"Variable": "$.a", "IsPresent": False}, "$.a is not present"),
        ({"Not": {"Variable": "$.a", "IsNull": True}}, "not $.a is null"),
        (
            {"And": [{"Variable": "$.a", "IsNull": True}, {"Variable": "$.b", "IsNull": True}]},
            "$.a is null and $.b is null",
        ),
        ({"Condition": "{% $x > 1 %}"}, "$x > 1"),
        ({"Condition": True}, "True"),
    ],
)
def test_a_rule_is_shown_as_one_reads_it(rule, text):
    assert rule_text(from_document(rule, ChoiceRule)) == text


def boxes_of(picture):
    for box in picture.boxes:
        yield box
        for inner in box.inside:
            yield from boxes_of(inner)


def scopes_of(picture):
    yield picture
    for box in picture.boxes:
        for inner in box.inside:
            yield from scopes_of(inner)


def check(picture, graph):
    assert {box.node.name for box in picture.boxes} == {node.name for node in graph.nodes}
    assert {line.edge for line in picture.lines} == set(graph.edges)
    for one, other in combinations(picture.boxes, 2):
        apart = (
            one.x + one.width <= other.x
            or other.x + other.width <= one.x
            or one.y + one.height <= other.y
            or other.y + other.height <= one.y
        )
        assert apart, (one.node.name, other.node.name)
    for box in picture.boxes:
        assert picture.x - 0.01 <= box.x
        assert box.x + box.width <= picture.x + picture.width + 0.01
        assert picture.y - 0.01 <= box.y
        assert box.y + box.height <= picture.y + picture.height + 0.01


@given(
    st.integers(1, 9).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=20))
    )
)
def test_no_box_lies_upon_another_whatever_leads_where(drawn):
    count, pairs = drawn
    nodes = tuple(Node(str(number), "Pass", (f"State {number}",) * (1 + number % 3)) for number in range(count))
    edges = tuple(dict.fromkeys(Edge(str(one), str(other)) for one, other in pairs))
    graph = Graph(nodes, edges)
    check(laid_out(graph), graph)


@needs_definitions
def test_every_machine_that_aws_publishes_is_drawn():
    machines = [parse(case["definition"]) for case in cases("asl_definitions/aws_examples")]
    assert len(machines) >= 48
    for machine in machines:
        graph = graph_of(machine)
        picture = laid_out(graph)
        for scope in scopes_of(picture):
            check(scope, Graph(tuple(box.node for box in scope.boxes), tuple(line.edge for line in scope.lines)))
        ET.fromstring(svg_text(picture))
        assert mermaid_text(graph).count("-->") >= len(machine.states)


def test_any_name_can_stand_in_a_picture():
    name = '<b>"&`#;\n]})|'
    machine = Machine(start_at=name, states={name: Pass(comment="x", end=True)})
    graph = graph_of(machine)
    [label] = [line for line in mermaid_text(graph).splitlines() if line.startswith("  s1[")]
    assert label.count('"') == 2
    assert "<b>" not in label
    assert ET.fromstring(svg_text(laid_out(graph), name)) is not None


def test_a_png_has_the_size_of_the_picture():
    picture = laid_out(graph_of(NESTED))
    data = png_bytes(picture)
    assert data.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", data[16:24])
    assert (width, height) == (round((picture.width + 32) * 2), round((picture.height + 32) * 2))


def test_a_map_whose_failure_was_caught_is_drawn_as_caught_from_what_aws_shows_of_it():
    shown = [
        {"id": 1, "type": "ExecutionStarted", "timestamp": 0},
        {"id": 2, "type": "MapStateEntered", "timestamp": 0, "stateEnteredEventDetails": {"name": "Each"}},
        {"id": 3, "type": "MapStateFailed", "timestamp": 1, "previousEventId": 2},
        {
            "id": 4,
            "type": "MapStateExited",
            "timestamp": 1,
            "previousEventId": 3,
            "stateExitedEventDetails": {"name": "Each"},
        },
    ]
    assert visits_of(history_of(shown))["Each"].status == "caught"
