"""A recording of what an app asked of models and tools: made once against the real ones, and played without them.

    tape = testing.Cassette("tests/answers.jsonl")
    async with testing.app(app, models={"answerer": tape.model("answerer", real)}, tools=tape.tools) as live: ...

- `mode`: "replay" asks nobody, "record" asks the real ones and writes the file anew, "passthrough" asks them and writes
  nothing. Without it, `PENSTOCK_CASSETTES` says which, and without that it is "replay".
- The n-th call with the same name and arguments gets the n-th answer; the last one is given again to whoever calls on, as a
  process does that was killed before it could record.
- A call that is not on the tape is `Invalid`, with all that differs from the recorded call that is most like it.
- Secrets do not get onto the tape: `redact` is given the plain data of each call and answer. What it returns is written, and is
  compared.
"""

import os
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from inspect import isawaitable
from pathlib import Path
from typing import Any, Literal, cast, get_args

import msgspec
from msgspec import Struct

from penstock.core.agents.journal import shaped
from penstock.errors import Finding, Invalid, Missing, Refused
from penstock.ports.chat_model import ChatEnd, ChatModel, ChatRequest, TextDelta
from penstock.runtime.steps import type_returned
from penstock.testing.differences import differences, fewest
from penstock.testing.plain_data import Failure, failure_of, plain, redacted

Mode = Literal["replay", "record", "passthrough"]
VARIABLE = "PENSTOCK_CASSETTES"
RECORD_AGAIN = f"if that is meant, record it again: {VARIABLE}=record"
ASKING = "ask:"  # the steps in which an agent asks a model: models are recorded by themselves


class Entry(Struct, frozen=True, omit_defaults=True):
    """A line of the file. New fields go to the end, with a default."""

    kind: Literal["tool", "model"]
    name: str
    request: Any
    answer: Any = None  # of a model: its pieces, and its end
    failure: Failure | None = None


