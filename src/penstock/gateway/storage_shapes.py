"""What takes space in a store and what may go, as the API and the command line show it."""

from pydantic import BaseModel, Field

from penstock.core.agents.usage import Usage
from penstock.runtime.tidying import Tidied


class PartShown(BaseModel):
    """Rows of one kind, and of one name where the kind has names: a topic, an agent."""

    kind: str
    name: str
    rows: int
    bytes: int
    bytes_a_day: int = Field(description="How fast it grew while it did; 0 when nobody knows.")
    first_ms: int
    last_ms: int


class StorageShown(BaseModel):
    """All of a store."""

    total_bytes: int
    free_bytes: int = Field(description="They are used again before the store grows.")
    log_bytes: int = Field(description="They are on their way into the store.")
    parts: list[PartShown]


class GoneShown(BaseModel):
    """Rows of one kind that went, or would go."""

    kind: str
    name: str
    rows: int
    bytes: int


class PrunedShown(BaseModel):
    """What one round removed, or would remove."""

    dry_run: bool
    bytes: int
    parts: list[GoneShown]


def usage_shape(usage: Usage) -> StorageShown:
    parts = [
        PartShown(
            kind=each.kind,
            name=each.name,
            rows=each.rows,
            bytes=each.bytes_used,
            bytes_a_day=each.bytes_a_day,
            first_ms=each.first_ms,
            last_ms=each.last_ms,
        )
        for each in usage.parts
    ]
    return StorageShown(
        total_bytes=usage.total_bytes, free_bytes=usage.free_bytes, log_bytes=usage.log_bytes, parts=parts
    )


def pruned_shape(done: Tidied, *, dry: bool) -> PrunedShown:
    parts = [
        GoneShown(kind=kind, name=name, rows=gone.rows, bytes=gone.freed_bytes)
        for (kind, name), gone in sorted(done.parts.items(), key=lambda each: -each[1].freed_bytes)
    ]
    return PrunedShown(dry_run=dry, bytes=done.freed_bytes, parts=parts)
