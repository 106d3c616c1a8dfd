"""Taking what is large out of a commit, and putting it back into what is read (C9).

Within a journal the reference to a blob is a MessagePack extension of our own, so that the rest of the chunk stays readable.
"""

from collections.abc import Iterable, Mapping

from msgspec import Raw
from msgspec.structs import replace

from penstock.core.agents.journal import StepRecord, decode_chunk, encode_chunk
from penstock.core.agents.unit import RunChange, Writes
from penstock.core.events.blobs import (
    BLOB_BYTES_MIN,
    DIGEST_BYTES,
    SIZE_BYTES,
    Blob,
    BlobUse,
    Owner,
    Reference,
    digest_of,
    found_in,
    referring,
    unpacked_reference,
)
from penstock.core.events.envelope import Envelope, Recorded

_EXTENSION = 66
_HEAD = b"\xc7" + bytes([DIGEST_BYTES + SIZE_BYTES, _EXTENSION])
_STEP_REFERENCE_BYTES = len(_HEAD) + DIGEST_BYTES + SIZE_BYTES


def offload(writes: Writes, now_ms: int, bytes_min: int = BLOB_BYTES_MIN) -> None:  # noqa: C901, PLR0912 - a loop for each kind of row
    """Put references into the places of all that is larger than `bytes_min`, and the values into the commit's blobs.

    Other holders of the events and runs keep them as they are: what changes in the commit is replaced there.
    """
    large = _Large(now_ms, bytes_min)
    for place, recorded in enumerate(writes.events):
        if len(recorded.event.data) > bytes_min:
            event = large.event(recorded.event, ("event", recorded.event.id))
            writes.events[place] = Recorded(recorded.position, event)
    for place, run in enumerate(writes.runs):
        if len(run.result) > bytes_min or len(run.records) > bytes_min:
            writes.runs[place] = large.run(run)
    for chunk in writes.journal:
        if len(chunk.body) > bytes_min:
            chunk.body = large.chunk(chunk.body, ("run", chunk.run_id))
    for delta in writes.sessions:
        if len(delta.body) > bytes_min:
            delta.body = large.body(delta.body, ("session", delta.tenant, delta.session))
    for value in writes.values:
        if value.body is not None and len(value.body) > bytes_min:
            value.body = large.body(value.body, ("value", value.tenant, value.agent, value.key))
    for each in writes.timers:
        if each.timer is not None and len(each.timer.event.data) > bytes_min:
            each.timer = replace(each.timer, event=large.event(each.timer.event, ("timer", each.id)))
    if large.uses:
        writes.blobs.extend(large.blobs.values())
        writes.blob_uses.extend(large.uses.values())


class _Large:
    """The large values of one commit, each once."""

    def __init__(self, now_ms: int, bytes_min: int) -> None:
        self._now_ms = now_ms
        self._bytes_min = bytes_min
        self.blobs: dict[bytes, Blob] = {}
        self.uses: dict[tuple[bytes, Owner], BlobUse] = {}

    def event(self, event: Envelope, owner: Owner) -> Envelope:
        return replace(event, data=self.body(event.data, owner))

    def run(self, run: RunChange) -> RunChange:
        owner = ("run", run.run_id)
        return replace(run, result=self.body(run.result, owner), records=self.chunk(run.records, owner))

    def body(self, body: bytes, owner: Owner) -> bytes:
        return body if len(body) <= self._bytes_min else referring(body, self._put(body, owner))

    def chunk(self, body: bytes, owner: Owner) -> bytes:
        if len(body) <= self._bytes_min:
            return body
        return encode_chunk([self._step(record, owner) for record in decode_chunk(body)])

    def _step(self, record: StepRecord, owner: Owner) -> StepRecord:
        if len(record.value) <= self._bytes_min:
            return record
        body = bytes(record.value)
        return replace(record, value=Raw(_HEAD + self._put(body, owner) + len(body).to_bytes(SIZE_BYTES)))

    def _put(self, body: bytes, owner: Owner) -> bytes:
        digest = digest_of(body)
        self.blobs.setdefault(digest, Blob(digest, body))
        self.uses[digest, owner] = BlobUse(digest, owner, self._now_ms)
        return digest


def reference_in_step(record: StepRecord) -> Reference | None:
    """Return the reference in the place of a step's value, or None."""
    if len(record.value) != _STEP_REFERENCE_BYTES:
        return None
    body = bytes(record.value)
    return unpacked_reference(body[len(_HEAD) :]) if body.startswith(_HEAD) else None


def whole_records(records: Iterable[StepRecord], blobs: Mapping[bytes, bytes], run_id: str) -> list[StepRecord]:
    """Return the records of a run with their values; `Invalid`, which names the run, when one is missing or damaged."""
    found: list[StepRecord] = []
    for record in records:
        reference = reference_in_step(record)
        if reference is None:
            found.append(record)
        else:
            found.append(
                replace(record, value=Raw(found_in(blobs, reference, f"the run {run_id}, step {record.step}")))
            )
    return found
