"""Asking the team many questions, and the figures of it."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

from penstock.app import Running
from penstock.demo.questions import Asked, Tally, Told
from penstock.demo.team import Answer, Question
from penstock.errors import PenstockError
from penstock.runtime.ingestion import Ingestion, Progress

AT_ONCE = 8
ANSWER_S_MAX = 300


async def require_model(live: Running) -> None:
    """Ask the model for one word, before anything else costs time.

    Raises `Invalid`, `Missing`, `Refused` or `Unavailable` when it cannot be used.
    """
    await live.engine.services.models.bound("default", _Nobody()).ask("Reply with the word yes.")


async def ask_all(live: Running, asked: list[Asked], session: str, progress: Progress) -> Tally:
    """Ask all questions, `AT_ONCE` at a time, each in a conversation of its own; asking again gives the same answers.

    The first error ends it, and leaves as itself.
    """
    places = asyncio.Semaphore(AT_ONCE)
    tally = Tally(asked=len(asked))
    tasks: list[asyncio.Task[Told]] = []
    failure: BaseException | None = None

    async def one(number: int, question: Asked) -> Told:
        async with places:
            event_id = f"{session}-{number:03d}"
            began = perf_counter()
            answer = await live.ask(
                Question(session_id=event_id, text=question.text), Answer, id=event_id, within_s=ANSWER_S_MAX
            )
            told = Told(question, answer, (perf_counter() - began) * 1000)
            tally.told.append(told)
            progress("answering", len(tally.told), len(asked))
            return told

    began = perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            tasks += [group.create_task(one(number, question)) for number, question in enumerate(asked)]
    except* PenstockError as errors:
        failure = errors.exceptions[0]
    if failure is not None:
        raise failure
    tally.seconds = perf_counter() - began
    tally.told = [task.result() for task in tasks]
    return tally


def report_of(tally: Tally, ingestion: Ingestion, store: Path) -> dict[str, Any]:
    """Return the figures of a demo as plain data. `answers` came, `answered` of them name a source."""
    return {
        "questions": tally.asked,
        "answers": len(tally.told),
        "answered": tally.answered,
        "only_nearest": tally.only_nearest,
        "supported": sum(each.answer.supported for each in tally.told),
        "hit_at_5": tally.hit_at_5,
        "turns_per_s": tally.turns_per_s,
        "p50_ms": tally.percentile_ms(0.5),
        "p99_ms": tally.percentile_ms(0.99),
        "passages": ingestion.passages,
        "passages_put": ingestion.put,
        "passages_deleted": ingestion.deleted,
        "passages_kept": ingestion.kept,
        "passages_per_s": round(ingestion.passages_per_s, 1),
        "findings": [asdict(finding) for finding in ingestion.findings],
        "store": str(store),
    }


class _Nobody:
    """Asks a model outside of any run: nothing is recorded, and nobody listens."""

    async def read(self, name: str, call: Callable[..., Any], /, *args: Any, **options: Any) -> Any:  # noqa: ARG002 - its shape
        return await call(*args, **options)

    def tell(self, text: str, *, name: str = "") -> None: ...
