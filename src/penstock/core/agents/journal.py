"""The journal of a run: what each step returned, so that it is never executed again (C4).

A step's id is its name with the number of earlier calls of that name, so that steps that run side by side are found
again whatever order they ended in.
"""

import sys
import typing
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from penstock.errors import Finding, Invalid, LimitReached

FORGOTTEN = "~forgotten"  # no step of a user: those end in a number
STEP_BYTES_MAX = 64 * 1024 * 1024


class StepRecord(Struct, frozen=True, array_like=True):
    """What a finished step returned. New fields go to the end, with a default."""

    step: str
    value: Raw  # MessagePack
    at_ms: int
    place: int = -1  # in a workflow: how many operations its branch had asked for before; -1: not known


_records = msgspec.msgpack.Decoder(list[StepRecord])
_DAMAGE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)  # all that bytes from anywhere can cause


class Journal:
    """The records of one run: those found in the store, and those made since."""

    __slots__ = ("_calls", "_known", "fresh", "recalled", "stored")

    def __init__(self, known: Iterable[StepRecord] = (), stored: int = 0, *, recalled: bool = False) -> None:
        self._known = {record.step: record for record in standing(known)}
        self._calls: dict[str, int] = {}
        self.fresh: list[StepRecord] = []  # recorded, and not yet handed to the committer
        self.stored = stored  # chunks in the store
        self.recalled = recalled  # an earlier process may have worked on the run

    def rewind(self) -> None:
        """Begin another attempt, which asks for the same steps from the beginning."""
        self._calls.clear()

    def next_step(self, name: str) -> str:
        """Return the id of the call of step `name` that happens now."""
        number = self._calls.get(name, 0)
        self._calls[name] = number + 1
        return f"{name}#{number}"

    def upcoming_step(self, name: str) -> str:
        """Return the id that the next call of step `name` will have."""
        return f"{name}#{self._calls.get(name, 0)}"

    def named(self, step: str) -> str:
        """Return what tells a step from all others of the run, also from those of journals that it went on without."""
        return step

    def told(self, stream: str) -> int:  # noqa: ARG002 - a run that goes on with another journal knows more
        """Return up to which offset of a stream the run told before this journal began: that stands."""
        return 0

    def find(self, step: str) -> Raw | None:
        """Return what the step returned when it was executed, or None when it was not."""
        record = self._known.get(step)
        return None if record is None else record.value

    def records(self) -> list[StepRecord]:
        """Return all records, in their order."""
        return list(self._known.values())

    def whole(self, step: str) -> StepRecord:
        """Return the record of a step that has one."""
        return self._known[step]

    def record(self, step: str, value: bytes, at_ms: int, place: int = -1) -> None:
        """Note what a step returned (MessagePack)."""
        if len(value) > STEP_BYTES_MAX:
            raise LimitReached(f"the result of step {step}, in bytes,", len(value), STEP_BYTES_MAX)
        entry = StepRecord(step, Raw(value), at_ms, place)
        self._known[step] = entry
        self.fresh.append(entry)

    def __len__(self) -> int:
        return len(self._known)


def standing(records: Iterable[StepRecord]) -> list[StepRecord]:
    """Return the records that hold, in their order: without those that a later record says are forgotten."""
    found: dict[str, StepRecord] = {}
    for record in records:
        if record.step != FORGOTTEN:
            found[record.step] = record
            continue
        steps = decode_value(record.value, list[str] | None)
        for step in list(found) if steps is None else steps:
            found.pop(step, None)
    return list(found.values())


def forgotten(steps: Iterable[str] | None, at_ms: int) -> StepRecord:
    """Return the record that makes a run forget what these steps came to (None: all), so that they are executed again."""
    return StepRecord(FORGOTTEN, Raw(encode_value(None if steps is None else list(steps), FORGOTTEN)), at_ms)


def encode_chunk(records: list[StepRecord]) -> bytes:
    """Return the stored form of some records of one run."""
    return msgspec.msgpack.encode(records)


def decode_chunk(body: bytes) -> list[StepRecord]:
    """Return the records in a chunk; `Invalid` when it is damaged."""
    try:
        return [msgspec.structs.replace(record, value=record.value.copy()) for record in _records.decode(body)]
    except _DAMAGE as error:
        raise Invalid("a stored journal", (Finding("body", str(error), "restore a backup"),)) from error


def encode_value(value: Any, step: str) -> bytes:
    """Return a step's result as MessagePack; `Invalid` when it is nothing that can be stored."""
    try:
        return _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        hint = "return numbers, text, bytes, lists, dicts, dataclasses, Structs or pydantic models"
        raise Invalid(f"the result of step {step}", (Finding("value", str(error), hint),)) from error


def decode_value(value: Raw | bytes, to: Any) -> Any:
    """Return a stored result as type `to` (`Any` or `object`: plain data); `Invalid` when it is damaged or does not fit."""
    try:
        plain = msgspec.msgpack.decode(value)
    except _DAMAGE as error:
        raise Invalid("a stored value", (Finding("value", str(error), "restore a backup"),)) from error
    return plain if to in (Any, object) else shaped(plain, to)


def shaped(plain: Any, to: Any) -> Any:
    """Return plain data as type `to`, which may hold pydantic models and numpy arrays; `Invalid` when it does not fit.

    A class may have a class method `upcast_stored`, which is given the plain data first: a pure function that brings what
    an older version of the code stored to what the class is now, and returns the newest as it is. An `Event` has one.
    An array comes back with the type that numpy gives to its numbers: what is stored does not tell float32 from float64.
    """
    upcast = getattr(to, "upcast_stored", None)  # what an older version of the code stored, brought to the newest
    try:
        return msgspec.convert(plain if upcast is None else upcast(plain), to, dec_hook=_rebuilt)
    except (msgspec.ValidationError, RecursionError, TypeError) as error:  # TypeError: a union of two models, say
        raise Invalid("a recorded value", (Finding("value", str(error), f"expected {to}"),)) from error


def plain_of(value: Any) -> Any:
    """Return a pydantic model, or what numpy has, as plain data; `TypeError` for what cannot be."""
    dump = getattr(value, "model_dump", None)  # pydantic, without importing it
    if dump is not None:
        return dump(mode="json")
    tolist = getattr(value, "tolist", None)  # numpy scalars and arrays
    if tolist is not None:
        return tolist()
    raise TypeError(f"{type(value).__name__} cannot be stored")


_encode = msgspec.msgpack.Encoder(enc_hook=plain_of).encode


def _rebuilt(to: Any, plain: Any) -> Any:
    validate = getattr(to, "model_validate", None)
    if validate is not None:
        upcast = getattr(to, "upcast_stored", None)
        return validate(plain if upcast is None else upcast(plain))
    origin: Any = typing.get_origin(to) or to
    if getattr(origin, "__module__", "") == "numpy":  # whoever names numpy's types has imported it
        numpy: Any = sys.modules["numpy"]
        return numpy.asarray(plain) if issubclass(origin, numpy.ndarray) else origin(plain)
    raise TypeError(f"{to} cannot be read back: annotate the step with plain data, a dataclass, a Struct or a model")
