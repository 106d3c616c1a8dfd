"""Spans of calls of models and indexes, named as OpenTelemetry's conventions for generative AI and for databases have it.

The constants are here: those conventions are still on the move (semantic-conventions-genai, status Development).
"""

import os
from collections.abc import Awaitable
from socket import gethostname
from typing import Protocol, TypeVar

from penstock.core.hosting.messages import Handle
from penstock.core.telemetry.spans import SpanAsked, Value, model_named
from penstock.ports.tracer import Span
from penstock.runtime.tracing import SYSTEM, Traces

T = TypeVar("T")


class Answered(Protocol):
    """What a model answered."""

    @property
    def model(self) -> str: ...
    @property
    def tokens_in(self) -> int: ...
    @property
    def tokens_out(self) -> int: ...


A = TypeVar("A", bound=Answered)


async def handled_there(traces: Traces, attempt: Handle, work: Awaitable[T]) -> T:
    """Wait for a handler in a worker of a host, as a span below the attempt that the engine makes."""
    attributes: dict[str, Value] = {
        "gen_ai.agent.name": attempt.agent,
        "penstock.run.id": attempt.run_id,
        "penstock.attempt": attempt.attempt,
        "host.name": gethostname(),
        "process.pid": os.getpid(),
    }
    asked = SpanAsked(f"handle {attempt.agent}", parent=attempt.traceparent, attributes=attributes)
    return await traces.awaited(traces.tracer.begin(asked), work)


async def chatted(traces: Traces, model: str, prompt: str, tokens_max: int, answer: Awaitable[A]) -> A:
    """Wait for a model's answer as a span: who was asked with which prompt (its name and hash), and what it cost."""
    provider, name = model_named(model)
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": name,
        "gen_ai.request.max_tokens": tokens_max,
    }
    if prompt:
        attributes["penstock.prompt"] = prompt
    span = traces.below(f"chat {name}", "client", attributes)

    async def noted() -> A:
        reply = await answer
        span.note("gen_ai.response.model", model_named(reply.model)[1])
        span.note("gen_ai.usage.input_tokens", reply.tokens_in)
        span.note("gen_ai.usage.output_tokens", reply.tokens_out)
        return reply

    return await traces.awaited(span, noted())


def searching(traces: Traces, collection: str, mode: str, limit: int) -> Span:
    """Begin the span of a search in a collection."""
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.data_source.id": collection,
        "db.system.name": SYSTEM,
        "db.operation.name": "search",
        "db.collection.name": collection,
        "penstock.search.mode": mode,
        "penstock.search.limit": limit,
    }
    return traces.below(f"search {collection}", "internal", attributes)


async def searched(span: Span, traces: Traces, work: Awaitable[list[T]]) -> list[T]:
    """Wait for what a search finds."""

    async def noted() -> list[T]:
        found = await work
        span.note("db.response.returned_rows", len(found))
        return found

    return await traces.awaited(span, noted())


async def asked_of_index(
    traces: Traces, operation: str, collection: str, system: str, count: int, work: Awaitable[T]
) -> T:
    """Wait for an index as a span: `count` is how many queries or writes it gets at once."""
    attributes: dict[str, Value] = {
        "db.system.name": system,
        "db.operation.name": operation,
        "db.collection.name": collection,
        "db.operation.batch.size": count,
    }
    return await traces.awaited(traces.below(f"{operation} {collection}", "client", attributes), work)