class Cassette:
    """A file of calls with their answers, one JSON object a line."""

    def __init__(self, path: str | Path, mode: Mode | None = None, *, redact: Callable[[Any], Any] = redacted) -> None:
        self.path = Path(path)
        self.mode = _mode(mode)
        self._redact = redact
        self._entries: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        self._played: dict[tuple[str, str, bytes], int] = {}
        self._is_fresh = False
        if self.mode == "replay":
            for entry in _read(self.path):
                self._entries[entry.kind, entry.name].append(entry)

    @property
    def unplayed(self) -> list[str]:
        """Return the names of the tools and models of which a recorded call has not been made."""
        return [
            name
            for (kind, name), entries in self._entries.items()
            for request in {_key(entry.request): None for entry in entries}
            if (kind, name, request) not in self._played
        ]

    async def tools(
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], options: Mapping[str, Any]
    ) -> Any:
        """Answer in place of the function of a step: for `testing.app(..., tools=tape.tools)`."""
        if self.mode == "passthrough" or name.startswith(ASKING):
            return await _called(call, args, options)
        request = self._redact(plain({"args": list(args), **({"options": dict(options)} if options else {})}))
        if self.mode == "replay":
            entry = self._find("tool", name, request)
            if entry.failure is not None:
                raise entry.failure.error()
            return shaped(entry.answer, type_returned(call))
        try:
            answer = await _called(call, args, options)
        except Exception as error:
            self._write(Entry("tool", name, request, failure=failure_of(error)))
            raise
        self._write(Entry("tool", name, request, self._redact(plain(answer))))
        return answer

    def model(self, name: str, real: ChatModel | None = None) -> ChatModel:
        """Return a model that records the answers of the real one, or plays them; it is told from others by its name."""
        if self.mode != "replay" and real is None:
            raise Missing(f"the model that {name!r} is recorded from", f"give it: tape.model({name!r}, the_real_one)")
        return _TapedModel(self, name, real)

    async def stream(
        self, name: str, real: ChatModel | None, asked: ChatRequest
    ) -> AsyncGenerator[TextDelta | ChatEnd]:
        """Stream what a model answers."""
        request = self._redact(plain(asked))
        if self.mode == "replay":
            entry = self._answer_of(name, request)
            for text in entry.answer["pieces"]:
                yield TextDelta(text)
            if entry.failure is not None:
                raise entry.failure.error()
            yield msgspec.convert(entry.answer["end"], ChatEnd)
            return
        assert real is not None
        pieces: list[str] = []
        end: ChatEnd | None = None
        try:
            async with aclosing(cast("AsyncGenerator[TextDelta | ChatEnd]", real.stream(asked))) as stream:
                async for piece in stream:
                    if isinstance(piece, ChatEnd):
                        end = piece
                    else:
                        pieces.append(piece.text)
                    yield piece
        except Exception as error:
            if self.mode == "record":
                answer = self._redact({"pieces": pieces, "end": None})
                self._write(Entry("model", name, request, answer, failure_of(error)))
            raise
        if self.mode == "record":
            self._write(Entry("model", name, request, self._redact({"pieces": pieces, "end": plain(end)})))

    def _answer_of(self, name: str, request: Any) -> Entry:
        try:
            return self._find("model", name, request)
        except Invalid as error:  # of a model nothing else may come out (M2)
            raise Refused(f"{error.what}:\n  " + "\n  ".join(map(str, error.findings)), RECORD_AGAIN) from error

    def _find(self, kind: str, name: str, request: Any) -> Entry:
        key = (kind, name, _key(request))
        entries = self._entries.get((kind, name), [])
        same = [entry for entry in entries if _key(entry.request) == key[2]]
        if not same:
            raise Invalid(f"a call of {name!r}, which is not on {self.path}", self._findings(kind, name, request))
        number = self._played.get(key, 0)
        self._played[key] = number + 1
        return same[min(number, len(same) - 1)]

    def _findings(self, kind: str, name: str, request: Any) -> tuple[Finding, ...]:
        entries = self._entries.get((kind, name), [])
        if not entries:
            known = ", ".join(sorted({name for of_kind, name in self._entries if of_kind == kind})) or "none"
            return (Finding("name", f"no {kind} of that name was recorded; recorded: {known}", RECORD_AGAIN),)
        found = [differences(request, entry.request) for entry in entries]
        return tuple(Finding(path, problem, RECORD_AGAIN) for path, problem in fewest(found))

    def _write(self, entry: Entry) -> None:
        if not self._is_fresh:  # only now: a test that calls nothing leaves an older tape alone
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(b"")
            self._is_fresh = True
        with self.path.open("ab") as file:
            file.write(msgspec.json.encode(entry, order="sorted") + b"\n")


class _TapedModel:
    def __init__(self, tape: Cassette, name: str, real: ChatModel | None) -> None:
        self._tape, self._name, self._real = tape, name, real

    @property
    def name(self) -> str:
        return f"recorded:{self._name}" if self._real is None else self._real.name

    def stream(self, request: ChatRequest) -> AsyncIterator[TextDelta | ChatEnd]:
        return self._tape.stream(self._name, self._real, request)


async def _called(call: Callable[..., Any], args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
    result = call(*args, **options)
    return await result if isawaitable(result) else result


def _mode(given: str | None) -> Mode:
    mode = given or os.environ.get(VARIABLE) or "replay"
    if mode not in get_args(Mode):
        raise Invalid(
            "the mode of a cassette", (Finding("mode", f"is {mode!r}", f"one of {', '.join(get_args(Mode))}"),)
        )
    return cast("Mode", mode)


def _key(request: Any) -> bytes:
    return msgspec.json.encode(request, order="sorted")


def _read(path: Path) -> list[Entry]:
    """Return the entries of a file; `Invalid` with all lines that are none."""
    if not path.is_file():
        raise Missing(f"the cassette {path}", f"record it, with the real models and tools: {VARIABLE}=record")
    entries: list[Entry] = []
    findings: list[Finding] = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            entries.append(msgspec.json.decode(line, type=Entry))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            findings.append(Finding(f"line {number}", str(error), f"record it again: {VARIABLE}=record"))
    if findings:
        raise Invalid(f"the cassette {path}", tuple(findings))
    return entries
