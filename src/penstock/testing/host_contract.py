"""The contract of `Host` and `Worker`, as tests. An adapter inherits them and supplies a host, and what kills a worker.

Each test names the guarantee that it checks. There is no way to switch one off: what an adapter cannot do belongs in
another port.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from penstock.core.agents.resources import Resources
from penstock.errors import Invalid, Unavailable
from penstock.ports.host import Host, Place, Worker
from penstock.testing.echoing import REFUSED

ENTRY = "penstock.testing.echoing:echoing"
SMALL = Resources(cpus=0.1)
WITHIN_S = 30.0
Kill = Callable[[Any], Awaitable[None]]


class HostContract:
    @pytest.fixture
    def host(self) -> Host:
        raise NotImplementedError("supply the host under test")

    @pytest.fixture
    def kill(self) -> Kill:
        raise NotImplementedError("supply what kills a worker's process, as SIGKILL does")

    async def test_hw1_what_is_said_and_heard_is_whole_and_in_order(self, host: Host) -> None:
        worker = await started(host)
        said = [f"{number}".encode() for number in range(50)] + [bytes(range(256)) * 4096]
        for each in said:
            await worker.say(each)
        assert await heard(worker, 1 + len(said)) == [b"first", *said]
        await worker.end()

    async def test_hw1_it_hears_while_it_is_heard(self, host: Host) -> None:
        worker = await started(host)
        assert await heard(worker, 1) == [b"first"]
        waiting = asyncio.ensure_future(heard(worker, 1))
        await asyncio.sleep(0)  # it waits already
        await worker.say(b"now")
        assert await waiting == [b"now"]
        await worker.end()

    async def test_hw2_who_has_nothing_to_say_says_so(self, host: Host) -> None:
        worker = await started(host)
        assert await heard(worker, 1) == [b"first"]
        async with asyncio.timeout(WITHIN_S):
            assert await worker.hear() == b""
        await worker.end()

    async def test_hw3_a_death_is_told_to_who_waits_and_ever_after(self, host: Host, kill: Kill) -> None:
        worker = await started(host)
        assert await heard(worker, 1) == [b"first"]

        async def until_it_fails() -> None:
            while True:
                await worker.hear()

        waiting = asyncio.ensure_future(until_it_fails())
        await kill(worker)
        async with asyncio.timeout(WITHIN_S):
            with pytest.raises(Unavailable):
                await waiting
            for call in (lambda: worker.say(b"more"), worker.hear):
                with pytest.raises(Unavailable):
                    await call()
            await worker.end()

    async def test_hw4_after_its_end_a_worker_is_gone(self, host: Host) -> None:
        worker = await started(host)
        await worker.say(b"unheard")
        await worker.end()
        await worker.end()
        for call in (lambda: worker.say(b"more"), worker.hear):
            with pytest.raises(Unavailable):
                await call()

    async def test_ho1_a_worker_serves_what_its_place_says(self, host: Host) -> None:
        first, second = await asyncio.gather(started(host, b"one"), started(host, b"two"))
        assert await heard(first, 1) + await heard(second, 1) == [b"one", b"two"]
        await first.end()
        await second.end()

    async def test_ho2_what_the_entry_raises_is_raised_as_it_is(self, host: Host) -> None:
        with pytest.raises(Invalid) as caught:
            await started(host, REFUSED)
        assert [(each.path, each.problem, each.hint) for each in caught.value.findings] == [
            ("body", "is refused", "send another one"),
            ("host", "is here", ""),
        ]

    async def test_ho3_a_worker_that_dies_takes_no_other_with_it(self, host: Host, kill: Kill) -> None:
        first, second = await asyncio.gather(started(host), started(host))
        await kill(first)
        await second.say(b"still here")
        assert await heard(second, 2) == [b"first", b"still here"]
        await first.end()
        await second.end()


async def started(host: Host, body: bytes = b"first") -> Worker:
    async with asyncio.timeout(WITHIN_S):
        return await host.start(Place("contract", ENTRY, body, SMALL))


async def heard(worker: Worker, count: int) -> list[bytes]:
    """Return the next `count` things that a worker says."""
    found: list[bytes] = []
    async with asyncio.timeout(WITHIN_S):
        while len(found) < count:
            if body := await worker.hear():
                found.append(body)
    return found
