"""State machines: runs a second of a machine of five states, in memory and durable, and transitions a second of the reducer.

    python benchmarks/machines.py [--runs 8192] [--in-flight 256] [--store sqlite:PATH] [--json]

The five states are Pass (Parameters), Choice, Task (an agent that doubles a number), Pass (Result, ResultPath) and Succeed. A durable
run is begun by an event and answered when its end is durable: a closed loop, as W1 of `make bench`. `without a task` has a Pass
in the place of the Task: then a run is one commit.
"""

import argparse
import asyncio
import gc
import json
import tempfile
import time
from pathlib import Path

from penstock import App, TaskInput
from penstock.core.asl.definition import from_document
from penstock.core.asl.happenings import Started, Succeeded
from penstock.core.asl.program import compiled
from penstock.core.asl.reducer import advance
from penstock.core.asl.run import Run
from penstock.runtime.process import run_tuned

STATES = 5


def definition(task):
    return {
        "StartAt": "Take",
        "States": {
            "Take": {"Type": "Pass", "Parameters": {"n.$": "$.n"}, "Next": "Ask"},
            "Ask": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.n", "NumericGreaterThan": 0, "Next": "Work"}],
                "Default": "Odd",
            },
            "Work": {**task, "Next": "Note"},
            "Note": {"Type": "Pass", "Result": True, "ResultPath": "$.ok", "Next": "Done"},
            "Done": {"Type": "Succeed"},
            "Odd": {"Type": "Fail"},
        },
    }


WORK = definition({"Type": "Task", "Resource": "agent:double"})
PLAIN = definition({"Type": "Pass"})


def in_memory(count):
    """Return runs a second of the reducer alone, in processor time of one core."""
    program = compiled(from_document(WORK))
    gc.disable()
    begun = time.process_time()
    for number in range(count):
        run = Run(program)
        [task] = advance(run, Started(at_ms=number, input={"n": 1}, name="run"))
        advance(run, Succeeded(at_ms=number, id=task.id, output={"n": 2}))
        assert run.status == "SUCCEEDED"
    took = time.process_time() - begun
    gc.enable()
    return count / took


async def durable(store, document, count, in_flight):
    """Return runs a second, and the processor time of one in microseconds."""
    app = App("machines")

    @app.agent
    async def double(given: TaskInput) -> object:
        return {"n": given.input["n"] * 2}

    machine = app.workflow("five", definition=document)
    async with app.running(store=store) as live:

        async def client(runs):
            for number in range(runs):
                await live.engine.call("five", machine.input({"n": number + 1}))

        await asyncio.gather(*(client(2) for _ in range(in_flight)))
        begun, used = time.perf_counter(), time.process_time()
        await asyncio.gather(*(client(count // in_flight) for _ in range(in_flight)))
        took, used = time.perf_counter() - begun, time.process_time() - used
    made = count // in_flight * in_flight
    return made / took, used / made * 1e6


def measured(options):
    transitions = in_memory(options.runs)
    found = {"transitions/s in memory": round(transitions * STATES), "runs/s in memory": round(transitions)}
    with tempfile.TemporaryDirectory(dir=Path()) as folder:
        for name, document in (("durable", WORK), ("durable, without a task", PLAIN)):
            store = options.store or f"sqlite:{folder}/{len(found)}.db"
            rate, used_us = run_tuned(durable(store, document, options.runs, options.in_flight))
            found |= {f"runs/s {name}": round(rate), f"CPU us a run {name}": round(used_us)}
    return found


def main():
    parser = argparse.ArgumentParser(description="State machines of five states: in memory and durable.")
    parser.add_argument("--runs", type=int, default=8192)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--store", help="default: a new SQLite file in the working folder, which is removed")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measured(options)
    if options.json:
        print(json.dumps(found))
    else:
        print("\n".join(f"{name:40} {value:>10,}" for name, value in found.items()))


if __name__ == "__main__":
    main()
