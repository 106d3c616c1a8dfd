"""Asking the team many questions, and the figures of it."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

from penstock.app import Running
from penstock.demo.display import Display
from penstock.demo.ingestion import Ingestion
from penstock.demo.questions import Asked, Tally, Told
from penstock.demo.team import Answer, Question

AT_ONCE = 8


async def ask_all(live: Running, asked: list[Asked], session: str, display: Display) -> Tally:
    """Ask all questions, `AT_ONCE` at a time, each in a conversation of its own; asking again gives the same answers."""
    places = asyncio.Semaphore(AT_ONCE)
    tally = Tally()

    async def one(number: int, question: Asked) -> Told:
        async with places:
            event_id = f"{session}-{number:03d}"
            began = perf_counter()
            answer = await live.ask(
                Question(session_id=event_id, text=question.text), Answer, id=event_id, within_s=300
            )
            told = Told(question, answer, (perf_counter() - began) * 1000)
            tally.told.append(told)
            display.progress("answering", len(tally.told), len(asked))
            return told

    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number, question)) for number, question in enumerate(asked)]
    tally.seconds = perf_counter() - began
    tally.told = [task.result() for task in tasks]
    return tally


def report_of(tally: Tally, ingestion: Ingestion, store: Path) -> dict[str, Any]:
    """Return the figures of a demo as plain data."""
    return {
        "questions": len(tally.told),
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
        "passages_per_s": round(ingestion.passages_per_s, 1),
        "findings": [asdict(finding) for finding in ingestion.findings],
        "store": str(store),
    }
