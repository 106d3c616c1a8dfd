"""The disk, watched: whatever reaches it is checked at that moment, whoever wrote it (C2 to C5)."""

import asyncio
from collections.abc import Container, Mapping

from world import World

from penstock.adapters.memory.store import MemoryStore
from penstock.core.agents.attempts import OPEN
from penstock.core.agents.declaration import Agent
from penstock.core.agents.journal import FORGOTTEN, decode_chunk, decode_value
from penstock.core.agents.progress import Progress
from penstock.core.agents.unit import ProgressWrite, RunChange, Writes
from penstock.core.events.envelope import Recorded
from penstock.ports.state import Claim

ENDED = ("succeeded", "failed", "cancelled")


class WatchedStore(MemoryStore):
    """Checks each commit that is written, against all that was written before."""

    def __init__(self, world: World, agents: Mapping[str, Agent]) -> None:
        super().__init__(world.disk, now_ms=virtual_ms)
        self._world = world
        self._agents = agents

    async def commit(self, claim: Claim, number: int, writes: Writes) -> None:
        disk = self.disk
        before = {which: disk.progress.get(which) for which in map(_place, writes.progress)}
        ended_with = {chunk.run_id: disk.runs.get(chunk.run_id) for chunk in writes.journal}
        was = disk.members.get(claim.epoch)
        was_number = was.number if was is not None else 0
        await super().commit(claim, number, writes)
        member = disk.members.get(claim.epoch)
        self._world.expect(member is not None and member.claim == claim, f"{claim} committed, and has ended")
        if number <= was_number:
            return  # it was written before
        self._world.sent(claim.epoch, writes.sent)
        if writes.index:
            await self._world.passages.apply(writes.index)  # it waits for nothing: a part of the commit
        for recorded in writes.events:
            self._check_event(recorded)
        for cut in writes.cuts:
            self._world.steps[cut.run_id] = set()  # the run goes on without them
            self._world.rounds[cut.run_id] += 1
        for chunk in writes.journal:
            ended = ended_with[chunk.run_id]  # a run that is redriven keeps what its end had recorded
            kept = set() if ended is None or not ended.records else {each.step for each in decode_chunk(ended.records)}
            self._check_steps(chunk.run_id, chunk.body, kept)
        for at, change in enumerate(writes.runs):
            is_told_again = any(later.run_id == change.run_id for later in writes.runs[at + 1 :])
            if not (change.status == "cancelled" and is_told_again):  # its turn came within the same commit
                self._check_run(change)
        for progress in writes.progress:
            was = before[_place(progress)]
            if was is not None:
                now = disk.progress[_place(progress)]
                kept = all(_within(now, *of) for of in [(1, was.low), *was.above])
                self._world.expect(kept, f"the progress of {progress.agent} went back from {was} to {now}")

    def _check_event(self, recorded: Recorded) -> None:
        """An effect is never on the disk without its cause (C3), and counts one hop more; a timer may begin anew."""
        event = recorded.event
        self._world.by_origin.setdefault(event.correlation_id, []).append(event)
        cause = self.disk.ids.get(event.causation_id)
        if event.causation_id:
            self._world.expect(cause is not None, f"{event.id} is on the disk, and its cause is not")
            if cause is not None:
                self._world.expect(event.depth in (0, cause.event.depth + 1), f"{event.id} has depth {event.depth}")

    def _check_steps(self, run_id: str, body: bytes, kept: Container[str] = ()) -> None:
        """No step is recorded twice (C4), unless the run was told to forget it."""
        known = self._world.steps.setdefault(run_id, set())
        for record in decode_chunk(body):
            if record.step == FORGOTTEN:
                known -= set(decode_value(record.value, list[str]))
                continue
            is_mark = record.step.endswith(OPEN)  # of a step that has not ended: its newest mark counts
            twice = record.step in known and record.step not in kept and not is_mark
            self._world.expect(not twice, f"{record.step} of {run_id} was recorded twice")
            known.add(record.step)

    def _check_run(self, change: RunChange) -> None:
        """A run ends once, with its agent's progress (C3), and after the earlier ones of its key (C2)."""
        world, run_id = self._world, change.run_id
        is_dropped = change.status == "failed" and change.reason.startswith("dropped")
        if change.records and not is_dropped:  # a letter that is dropped leaves its run with the records that it has
            self._check_steps(run_id, change.records)
        if change.reason.startswith("redriven") and change.status in ("retrying", "running"):
            world.redriven.add(run_id)
            world.attempts[run_id] = -1
        if change.status == "retrying":  # C6: attempts are counted over restarts
            before = world.attempts.get(run_id, 0)
            world.expect(change.attempt > before, f"attempt {change.attempt} of {run_id} follows attempt {before}")
            world.attempts[run_id] = change.attempt
        if change.status not in ENDED or change.reason.startswith("taken apart"):
            world.ended.discard(run_id)
            return
        if is_dropped or (change.status == "cancelled" and change.attempt == 0 and not self._is_done(change)):
            return  # one that waits for its turn is told that it will not get it
        world.expect(run_id not in world.ended, f"{run_id} has ended twice")
        world.ended.add(run_id)
        agent = self._agents.get(change.agent)
        recorded = self.disk.ids.get(
            run_id.rpartition(":")[0].partition("+")[0]
        )  # a batch has its first event and a number
        world.expect(recorded is not None, f"{run_id} has ended, and its event is not on the disk")
        if agent is None or recorded is None:
            return
        place = recorded.position
        world.expect(self._is_done(change), f"{run_id} has ended, and is not done")
        if run_id in world.redriven:
            return  # after those that waited for its key
        if recorded.event.key and not agent.options.workflow and not agent.options.batch:
            lane = (change.agent, place.topic, place.partition, recorded.event.tenant, recorded.event.key)
            last = world.last_ended.get(lane, 0)
            world.expect(place.offset > last, f"{run_id} has ended after offset {last} of its key")
            world.last_ended[lane] = place.offset

    def _is_done(self, change: RunChange) -> bool:
        """Whether the agent's progress holds the event of a run."""
        recorded = self.disk.ids.get(change.run_id.rpartition(":")[0].partition("+")[0])
        if recorded is None:
            return False
        place = recorded.position
        return place.offset in self.disk.progress.get((change.agent, place.topic, place.partition), Progress())


def virtual_ms() -> int:
    """The disk's own clock."""
    return int(asyncio.get_running_loop().time() * 1000)


def _place(write: ProgressWrite) -> tuple[str, str, int]:
    return write.agent, write.topic, write.partition


def _within(done: Progress, first: int, last: int) -> bool:
    """Whether a range of offsets is done."""
    return last < first or last <= done.low or any(low <= first and last <= high for low, high in done.above)
