"""A handling is cancelled when it has its turn, and its handler has not been called yet: it ends, and its key goes on."""

import asyncio
from collections.abc import Callable

import pytest

from penstock.adapters.memory.store import Disk, MemoryStore
from penstock.core.agents.control import Cancel
from penstock.core.agents.declaration import Options, declare
from penstock.core.agents.policy import Retry
from penstock.core.events.event import Event
from penstock.errors import RunFailed
from penstock.runtime.control import NAME as CONTROL
from penstock.runtime.control import control
from penstock.runtime.engine import Parts, running
from penstock.runtime.models import Models, Prompts
from penstock.runtime.topology import Topology
from penstock.testing import WritePoint
from penstock.testing.virtual_time import VirtualClock, run_virtually

pytestmark = pytest.mark.usefixtures("any_pace")

FIRST, SECOND = "one:work", "two:work"
ANSWERS_AFTER_S = 10


class Job(Event, key="who"):
    who: str
    fails: bool = False


class SlowStore(MemoryStore):
    """Takes its time when it is first asked for a run."""

    def __init__(self, disk: Disk, slow_at: str = "") -> None:
        super().__init__(disk)
        self._slow_at = slow_at

    async def run(self, run_id: str):
        if run_id == self._slow_at:
            self._slow_at = ""
            await asyncio.sleep(ANSWERS_AFTER_S)
        return await super().run(run_id)


@pytest.mark.parametrize("wait_s", [1, 3600], ids=["an attempt that is due", "an attempt that waits"])
def test_a_handling_that_is_being_recalled_is_cancelled_and_the_next_of_its_key_begins(wait_s: int) -> None:
    begun: list[str] = []

    async def work(job: Job) -> str:
        begun.append(job.who)
        if job.fails:
            raise RuntimeError("not now")
        return job.who

    def parts(store: MemoryStore) -> Parts:
        retry = Retry(attempts_max=5, delay_s=wait_s, delay_max_s=wait_s)
        agents = {"work": declare(work, "work", Options(retry=retry)), CONTROL: control()}
        return Parts("works", Topology(agents), store, VirtualClock(), Models(_no_model, Prompts(None)))

    async def main() -> None:
        disk = Disk()
        async with running(parts(MemoryStore(disk)), owner="first") as engine:
            await engine.start("work", Job(who="ada", fails=True), id="one")
            await engine.start("work", Job(who="ada"), id="two")
            await asyncio.sleep(0.1)
        assert begun == ["ada"]
        async with running(parts(SlowStore(disk, FIRST)), owner="second") as engine:
            await asyncio.sleep(ANSWERS_AFTER_S / 2)
            await engine.send(Cancel(run_id=FIRST, reason="not needed"))
            with pytest.raises(RunFailed, match="not needed"):
                await engine.result(FIRST, within_s=2 * ANSWERS_AFTER_S)
            assert await engine.result(SECOND, within_s=2 * ANSWERS_AFTER_S) == b'"ada"'
            assert await engine.settled(5)
            assert begun == ["ada", "ada"], "the cancelled one had no other attempt"
            assert await engine.parts.store.dead_letters() == []
        assert disk.runs[FIRST].status == "cancelled"
        assert disk.progress["work", "job", 0].low == 2

    run_virtually(main())


def test_a_handling_is_cancelled_between_its_turn_and_the_first_line_of_its_handler() -> None:
    begun: list[str] = []
    moments: list[Callable[[], object]] = []

    async def work(job: Job) -> str:
        begun.append(job.who)
        await asyncio.sleep(1)
        return job.who

    def reached(point: WritePoint) -> None:
        if point == WritePoint.AFTER_HANDLING and moments:  # the next of the key gets its turn at this moment
            asyncio.get_running_loop().call_soon(moments.pop())

    async def main() -> None:
        agent, disk = declare(work, "work", Options()), Disk()
        models = Models(_no_model, Prompts(None))
        parts = Parts("works", Topology({"work": agent}), MemoryStore(disk), VirtualClock(), models, reached=reached)
        async with running(parts, owner="first") as engine:
            for name in ("one", "two", "three"):
                await engine.start("work", Job(who="ada"), id=name)
            second = await engine.parts.store.event("two")
            assert second is not None
            moments.append(lambda: engine.workflows.arrivals.on_cancelled(agent, second, "not needed"))
            assert await engine.result("three:work", within_s=10) == b'"ada"'
            assert await engine.settled(5)
        assert not moments
        assert len(begun) == 2
        assert disk.runs[SECOND].status == "cancelled"

    run_virtually(main())


def _no_model(name: str):
    raise AssertionError(name)
