"""What a person sees of the demo: progress, the table of answers, a conversation."""

import asyncio
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from penstock.app import Running
from penstock.demo.ingestion import Ingestion
from penstock.demo.questions import Tally
from penstock.demo.team import Answer, Question
from penstock.errors import PenstockError
from penstock.runtime.releases import Listener

OFFLINE = "offline:extractive"
_OFFLINE_NOTE = (
    "The answers are sentences picked from the documents by the offline, extractive model: nothing is made up, and nothing is "
    "understood. For written answers: PENSTOCK_MODEL=openai:NAME (or ollama:NAME, http://host/v1#NAME, ...) penstock demo"
)


class Display:
    """Progress bars by name: they appear when something is first heard of. It may be called from threads."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description:>10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
        )
        self._progress = Progress(*columns, TimeElapsedColumn(), console=console, transient=False)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._progress.stop()

    def progress(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total, rate="")
        task = self._progress.tasks[self._tasks[what]]
        rate = f"{task.finished_speed or task.speed or 0:,.0f}/s" if what == "indexing" and total else ""
        self._progress.update(self._tasks[what], completed=done, total=total, rate=rate)


def show(console: Console, tally: Tally, ingestion: Ingestion, *, store: Path, model: str) -> None:
    """Print answers, figures, and how to go on."""
    table = Table(show_lines=True, expand=True)
    table.add_column("question", ratio=3)
    table.add_column("answer", ratio=6)
    table.add_column("sources (expected one in green)", ratio=3)
    for told in tally.told:
        expected = told.asked.expected
        sources = [
            f"[green]{escape(source)}[/]" if source in expected else escape(source)
            for source in dict.fromkeys(told.answer.sources)
        ]
        doubt = "" if told.answer.supported else f"\n[yellow]not supported: {escape(told.answer.why)}[/]"
        table.add_row(escape(told.asked.text), escape(told.answer.text) + doubt, "\n".join(sources))
    console.print(table)
    for finding in ingestion.findings:
        console.print(f"[yellow]left out[/] {escape(str(finding))}")
    hit = "-" if tally.hit_at_5 is None else f"{tally.hit_at_5:.2f}"
    console.print(
        f"{tally.answered} of {len(tally.told)} questions answered ({tally.only_nearest} with no more than the nearest passage), "
        f"expected source among the first five: {hit}\n"
        f"{tally.turns_per_s:g} turns/s, p50 {tally.percentile_ms(0.5):g} ms, p99 {tally.percentile_ms(0.99):g} ms\n"
        f"{ingestion.passages:,} passages: {ingestion.put:,} indexed now ({ingestion.passages_per_s:,.0f}/s), "
        f"{ingestion.deleted:,} removed\n"
        f"Everything lies in {store}. Look into it: penstock runs list --store sqlite:{store}\n"
        "Again: penstock demo (reads only what changed) · penstock demo --interactive · penstock demo --crash"
    )
    if model == OFFLINE:
        console.print(f"[dim]{_OFFLINE_NOTE}[/]")


async def chat(live: Running, console: Console, model: str) -> None:
    """Talk with the team in one conversation, until an empty line or the end of the input."""
    clock = live.engine.services.clock
    session = clock.new_id()
    console.print(f"Ask about the documents (model: {model}). An empty line ends the conversation.")
    while True:
        try:
            text = (await asyncio.to_thread(console.input, "[bold]you[/] > ")).strip()
        except (EOFError, KeyboardInterrupt):
            return
        if not text:
            return
        try:
            answer = await _told_live(live, console, Question(session_id=session, text=text), clock.new_id())
        except PenstockError as error:
            console.print(f"[red]{escape(str(error))}[/]")
            continue
        console.print(f"[dim]{escape(', '.join(dict.fromkeys(answer.cited)) or 'no source')}[/]")


async def _told_live(live: Running, console: Console, question: Question, event_id: str) -> Answer:
    """Ask, and show the answer as it is written; what the evaluator then rejects is written again."""
    with live.engine.services.releases.listening(event_id) as listener:
        shower = asyncio.ensure_future(_show_pieces(listener, console))
        try:
            answer = await live.ask(question, Answer, id=event_id, within_s=300)
            await asyncio.sleep(0)
        finally:
            shower.cancel()
    console.print()
    return answer


async def _show_pieces(listener: Listener, console: Console) -> None:
    async for piece in listener.pieces():
        if piece.kind == "token" and piece.name == "answer":
            console.print(escape(piece.text), end="")
        elif piece.kind == "event" and piece.name.startswith("Rejected"):
            console.print("\n[yellow](the evaluator rejects this; once more)[/]")
