"""Removing what is not needed any more from a store in memory."""

import msgspec
from msgspec.structs import replace

from penstock.adapters.memory.disk import Disk
from penstock.core.agents.exposing import OF_RUNS
from penstock.core.agents.retention import RunRules
from penstock.core.agents.unit import RunChange
from penstock.core.events.envelope import Recorded
from penstock.ports.blobs import Swept
from penstock.ports.retention import ENDED, OldEvents, Pruned


def prune_events(disk: Disk, old: OldEvents, after: int, limit: int) -> Pruned:
    log = disk.logs.get((old.topic, old.partition), [])
    marks = [disk.progress.get((agent, old.topic, old.partition)) for agent in old.agents]
    low = min([0 if mark is None else mark.low for mark in marks], default=1 << 62)
    looked_at = [each for each in log[:-1] if after < each.position.offset <= low][:limit]
    gone: list[Recorded] = []
    for recorded in looked_at:
        if recorded.event.time_ms >= old.before_ms and recorded.position.offset > old.through:
            looked_at = []
            break
        runs = _runs_of(disk, recorded.event.id)
        if _may_go(disk, recorded, runs, old.rules):
            gone.append(recorded)
            log.remove(recorded)
            del disk.ids[recorded.event.id]
            for run in runs:
                _forget(disk, run)
                _forget_journal(disk, run.run_id)
    freed = sum(len(each.event.data) for each in gone)
    return Pruned(len(gone), freed, looked_at[-1].position.offset if len(looked_at) == limit else 0)


def prune_runs(disk: Disk, rules: RunRules, after: int, limit: int) -> Pruned:
    first = max(after - 1, 0)  # places count from 1: 0 says that there is no more
    looked_at = list(disk.runs.values())[first : first + limit]
    removed, gone = 0, 0
    for run in looked_at:
        if run.status not in ENDED or run.run_id in disk.dead or not rules.journal_may_go(run.agent, run.at_ms):
            continue
        removed += _forget_journal(disk, run.run_id) + bool(run.records)
        disk.runs[run.run_id] = replace(run, records=b"")
        if run.run_id.rpartition(":")[0] not in disk.ids and rules.run_may_go(run.agent, run.at_ms):
            _forget(disk, run)
            gone += 1
    has_old = any(run.at_ms < rules.newest_ms for run in looked_at)
    following = first + len(looked_at) - gone + 1
    return Pruned(removed + gone, 0, following if has_old and len(looked_at) == limit else 0)


def prune_sessions(disk: Disk, now_ms: int, after: bytes, limit: int) -> Swept:
    start = msgspec.msgpack.decode(after, type=tuple[str, str]) if after else ("", "")
    looked_at = sorted(which for which in disk.sessions if which > start)[:limit]
    removed, freed = 0, 0
    for which in looked_at:
        gone = [each for each in disk.sessions[which] if each[2] <= now_ms]
        removed, freed = removed + len(gone), freed + sum(len(each[3]) for each in gone)
        disk.sessions[which] = [each for each in disk.sessions[which] if each[2] > now_ms]
        if not disk.sessions[which]:
            del disk.sessions[which]
    return Swept(removed, freed, msgspec.msgpack.encode(looked_at[-1]) if len(looked_at) == limit else b"")


def _may_go(disk: Disk, recorded: Recorded, runs: list[RunChange], rules: RunRules) -> bool:
    event_id = recorded.event.id
    return (
        all(run.status in ENDED and rules.run_may_go(run.agent, run.at_ms) for run in runs)
        and not any(each.startswith(f"{event_id}:") for each in disk.dead)
        and not any(each.startswith(f"{event_id}.") for each in disk.ids)
    )


def _runs_of(disk: Disk, event_id: str) -> list[RunChange]:
    return [run for run_id, run in disk.runs.items() if run_id.startswith(f"{event_id}:")]


def _forget(disk: Disk, run: RunChange) -> None:
    del disk.runs[run.run_id]
    for owner in OF_RUNS:
        disk.values.pop((run.tenant, owner, run.run_id), None)


def _forget_journal(disk: Disk, run_id: str) -> int:
    disk.cut.pop(run_id, None)
    chunks, streams = disk.chunks.pop(run_id, []), disk.streams.pop(run_id, {})
    return len(chunks) + sum(map(len, streams.values()))
