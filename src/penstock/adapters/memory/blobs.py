"""Large values of a store in memory: each once, with who uses it."""

from penstock.adapters.memory.disk import Disk
from penstock.core.agents.unit import Writes
from penstock.core.events.blobs import Owner
from penstock.ports.blobs import Swept


def write_blobs(disk: Disk, writes: Writes) -> None:
    """Write the blobs of a commit that are not there yet, and who uses them."""
    for blob in writes.blobs:
        disk.blobs.setdefault(blob.digest, blob.body)
    for use in writes.blob_uses:
        disk.blob_uses.setdefault(use.digest, {})[use.owner] = use.at_ms


def sweep_blobs(disk: Disk, before_ms: int, after: bytes, limit: int, *, dry: bool = False) -> Swept:
    """Remove what nobody holds; `dry`: only count it."""
    looked_at = sorted(digest for digest in disk.blobs if digest > after)[:limit]
    removed, size = 0, 0
    for digest in looked_at:
        uses = disk.blob_uses.get(digest, {})
        if any(at_ms >= before_ms or _holds(disk, owner, digest) for owner, at_ms in uses.items()):
            continue
        removed, size = removed + 1, size + len(disk.blobs[digest])
        if not dry:
            disk.blob_uses.pop(digest, None)
            del disk.blobs[digest]
    return Swept(removed, size, looked_at[-1] if len(looked_at) == limit else b"")


def _holds(disk: Disk, owner: Owner, digest: bytes) -> bool:
    return any(digest in body for body in _bodies(disk, owner))


def _bodies(disk: Disk, owner: Owner) -> list[bytes]:
    """Return what the rows of an owner hold: within them, the digest stands as it is."""
    match owner:
        case ("event", event_id):
            recorded = disk.ids.get(event_id)
            return [] if recorded is None else [recorded.event.data]
        case ("timer", timer_id):
            timer = disk.timers.get(timer_id)
            return [] if timer is None else [timer.event.data]
        case ("run", run_id):
            change = disk.runs.get(run_id)
            return [*disk.chunks.get(run_id, ()), *([] if change is None else [change.result, change.records])]
        case ("session", tenant, session):
            return [body for *_, body in disk.sessions.get((tenant, session), ())]
        case ("value", tenant, agent, key):
            return list(disk.values.get((tenant, agent, key), {}).values())
        case _:
            raise AssertionError(owner)
