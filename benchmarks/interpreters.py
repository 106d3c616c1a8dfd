"""State machines in penstock's interpreter beside moto's (a copy of LocalStack's), in one run: docs/interpreters.md.

    python benchmarks/interpreters.py [--rounds 5] [--json] [--write]

Both read a definition, run it from its input to its end, and keep its history; their outputs must be equal. Counted are states that
were entered, per second of processor time of the process, which other work on the machine changes little. Rounds alternate.
"""

import argparse
import json
import logging
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from penstock.core.asl.happenings import Started
from penstock.core.asl.program import compiled
from penstock.core.asl.validation import parse
from penstock.testing.asl_functions import FunctionWorld
from penstock.testing.jumping_world import BEGIN_MS

PAGE = Path(__file__).parents[1] / "docs" / "interpreters.md"
WITHIN_S = 60.0
PAUSE_S = 0.002
Ran = tuple[Any, int]  # output, states entered
COUNT = {"n.$": "States.MathAdd($.n, 1)", "text.$": "States.Format('{} of {}', $.n, $.most)", "most.$": "$.most"}
LOOP = {
    "StartAt": "More?",
    "States": {
        "More?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.n", "NumericLessThanPath": "$.most", "Next": "Count"}],
            "Default": "Done",
        },
        "Count": {"Type": "Pass", "Parameters": COUNT, "Next": "More?"},
        "Done": {"Type": "Succeed"},
    },
}
CHAIN = {
    "StartAt": "S0",
    "States": {
        f"S{n}": {"Type": "Pass", "Result": {"at": n}, "ResultPath": f"$.s{n % 5}", "Next": f"S{n + 1}"}
        for n in range(60)
    }
    | {"S60": {"Type": "Pass", "OutputPath": "$.s4", "End": True}},
}
ITEM = {"v.$": "$$.Map.Item.Value", "i.$": "$$.Map.Item.Index"}
MAP = {
    "StartAt": "Each",
    "States": {
        "Each": {
            "Type": "Map",
            "ItemsPath": "$.items",
            "ItemSelector": ITEM,
            "MaxConcurrency": 1,
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "INLINE"},
                "StartAt": "Add",
                "States": {
                    "Add": {"Type": "Pass", "Parameters": {"sum.$": "States.MathAdd($.v, $.i)"}, "Next": "Take"},
                    "Take": {"Type": "Pass", "InputPath": "$.sum", "End": True},
                },
            },
            "End": True,
        }
    },
}
BRANCHES = [
    {"StartAt": f"P{n}", "States": {f"P{n}": {"Type": "Pass", "Next": f"Q{n}"}, f"Q{n}": {"Type": "Succeed"}}}
    for n in range(8)
]
PARALLEL = {
    "StartAt": "All",
    "States": {"All": {"Type": "Parallel", "Branches": BRANCHES, "ResultPath": "$.r", "End": True}},
}
MACHINES: dict[str, tuple[dict[str, Any], Any]] = {
    "a loop of 500 turns: Choice, Pass with two intrinsic functions": (LOOP, {"n": 0, "most": 500}),
    "a chain of 61 Pass states": (CHAIN, {}),
    "an inline Map over 100 items, two states each": (MAP, {"items": list(range(100))}),
    "a Parallel of 8 branches, two states each": (PARALLEL, {"k": 1}),
}


def penstock(document: dict[str, Any], given: Any) -> Ran:
    program = compiled(parse(json.dumps(document).encode()))
    run = FunctionWorld({}).run(program, Started(at_ms=BEGIN_MS, input=given, name="run"))
    entered = sum(each.type.endswith("StateEntered") for each in run.history.events)
    return run.result, entered


def moto_side() -> Callable[[dict[str, Any], Any], Ran]:
    """Return what runs a machine in moto, called through boto3 as its users do."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    import boto3
    from moto import mock_aws

    mock_aws(config={"stepfunctions": {"execute_state_machine": True}}).start()
    client = boto3.client("stepfunctions")
    names = iter(range(10**6))

    def run(document: dict[str, Any], given: Any) -> Ran:
        machine = client.create_state_machine(
            name=f"m{next(names)}", definition=json.dumps(document), roleArn="arn:aws:iam::111111111111:role/r"
        )
        started = client.start_execution(stateMachineArn=machine["stateMachineArn"], input=json.dumps(given))
        last = time.monotonic() + WITHIN_S
        while True:
            told = client.describe_execution(executionArn=started["executionArn"])
            if told["status"] != "RUNNING" or time.monotonic() > last:
                break
            time.sleep(PAUSE_S)
        return json.loads(told["output"]), -1

    return run


def rate(side: Callable[[dict[str, Any], Any], Ran], name: str, seconds: float, entered: int) -> tuple[float, Any]:
    """Return states a second of processor time, over about so many seconds, and the output."""
    document, given = MACHINES[name]
    begun, runs = time.process_time(), 0
    while True:
        output, _ = side(document, given)
        runs += 1
        took = time.process_time() - begun
        if took >= seconds:
            return runs * entered / took, output


def measured(rounds: int, seconds: float) -> list[dict[str, Any]]:
    moto = moto_side()
    rows: list[dict[str, Any]] = []
    for name, (document, given) in MACHINES.items():
        expected, entered = penstock(document, given)
        moto(document, given)  # warm: imports, parser tables
        ours, theirs, equal = [], [], True
        for _ in range(rounds):
            figure, output = rate(penstock, name, seconds, entered)
            ours.append(figure)
            figure, other = rate(moto, name, seconds, entered)
            theirs.append(figure)
            equal = equal and output == other == expected
        one, two = statistics.median(ours), statistics.median(theirs)
        rows.append({"machine": name, "penstock": one, "moto": two, "ratio": one / two, "outputs_equal": equal})
        print(f"{name}: {one:,.0f} beside {two:,.0f} states/s, {one / two:,.0f} times", file=sys.stderr)
    return rows


def page(rows: list[dict[str, Any]], rounds: int) -> str:
    lines = [
        f"| {each['machine']} | {each['penstock']:,.0f} | {each['moto']:,.0f} | {each['ratio']:,.0f} | "
        f"{'yes' if each['outputs_equal'] else 'NO'} |"
        for each in rows
    ]
    return "\n".join(
        [
            "# Two interpreters of the States Language",
            "",
            "Made by `python benchmarks/interpreters.py --write`. Beside penstock's stands moto's, a copy of LocalStack's: the only other one",
            "that Python has. Counted are states that were entered, per second of processor time of the process, reading and validating the",
            f"definition included, medians of {rounds} rounds that alternate. moto is called through boto3, as its users do, without a network; it",
            "runs each execution and each branch in threads, penstock in a loop without any. Read the ratios: the figures are those of one machine.",
            "",
            f"| machine | penstock | moto {version('moto')} | ratio | outputs equal |",
            "| --- | --- | --- | --- | --- |",
            *lines,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of processor time, for each side in each round")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    given = parser.parse_args()
    rows = measured(given.rounds, given.seconds)
    text = page(rows, given.rounds)
    if given.write:
        PAGE.write_text(text, encoding="utf-8")
    print(json.dumps(rows) if given.json else text)


if __name__ == "__main__":
    main()
