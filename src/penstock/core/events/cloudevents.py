"""Events as the outside sees them: CloudEvents 1.0 in JSON (structured mode).

Source of the format: the CNCF's CloudEvents specification 1.0.2 and its JSON event format. Our own attributes travel
as extensions, whose names may hold lower-case letters and digits only.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeGuard

import msgspec

from penstock.core.events.envelope import DEFAULT_TENANT, Envelope
from penstock.core.telemetry.spans import valid_state
from penstock.errors import Finding, Invalid

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REQUIRED = ("id", "source", "type")
_INTEGER_MAX = 2**31 - 1  # section 3.1, "Type System": an Integer has 32 bits


def to_cloudevent(event: Envelope) -> dict[str, Any]:
    """Return the event as a CloudEvents document."""
    document: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": (_EPOCH + timedelta(milliseconds=event.time_ms)).isoformat(timespec="milliseconds"),
        "datacontenttype": "application/json",
        "data": msgspec.json.decode(event.data) if event.data else None,
    }
    extensions = {
        "subject": event.key,
        "tenant": event.tenant,
        "correlationid": event.correlation_id,
        "causationid": event.causation_id,
        "traceparent": event.traceparent,
        "tracestate": event.tracestate,
    }
    document.update({name: value for name, value in extensions.items() if value})
    if event.depth:
        document["depth"] = event.depth
    return document


def from_cloudevent(document: Mapping[str, Any], *, now_ms: int) -> Envelope:
    """Return the envelope of a CloudEvents document; `Invalid` with all findings when it is not one."""
    findings = [
        Finding(name, "must be a non-empty string", "CloudEvents requires it")
        for name in _REQUIRED
        if not (_is_text(document.get(name)) and document[name])
    ]
    if document.get("specversion") != "1.0":
        findings.append(Finding("specversion", f"is {document.get('specversion')!r}", 'only "1.0" is understood'))
    time_ms = _milliseconds(document.get("time"), now_ms, findings)
    texts = {
        name: _text(document, name, findings)
        for name in ("subject", "tenant", "correlationid", "causationid", "traceparent", "tracestate")
    }
    depth = document.get("depth")
    if depth is None:
        depth = 0
    if not isinstance(depth, int) or isinstance(depth, bool) or not 0 <= depth <= _INTEGER_MAX:
        findings.append(Finding("depth", f"is {depth!r}", f"an integer from 0 to {_INTEGER_MAX}"))
    if document.get("data_base64") is not None:
        findings.append(Finding("data_base64", "binary data is not taken", "send JSON in `data`"))
    data = _json(document.get("data"), findings)
    if findings:
        raise Invalid("the CloudEvent", tuple(findings))
    return Envelope(
        id=document["id"],
        source=document["source"],
        type=document["type"],
        key=texts["subject"],
        time_ms=time_ms,
        data=data,
        tenant=texts["tenant"] or DEFAULT_TENANT,
        correlation_id=texts["correlationid"] or document["id"],
        causation_id=texts["causationid"],
        depth=depth,
        traceparent=texts["traceparent"],
        tracestate=valid_state(texts["tracestate"]) if texts["tracestate"] else "",
    )


def _milliseconds(time: object, now_ms: int, findings: list[Finding]) -> int:
    if time is None:
        return now_ms
    try:
        moment = datetime.fromisoformat(time.upper()) if isinstance(time, str) else None  # "t" and "z" are allowed
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        findings.append(Finding("time", f"is {time!r}", "RFC 3339 with a zone, as 2026-01-31T12:00:00Z"))
        return now_ms
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _text(document: Mapping[str, Any], name: str, findings: list[Finding]) -> str:
    value = document.get(name)
    if value is None:  # JSON format 1.0.2, section 2.2: null stands for an attribute that is not set
        return ""
    if _is_text(value):
        return value
    findings.append(Finding(name, f"is {value!r}", "a string"))
    return ""


def _is_text(value: object) -> TypeGuard[str]:
    """Whether this is text that can be stored: `json.loads` lets half a character (a lone surrogate) pass."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _json(data: object, findings: list[Finding]) -> bytes:
    try:
        return msgspec.json.encode(data)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        findings.append(Finding("data", str(error), "send JSON"))
        return b""
