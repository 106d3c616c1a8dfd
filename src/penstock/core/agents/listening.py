"""Which runs listen to which events, and the index by which an event finds them.

A run that listens says a type, and values that fields of the event must have. Values are compared, no code is called: so
it survives restarts, may be kept by another worker, and is looked up. An event costs one look for each set of fields that
anybody compares, however many runs wait.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import Struct
from pydantic import TypeAdapter, ValidationError

from penstock.core.agents.journal import StepRecord, decode_value
from penstock.core.events.envelope import Envelope
from penstock.core.events.event import Event, findings_of
from penstock.core.events.versions import parsed
from penstock.errors import Finding, Invalid

FIELDS_MAX = 16
TEXT_CHARS_MAX = 1024
LISTEN = "listen:"
CLOSED = "/closed"
CHANNEL = "~"  # what a channel begins with, and the name of a signal does not
Plain = dict[str, Any]
Scalar = str | int | float | bool | None


class Listening(Struct, frozen=True):
    """One run that listens. It is stored: new fields go to the end, with a default."""

    run_id: str
    channel: str  # the name under which the run takes what came
    tenant: str
    run_key: str  # what places the run in its partition
    topic: str
    event: str  # the name of the event's class: all its versions are heard
    key: str | None = None  # of the events; None: any
    match: dict[str, Any] = {}
    once: bool = False  # whether the first event is all that it waits for

    @property
    def name(self) -> str:
        """What tells it from all others."""
        return f"{self.run_id}{self.channel}"


class ListeningIndex:
    """Those that listen in one partition."""

    def __init__(self) -> None:
        self._known: dict[str, Listening] = {}
        self.topics: Counter[str] = Counter()  # how many listen to each topic
        # (topic, tenant, event) -> fields that are compared -> their values -> who listens, by name
        self._found: dict[tuple[str, str, str], dict[tuple[str, ...], dict[bytes, dict[str, Listening]]]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def add(self, each: Listening) -> None:
        """Find it from now on; adding it again changes nothing."""
        self.remove(each.name)
        self._known[each.name] = each
        self.topics[each.topic] += 1
        fields = self._found.setdefault((each.topic, each.tenant, each.event), {})
        fields.setdefault(_fields(each), {}).setdefault(_values(each), {})[each.name] = each

    def remove(self, name: str) -> Listening | None:
        """Find it no more; None when it was not there."""
        each = self._known.pop(name, None)
        if each is None:
            return None
        self.topics[each.topic] -= 1
        of, compared, values = (each.topic, each.tenant, each.event), _fields(each), _values(each)
        del self._found[of][compared][values][name]
        if not self._found[of][compared][values]:
            del self._found[of][compared][values]
        if not self._found[of][compared]:
            del self._found[of][compared]
        if not self._found[of]:
            del self._found[of]
        return each

    def hearing(self, topic: str, event: Envelope, plain: Callable[[], Plain]) -> list[Listening]:
        """Return those that hear an event. `plain` returns its data, and is called where fields are compared."""
        named = parsed(event.type)
        fields = None if named is None else self._found.get((topic, event.tenant, named[0]))
        if not fields:
            return []
        data = plain() if any(compared != () for compared in fields) else {}
        found: list[Listening] = []
        for compared, by_values in fields.items():
            values = _seen(compared, event.key, data)
            if values is not None:
                found += by_values.get(values, {}).values()
        return found


def listening_to(
    event: type[Event], key_field: str | None, key: str | None, match: Mapping[str, Any]
) -> tuple[str | None, Plain]:
    """Return the key and the plain values of fields that an event must have; `Invalid` with all findings.

    A value of the field that orders the events is their key.
    """
    findings: list[Finding] = []
    plain: Plain = {}
    if len(match) > FIELDS_MAX:
        findings.append(Finding("match", f"compares {len(match)} fields", f"at most {FIELDS_MAX}"))
    for name, value in match.items():
        if name not in event.model_fields:
            hint = f"one of {', '.join(event.model_fields) or 'none: it has no fields'}"
            findings.append(Finding(f"match.{name}", f"is not a field of {event.__name__}", hint))
            continue
        try:
            adapter = _adapter(event, name)
            valid = adapter.validate_python(value)
            plain[name] = adapter.dump_python(valid, mode="json")
        except ValidationError as error:
            findings += [Finding(f"match.{name}", each.problem, each.hint) for each in findings_of(error)]
            continue
        if not _is_scalar(plain[name]):
            problem = f"is {plain[name]!r:.100}"
            findings.append(Finding(f"match.{name}", problem, "compare a text, a number, a bool or None"))
        elif name == key_field:
            if key not in (None, str(valid)):
                findings.append(Finding("key", f"is {key!r}, and match.{name} says {valid!r}", "give one of them"))
            key = str(valid)
    if key is not None and not (isinstance(key, str) and len(key) <= TEXT_CHARS_MAX):  # pyright: ignore[reportUnnecessaryIsInstance] - users without a type checker
        findings.append(Finding("key", f"is {key!r:.100}", f"a text of at most {TEXT_CHARS_MAX} characters"))
    if findings:
        raise Invalid(f"what is waited for of {event.__name__}", tuple(findings))
    return key, plain


def open_listenings(records: Iterable[StepRecord]) -> dict[str, Listening]:
    """Return what the run of a journal listens to, by the steps that began it."""
    found: dict[str, Listening] = {}
    for record in records:
        if record.step.rpartition("/")[2].startswith(LISTEN):
            found[record.step] = decode_value(record.value, Listening)
        elif record.step.endswith(CLOSED):
            found.pop(record.step.removesuffix(CLOSED), None)
    return found


def told_listening(each: Listening) -> str:
    """Return what is listened to, for people."""
    compared = ({} if each.key is None else {"key": each.key}) | each.match
    return f"{each.event}({', '.join(f'{name}={value!r}' for name, value in compared.items())})"


@lru_cache(maxsize=1024)
def _adapter(event: type[Event], name: str) -> TypeAdapter[Any]:
    field = event.model_fields[name]
    kind: Any = Annotated[field.annotation, field]
    return TypeAdapter[Any](kind)


def _is_scalar(value: object) -> bool:
    return value is None or (isinstance(value, str | int | float) and len(str(value)) <= TEXT_CHARS_MAX)


def _fields(each: Listening) -> tuple[str, ...]:
    """Return what is compared: fields by their names, and the key by an empty one."""
    return (*(("",) if each.key is not None else ()), *sorted(each.match))


def _values(each: Listening) -> bytes:
    return msgspec.json.encode([each.match[name] if name else each.key for name in _fields(each)])


def _seen(compared: tuple[str, ...], key: str, data: Plain) -> bytes | None:
    """Return an event's own values of what is compared; None when it does not have them."""
    if not all(not name or (name in data and _is_scalar(data[name])) for name in compared):
        return None
    return msgspec.json.encode([data[name] if name else key for name in compared])
