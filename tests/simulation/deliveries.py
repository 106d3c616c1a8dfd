"""Deliveries are runs of a state machine: they map over agents, try again, wait for time and for whoever has a token."""

import asyncio
import json
from contextlib import suppress
from functools import partial
from pathlib import Path

from life import PATIENCE_S, RETRY, Life
from scene import Client, Scene
from world import World

from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.agents.machine_events import TaskInput, event_name, input_type
from penstock.core.agents.machine_records import token_of
from penstock.errors import Missing, Refused
from penstock.runtime import executions
from penstock.runtime.context import Context
from penstock.runtime.engine import Engine
from penstock.runtime.machine_doors import answer_task
from penstock.runtime.machines import declared_machine

NAME = "deliver"
AGAIN = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 20, "MaxDelaySeconds": 5}]
PACK = {
    "Type": "Task",
    "Resource": "agent:wrap",
    "Retry": AGAIN,
    "ResultPath": "$.wrapped",
    "Next": "Rest",
}
DEFINITION = {
    "StartAt": "Each",
    "States": {
        "Each": {
            "Type": "Map",
            "ItemsPath": "$.parcels",
            "MaxConcurrency": 2,
            "ItemProcessor": {
                "StartAt": "Pack",
                "States": {"Pack": PACK, "Rest": {"Type": "Wait", "Seconds": 1, "End": True}},
            },
            "ResultPath": "$.packed",
            "Next": "Sign",
        },
        "Sign": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Parameters": {"FunctionName": "sign", "Payload.$": "$$.Task.Token"},
            "Retry": AGAIN,
            "ResultPath": "$.signed",
            "End": True,
        },
    },
}


class Deliveries(Scene):
    """Each delivery ends, once, with all its parcels and the one signature that counted; what it showed of itself stays true."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        random = world.random
        self.parcels = {
            f"d{number}": [{"n": n} for n in range(random.randint(0, 3))] for number in range(random.randint(0, 2))
        }
        self.tokens: dict[str, list[str]] = {}  # run -> those that were handed out
        self.counted: dict[str, int] = {}  # run -> the signature of which a client was told that it counts
        self.tried: dict[str, set[int]] = {}
        self.shown: dict[str, list[str]] = {}  # the types of events that a history had

    def agents(self, life: Life) -> list[Agent]:
        async def wrap(given: TaskInput, ctx: Context) -> int:
            await life.trouble()
            await ctx.step("wrap", self.effect, ctx.idempotency_key("wrap"))
            return given.input["n"]

        async def sign(given: TaskInput) -> None:
            await life.trouble()
            token = given.input
            self.tokens.setdefault(token.partition(".")[0], []).append(token)

        return [
            declare(wrap, "wrap", Options(retry=RETRY)),
            declare(sign, "sign", Options(retry=RETRY)),
            declared_machine(NAME, DEFINITION, Path(), {}),
        ]

    def effect(self, key: str) -> None:
        self.world.effects[key] += 1

    def clients(self, life: Life, engine: Engine) -> list[Client]:
        return [partial(self._deliver, engine, name, 20.0) for name in self.parcels]

    async def _deliver(self, engine: Engine, name: str, within_s: float) -> None:
        run = await self._begun(engine, name)
        with suppress(TimeoutError):  # a caller has no more patience
            async with asyncio.timeout(within_s):
                await self._signed(engine, run)

    async def _begun(self, engine: Engine, name: str) -> str:
        event = input_type(NAME)(input={"parcels": self.parcels[name]})
        return await engine.start(NAME, event, id=event_name(NAME, name))

    async def _signed(self, engine: Engine, run: str) -> None:
        """Sign until a signature counts, or it is over; look at the history meanwhile."""
        while (await executions.described(engine.parts.store, run, "default")).status == "RUNNING":
            await self._look(engine, run)
            for token in [each for tokens in self.tokens.values() for each in tokens]:
                number = self.world.random.randrange(1000)
                self.tried.setdefault(token, set()).add(number)
                try:
                    await answer_task(engine, token, "default", kind="success", output=json.dumps(number))
                except (Refused, Missing):
                    self.tried[token].discard(number)
                else:
                    self.world.expect(token not in self.counted, f"two signatures count for {run}")
                    self.counted[token] = number
            await asyncio.sleep(0.5)

    async def _look(self, engine: Engine, run: str) -> None:
        """What a history had is what it begins with ever after."""
        try:
            told = [each["type"] for each in await executions.history(engine.parts.store, run, "default")]
        except Missing:
            return  # it has not begun
        before = self.shown.get(run, [])
        longer, shorter = (told, before) if len(told) >= len(before) else (before, told)
        self.world.expect(longer[: len(shorter)] == shorter, f"the history of {run} changed")
        self.shown[run] = longer

    async def healed(self, life: Life, engine: Engine) -> None:
        for name, parcels in self.parcels.items():
            run = await self._begun(engine, name)
            async with asyncio.timeout(PATIENCE_S):
                await self._signed(engine, run)
            await self._look(engine, run)
            found = await executions.described(engine.parts.store, run, "default")
            assert found.status == "SUCCEEDED", found
            output = found.output
            assert [each["wrapped"] for each in output["packed"]] == [each["n"] for each in parcels]
            signed = output["signed"]
            mine = [token for token in self.tried if token_names(token, run)]
            assert any(signed in {*self.tried[token], self.counted.get(token)} for token in mine), found
            assert all(self.counted[token] == signed for token in mine if token in self.counted)

    def check(self) -> None:
        for name in self.parcels:
            status = self.world.disk.runs[f"{event_name(NAME, name)}:{NAME}"].status
            assert status == "succeeded", status


def token_names(token: str, run: str) -> bool:
    """Whether a token is one of a run's tasks."""
    known = token_of(token)
    return known is not None and known.run_id == run
