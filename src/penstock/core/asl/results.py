"""What a distributed Map leaves of its children: in its output, or in files with a manifest, as ResultWriter says.

Three files of a kind, as Step Functions writes them: SUCCEEDED_0, FAILED_0 (also what timed out or was given up) and PENDING_0
(what was never begun), each cut into several where there is more than `FILE_BYTES_MAX`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from penstock.core.asl.definition import WriterConfig
from penstock.core.asl.timestamps import iso
from penstock.core.asl.values import Json, json_text

FILE_BYTES_MAX: Final = 64 * 1024 * 1024
"""How large one file of results gets; the last record in it may go beyond."""
PENDING: Final = "PENDING"
RUNNING: Final = "RUNNING"
KINDS: Final = ("FAILED", PENDING, "SUCCEEDED")
MANIFEST: Final = "manifest.json"


class Child(Struct, frozen=True, kw_only=True):
    """One child of a distributed Map, as its results tell of it. Without an output and an error it was not begun, or given up."""

    name: str
    input: Json
    status: str = PENDING
    output: "Json | UnsetType" = UNSET
    error: str | None = None
    cause: str | None = None
    started_ms: int | None = None
    stopped_ms: int | None = None


class File(NamedTuple):
    kind: str
    number: int
    body: bytes


def shaped(children: Iterable[Child], map_run: str, config: WriterConfig) -> list[Json]:
    """Return the records of children as a WriterConfig wants them; those that did not succeed are told of whole."""
    shaped: list[Json] = []
    for child in children:
        if config.transformation in (None, "NONE") or isinstance(child.output, UnsetType):
            shaped.append(record(child, map_run))
        elif config.transformation == "FLATTEN" and isinstance(child.output, list):
            shaped += child.output
        else:
            shaped.append(child.output)
    return shaped


def record(child: Child, map_run: str) -> dict[str, Json]:
    """Return all that is told of a child."""
    machine = map_run.replace(":mapRun:", ":stateMachine:").rpartition(":")[0]
    told: dict[str, Json] = {
        "ExecutionArn": f"{machine.replace(':stateMachine:', ':execution:')}:{child.name}",
        "Input": json_text(child.input),
        "InputDetails": {"Included": True},
        "Name": child.name,
        "StateMachineArn": machine,
        "Status": child.status,
        "RedriveCount": 0,
    }
    if child.status == "SUCCEEDED":
        redrive = ("NOT_REDRIVABLE", "Execution is SUCCEEDED and cannot be redriven")
        told |= {"RedriveStatus": redrive[0], "RedriveStatusReason": redrive[1]}
    else:
        told["RedriveStatus"] = "REDRIVABLE_BY_MAP_RUN"
    if not isinstance(child.output, UnsetType):
        told |= {"Output": json_text(child.output), "OutputDetails": {"Included": True}}
    optional: dict[str, Any] = {
        "Error": child.error,
        "Cause": child.cause,
        "StartDate": None if child.started_ms is None else iso(child.started_ms),
        "StopDate": None if child.stopped_ms is None else iso(child.stopped_ms),
    }
    return dict(sorted({**told, **{key: value for key, value in optional.items() if value is not None}}.items()))


def files(
    children: Sequence[Child], map_run: str, config: WriterConfig, bytes_max: int = FILE_BYTES_MAX
) -> Iterator[File]:
    """Yield the files of results, one after another."""
    lines = config.output_type == "JSONL"
    begin, between, end = (b"", b"\n", b"\n") if lines else (b"[", b",", b"]")
    for kind in KINDS:
        number, held, size = 0, list[bytes](), 0
        for child in children:
            if kind_of(child) != kind:
                continue
            for each in shaped([child], map_run, config):
                body = json_text(each).encode()
                held.append(body)
                size += len(body)
            if size >= bytes_max:
                yield File(kind, number, begin + between.join(held) + end)
                number, held, size = number + 1, [], 0
        if held:
            yield File(kind, number, begin + between.join(held) + end)


def kind_of(child: Child) -> str:
    """Return in which of the files a child is told of."""
    return child.status if child.status in ("SUCCEEDED", PENDING) else "FAILED"


def folder(prefix: str, map_run: str) -> str:
    """Return what the keys of a Map's results begin with."""
    before = f"{prefix.rstrip('/')}/" if prefix else ""
    return f"{before}{map_run.rpartition(':')[2]}/"


def file_name(file: File, config: WriterConfig) -> str:
    return f"{file.kind}_{file.number}.{'jsonl' if config.output_type == 'JSONL' else 'json'}"


def manifest(bucket: str, map_run: str, written: Sequence[tuple[str, str, int]]) -> bytes:
    """Return the manifest of files that were written: kind, key and size of each."""
    by_kind: dict[str, Json] = {
        kind: [{"Key": key, "Size": size} for each, key, size in written if each == kind] for kind in KINDS
    }
    return json_text({"DestinationBucket": bucket, "MapRunArn": map_run, "ResultFiles": by_kind}).encode()


def returned(bucket: str, key: str, map_run: str) -> Json:
    """Return what a Map gives whose results were written."""
    return {"MapRunArn": map_run, "ResultWriterDetails": {"Bucket": bucket, "Key": key}}
