"""Removing what is not needed any more from a store in memory."""

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from penstock.adapters.memory.disk import Disk
from penstock.core.agents.exposing import OF_RUNS
from penstock.core.agents.retention import RunRules
from penstock.core.agents.unit import RunChange
from penstock.ports.blobs import Swept
from penstock.ports.retention import ENDED, EndedRun, Found, How, OldEvents, Pruned


def prune_events(disk: Disk, old: OldEvents, after: int, limit: int, how: How) -> Pruned:
    log = disk.logs.get((old.topic, old.partition), [])
    marks = [disk.progress.get((agent, old.topic, old.partition)) for agent in old.agents]
    low = min([0 if mark is None else mark.low for mark in marks], default=1 << 62)
    looked_at = [each for each in log[:-1] if after < each.position.offset <= low][:limit]
    found: list[Found] = []
    for recorded in looked_at:
        if recorded.event.time_ms >= old.before_ms and recorded.position.offset > old.through:
            looked_at = []
            break
        event_id = recorded.event.id
        runs = _runs_of(disk, event_id)
        followers = sum(each.startswith(f"{event_id}.") for each in disk.ids)
        if not (_among(how, event_id) and _may_go(disk, event_id, runs, old.rules) and (how.dry or not followers)):
            continue
        found.append(Found(event_id, len(recorded.event.data), followers))
        if not how.dry:
            log.remove(recorded)
            del disk.ids[event_id]
            for run in runs:
                _forget(disk, run)
                _forget_journal(disk, run.run_id)
    freed = sum(each.held_bytes for each in found)
    removed = 0 if how.dry else len(found)
    if removed and old.mark is not None:
        gone = {each.id for each in found}
        _mark(disk, old.mark, max(each.position.offset for each in looked_at if each.event.id in gone))
    return Pruned(removed, freed, looked_at[-1].position.offset if len(looked_at) == limit else 0, tuple(found))


def _mark(disk: Disk, mark: tuple[str, str, str, str], offset: int) -> None:
    *which, name = mark
    values = disk.values.setdefault((which[0], which[1], which[2]), {})
    before = msgspec.msgpack.decode(values[name], type=int) if name in values else 0
    values[name] = msgspec.msgpack.encode(max(before, offset))
    disk.values_at.setdefault((which[0], which[1], which[2]), {}).setdefault(name, 0)


def prune_runs(disk: Disk, rules: RunRules, after: int, limit: int, how: How) -> Pruned:
    first = max(after - 1, 0)  # places count from 1: 0 says that there is no more
    looked_at = list(disk.runs.values())[first : first + limit]
    removed, gone = 0, 0
    found: list[Found] = []
    for run in looked_at:
        if run.status not in ENDED or run.run_id in disk.dead or not rules.journal_may_go(run.agent, run.at_ms):
            continue
        is_over = run.run_id.rpartition(":")[0] not in disk.ids and rules.run_may_go(run.agent, run.at_ms)
        rows, size = _journal_of(disk, run)
        if not _among(how, run.run_id) or not (rows or is_over):
            continue
        found.append(Found(run.run_id, size))
        if how.dry:
            continue
        removed += rows
        _forget_journal(disk, run.run_id)
        disk.runs[run.run_id] = replace(run, records=b"")
        if is_over:
            _forget(disk, run)
            gone += 1
    has_old = any(run.at_ms < rules.newest_ms for run in looked_at)
    following = first + len(looked_at) - gone + 1 if has_old and len(looked_at) == limit else 0
    return Pruned(removed + gone, sum(each.held_bytes for each in found), following, tuple(found))


def prune_sessions(disk: Disk, now_ms: int, after: bytes, limit: int, *, dry: bool) -> Swept:
    start = msgspec.msgpack.decode(after, type=tuple[str, str]) if after else ("", "")
    looked_at = sorted(which for which in disk.sessions if which > start)[:limit]
    removed, freed = 0, 0
    for which in looked_at:
        gone = [each for each in disk.sessions[which] if each[2] <= now_ms]
        removed, freed = removed + len(gone), freed + sum(len(each[3]) for each in gone)
        kept = [each for each in disk.sessions[which] if each[2] > now_ms]
        if not dry and kept:
            disk.sessions[which] = kept
        elif not dry:
            del disk.sessions[which]
    return Swept(removed, freed, msgspec.msgpack.encode(looked_at[-1]) if len(looked_at) == limit else b"")


def prune_values(disk: Disk, before_ms: Mapping[str, int], after: bytes, limit: int, *, dry: bool) -> Swept:
    start = msgspec.msgpack.decode(after, type=tuple[str, str, str, str]) if after else ("", "", "", "")
    everything = sorted((*which, name) for which, values in disk.values.items() for name in values)
    looked_at = [each for each in everything if each > start][:limit]
    removed, freed = 0, 0
    for *which, name in looked_at:
        place = (which[0], which[1], which[2])
        if 0 < disk.values_at[place][name] < before_ms.get(which[1], 0):
            removed, freed = removed + 1, freed + len(disk.values[place][name])
            if not dry:
                del disk.values[place][name], disk.values_at[place][name]
    return Swept(removed, freed, msgspec.msgpack.encode(looked_at[-1]) if len(looked_at) == limit else b"")


def ended_runs(disk: Disk, before: int, limit: int) -> list[EndedRun]:
    numbered = list(enumerate(disk.runs.values(), 1))
    found = [EndedRun(number, run.agent, run.at_ms) for number, run in reversed(numbered) if run.status in ENDED]
    return [each for each in found if not before or each.number < before][:limit]


def _among(how: How, which: str) -> bool:
    return how.among is None or which in how.among


def _may_go(disk: Disk, event_id: str, runs: list[RunChange], rules: RunRules) -> bool:
    return all(run.status in ENDED and rules.run_may_go(run.agent, run.at_ms) for run in runs) and not any(
        each.startswith(f"{event_id}:") for each in disk.dead
    )


def _journal_of(disk: Disk, run: RunChange) -> tuple[int, int]:
    """Return how many rows a run's journal and streams have, and their bytes."""
    chunks, streams = disk.chunks.get(run.run_id, []), disk.streams.get(run.run_id, {})
    bodies = [*chunks, *(each.body for told in streams.values() for each in told)]
    return len(bodies) + bool(run.records), sum(map(len, bodies)) + len(run.records)


def _runs_of(disk: Disk, event_id: str) -> list[RunChange]:
    return [run for run_id, run in disk.runs.items() if run_id.startswith(f"{event_id}:")]


def _forget(disk: Disk, run: RunChange) -> None:
    del disk.runs[run.run_id]
    for owner in OF_RUNS:
        disk.values.pop((run.tenant, owner, run.run_id), None)


def _forget_journal(disk: Disk, run_id: str) -> None:
    disk.cut.pop(run_id, None)
    disk.chunks.pop(run_id, None)
    disk.streams.pop(run_id, None)
