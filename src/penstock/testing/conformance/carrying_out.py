"""Carrying out the course of a conformance test: at places of its own, within its time, with a report whatever happens."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import asdict
from time import perf_counter
from typing import Protocol

from penstock.settings import Settings, shown_url
from penstock.testing.conformance.places import Places, places
from penstock.testing.conformance.report import Report


class Runs(Protocol):
    """A course; `doing` says what it is at."""

    doing: str

    async def run(self) -> None:
        """Go through all of it."""
        ...


async def carried_out(
    given: Settings, course: Callable[[Places, Report], Runs], shown: Collection[str], *, within_s: float, keep: bool
) -> Report:
    """Run a course at the addresses of the settings. The report names those that are `shown`, without their passwords."""
    began = perf_counter()
    report = Report({name: shown_url(value) for name, value in asdict(given).items() if value and name in shown})
    async with places(given, keep=keep) as where:
        begun = course(where, report)
        try:
            async with asyncio.timeout(within_s):
                await begun.run()
        except TimeoutError:
            report["C11"].findings.append(f"it did not end within {within_s:g} s, while: {begun.doing}")
        if keep:
            kept = [shown_url(where.depot.store)] if "store" in shown else []
            report.notes.append(" ".join(["kept:", *kept, str(where.folder)]))
    report.seconds = round(perf_counter() - began, 1)
    return report
