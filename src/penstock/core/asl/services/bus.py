"""`events:putEvents`: entries become events of a bus, each by itself; one that cannot says why, and fails the task with all."""

from collections.abc import Mapping
from typing import Any, Final, cast

from msgspec import Struct

from penstock.core.asl.services.problems import CallFailed, Problem, failure, identity
from penstock.core.asl.timestamps import timestamp_ns
from penstock.core.asl.values import Json, json_text, parsed_json

ENTRIES_MAX: Final = 10
ENTRIES_BYTES_MAX: Final = 1024 * 1024
FAILED_ENTRY: Final = "EventBridge.FailedEntry"
DEFAULT_BUS: Final = "default"
_REQUIRED: Final = ("Source", "DetailType", "Detail")
_KNOWN: Final = (*_REQUIRED, "Time", "Resources", "EventBusName", "TraceHeader")


class Entry(Struct, frozen=True, kw_only=True):
    """One event that is put on a bus. `detail` is the text of a JSON object; `time_ms` is None where none is given."""

    source: str
    detail_type: str
    detail: str
    bus: str = DEFAULT_BUS
    resources: tuple[str, ...] = ()
    time_ms: int | None = None


class EntryFailed(Struct, frozen=True):
    """An entry that no bus takes, and why, in AWS's words."""

    code: str
    message: str


def entries_of(given: Json, *, adding: tuple[str, ...] = (), request_id: str = "") -> list[Entry | EntryFailed]:
    """Read entries; `adding` are resources that each gets. Raises `CallFailed` for what is no list of them."""
    entries = cast("list[Any]", given) if isinstance(given, list) else []
    if not 0 < len(entries) <= ENTRIES_MAX:
        bound = "greater than or equal to 1" if not entries else f"less than or equal to {ENTRIES_MAX}"
        problem = f"Member must have length {bound}"
        message = f"1 validation error detected: Value at 'entries' failed to satisfy constraint: {problem}"
        raise failure(
            "events", Problem(code="ValidationException", message=message, is_known=False, request_id=request_id)
        )
    size = sum(len(json_text(each).encode()) for each in entries)
    if size > ENTRIES_BYTES_MAX:
        message = "Total size of the entries in the request is over the limit."
        raise failure(
            "events", Problem(code="ValidationException", message=message, is_known=False, request_id=request_id)
        )
    return [_entry(each, adding) for each in entries]


def put(entries: list[Entry | EntryFailed], ids: list[str]) -> dict[str, Json]:
    """Return AWS's answer: an id for each entry that a bus took, and an error for each that it did not. `ids` are as many."""
    shown: list[Json] = [
        {"ErrorCode": each.code, "ErrorMessage": each.message} if isinstance(each, EntryFailed) else {"EventId": event}
        for each, event in zip(entries, ids, strict=True)
    ]
    return {"Entries": shown, "FailedEntryCount": sum(isinstance(each, EntryFailed) for each in entries)}


def require_none_failed(answer: dict[str, Json]) -> None:
    """Fail the task where an entry failed, as Step Functions does, with the whole answer as the cause."""
    if answer["FailedEntryCount"]:
        raise CallFailed(FAILED_ENTRY, json_text(answer))


def entry_id(idempotency_key: str, number: int) -> str:
    """Return the id of the `number`-th entry of a call."""
    return identity("entry", idempotency_key, str(number))


def document_of(entry: Entry, *, id: str, time: str, account: str = "") -> dict[str, Any]:
    """Return an entry as the rules of a bus see it, and as targets get it."""
    return {
        "version": "0",
        "id": id,
        "detail-type": entry.detail_type,
        "source": entry.source,
        "account": account,
        "time": time,
        "region": "",
        "resources": list(entry.resources),
        "detail": parsed_json(entry.detail),
    }


def bus_of(name: str) -> str:
    """Return the name of a bus, of which the ARN may be given."""
    return name.rpartition("event-bus/")[2] or DEFAULT_BUS


def _entry(given: object, adding: tuple[str, ...]) -> Entry | EntryFailed:
    if not isinstance(given, Mapping):
        return EntryFailed("InvalidArgument", "An entry must be an object.")
    entry = {name: value for name, value in cast("Mapping[str, Any]", given).items() if value is not None}
    detail = entry.get("Detail")
    if isinstance(detail, dict):
        detail = json_text(cast("Json", detail))
    refused = _refused(entry, detail)
    if refused is not None:
        return refused
    return Entry(
        source=entry["Source"],
        detail_type=entry["DetailType"],
        detail=cast("str", detail),
        bus=bus_of(str(entry.get("EventBusName", ""))),
        resources=(*cast("list[str]", entry.get("Resources", [])), *adding),
        time_ms=_time_ms(entry["Time"]) if "Time" in entry else None,
    )


def _refused(entry: Mapping[str, Any], detail: object) -> EntryFailed | None:
    """Return why an entry is taken by no bus; None for one that is."""
    unknown = [name for name in entry if name not in _KNOWN]
    problems = [(name, "it is not known.") for name in unknown[:1]]
    problems += [(name, f"{name} is a required argument.") for name in _REQUIRED if entry.get(name) in (None, "")][:1]
    problems += [(name, "it is no text.") for name in ("Source", "DetailType") if not isinstance(entry.get(name), str)]
    if "Time" in entry and _time_ms(entry["Time"]) is None:
        problems.append(("Time", "it is no time."))
    resources = entry.get("Resources", [])
    if not isinstance(resources, list) or not all(isinstance(each, str) for each in cast("list[object]", resources)):
        problems.append(("Resources", "it is no list of texts."))
    if problems:
        name, reason = problems[0]
        return EntryFailed("InvalidArgument", f"Parameter {name} is not valid. Reason: {reason}")
    if not (isinstance(detail, str) and _is_object(detail)):
        return EntryFailed("MalformedDetail", "Detail is malformed.")
    if str(entry["Source"]).startswith("aws."):
        return EntryFailed("NotAuthorizedForSourceException", "Not authorized for the source.")
    return None


def _is_object(text: str) -> bool:
    try:
        return isinstance(parsed_json(text), dict)
    except ValueError:
        return False


def _time_ms(given: object) -> int | None:
    if isinstance(given, int | float) and not isinstance(given, bool):
        return round(given * 1000)
    moment_ns = timestamp_ns(given)
    return None if moment_ns is None else moment_ns // 1_000_000
