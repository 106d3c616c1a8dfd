"""Where spans go. Its contract, as tests: `penstock.testing.tracer_contract`."""

from contextlib import AbstractContextManager
from typing import Protocol

from penstock.core.telemetry.spans import SpanAsked, Value


class Span(Protocol):
    """A span that has begun."""

    @property
    def traceparent(self) -> str:
        """Where it is, for whoever goes on below it."""
        ...

    def note(self, name: str, value: Value) -> None: ...

    def rename(self, name: str) -> None:
        """Have it be called something else, once that is known."""
        ...

    def here(self) -> AbstractContextManager[None]:
        """Have what begins in the block lie below it. The block begins and ends in one task."""
        ...

    def stay(self) -> None:
        """Have what begins in this task from now on lie below it, to the task's end."""
        ...

    def end(self, error: str = "") -> None:
        """It is over. `error`: the class of what went wrong."""
        ...


class Tracer(Protocol):
    """Makes spans.

    Every implementation guarantees:

    TR1 below    A span lies in the trace of its parent, below it; one without begins a trace, whose id follows from `origin`.
    TR2 ids      The id of a span with an `identity` is `span_id_of` it, in every process: links name what was never seen here.
    TR3 here     What begins where a span is `here`, by whomever, lies below it, if it names no parent.
    TR4 bounded  No attribute has more than `TEXT_CHARS_MAX` characters, no span more than `LINKS_MAX` links.
    TR5 left out A span that is not sampled says so in its `traceparent`, and those below it are left out too.
    TR6 inner    One that is `inner` is left out where there is nothing that it could lie below.
    TR7 harmless Nothing raises, whatever it is given: a parent or a link that is none is passed over.
    TR8 far      `where` says where what begins now would lie; in another process what begins `below` that lies there.
    """

    def begin(self, asked: SpanAsked) -> Span: ...

    def where(self) -> str:
        """Return the `traceparent` of what goes on here; nothing where nothing does."""
        ...

    def below(self, traceparent: str) -> AbstractContextManager[None]:
        """Have what begins in the block lie below a span of another process. The block begins and ends in one task."""
        ...
