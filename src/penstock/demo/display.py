"""What a person sees of the demo: progress, answers, what was missed, and the figures last."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from penstock.demo.asking import AT_ONCE
from penstock.demo.options import DemoOptions
from penstock.demo.questions import Tally, Told
from penstock.errors import Finding
from penstock.runtime.ingestion import Ingestion

OFFLINE = "offline:extractive"
ROWS = 10
FINDINGS_MAX = 20
_OFFLINE_NOTE = (
    "The answers are sentences picked from the documents by the offline, extractive model: nothing is made up, and nothing is "
    "understood. For written answers: PENSTOCK_MODEL=openai:NAME (or ollama:NAME, http://host/v1#NAME, ...) penstock demo"
)


class Display:
    """Progress bars by name: they appear when something is first heard of. It may be called from threads.

    Before that nothing is drawn, so that an early error stands alone.
    """

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description:>10}"),
            BarColumn(),
            TextColumn("{task.fields[done]}"),
        )
        self._progress = Progress(*columns, TimeElapsedColumn(), console=console, transient=False)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._progress.stop()

    def progress(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` are done; with a total of 0, that there was nothing to do."""
        if not self._tasks:
            self._progress.start()
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total or 1, done="")
        task = self._progress.tasks[self._tasks[what]]
        if total == 0:
            self._progress.update(task.id, completed=1, done="nothing changed")
            return
        per_s = task.finished_speed or task.speed or 0
        rate = f" {per_s:,.0f}/s" if what == "indexing" and per_s >= 1 else ""
        self._progress.update(task.id, completed=done, total=total, done=f"{done:,}/{total:,}{rate}")


def show(
    console: Console, tally: Tally, ingestion: Ingestion, options: DemoOptions, *, store: Path, model: str
) -> None:
    """Print answers, misses, findings, how to go on, and the figures at the end."""
    shown = tally.told if options.everything else tally.told[:ROWS]
    console.print(_table(shown))
    if len(shown) < len(tally.told):
        console.print(f"These are {len(shown)} of {len(tally.told)} answers; --all shows them all.")
    _show_misses(console, tally.misses)
    _show_findings(console, ingestion.findings)
    if model == OFFLINE:
        console.print(f"[dim]{_OFFLINE_NOTE}[/]")
    again = "penstock demo" if options.docs is None else f"penstock demo --docs {options.docs}"
    console.print(
        f"Everything lies in {escape(str(store))}. Look into it: penstock runs list --store sqlite:{escape(str(store))}\n"
        f"Again: {escape(again)} (reads only what changed), with --interactive, or with --crash\n"
    )
    console.print(f"{_answered(tally)}\n{_rates(tally)}\n{_passages(ingestion)}", highlight=False)


def show_found(console: Console, ingestion: Ingestion) -> None:
    """Print what was found in the documents, where nothing is asked yet."""
    _show_findings(console, ingestion.findings)
    console.print(_passages(ingestion), highlight=False)


def _table(shown: Sequence[Told]) -> Table:
    table = Table(show_lines=True, expand=True)
    table.add_column("question", ratio=3, overflow="fold")
    table.add_column("answer", ratio=5, overflow="fold")
    is_expected = any(told.asked.expected for told in shown)
    table.add_column("sources (expected in green)" if is_expected else "sources", ratio=4, overflow="fold")
    for told in shown:
        doubt = "" if told.answer.supported else f"\n[yellow]not supported: {escape(told.answer.why)}[/]"
        table.add_row(escape(told.asked.text), escape(told.answer.text) + doubt, _sources(told))
    return table


def _sources(told: Told) -> Text:
    """Return the sources, each with the numbers under which the answer cites it."""
    numbers: dict[str, str] = {}
    for number, source in enumerate(told.answer.sources, start=1):
        numbers[source] = f"{numbers.get(source, '')}[{number}]"
    lines = (
        Text(f"{marks} {source}", style="green" if source in told.asked.expected else "")
        for source, marks in numbers.items()
    )
    return Text("\n").join(lines)


def _show_misses(console: Console, misses: Sequence[Told]) -> None:
    if not misses:
        return
    console.print(f"\n[bold]Not found[/] (question -> expected; found instead), {len(misses)}:", highlight=False)
    for told in misses:
        found = ", ".join(dict.fromkeys(told.answer.sources)) or "nothing"
        console.print(Text(f"- {told.asked.text} -> {' or '.join(told.asked.expected)}; {found}"))
    console.print()


def _show_findings(console: Console, findings: Sequence[Finding]) -> None:
    for finding in findings[:FINDINGS_MAX]:
        console.print(f"[yellow]note[/] {escape(str(finding))}", highlight=False)
    if len(findings) > FINDINGS_MAX:
        console.print(
            f"[yellow]note[/] and {len(findings) - FINDINGS_MAX} more: --json names them all", highlight=False
        )


def _answered(tally: Tally) -> str:
    asked = f"{tally.asked} question{'s' if tally.asked != 1 else ''}"
    said = [f"{tally.answered} answered with a source (of these {tally.only_nearest} only with the nearest passage)"]
    if without := len(tally.told) - tally.answered:
        said.append(f"{without} without one")
    if doubted := sum(not each.answer.supported for each in tally.told):
        said.append(f"{doubted} answers doubted by the evaluator")
    lines = [f"{asked}: {', '.join(said)}."]
    hits = [each.hit for each in tally.told if each.hit is not None]
    if hits:
        lines.append(
            f"An expected source was among the five passages found for {sum(hits)} of {len(hits)} (hit@5: {tally.hit_at_5:.2f})."
        )
    return "\n".join(lines)


def _rates(tally: Tally) -> str:
    return (
        f"{tally.turns_per_s:g} answers/s, {AT_ONCE} at once; "
        f"half took up to {tally.percentile_ms(0.5):g} ms (p50), 99 of 100 up to {tally.percentile_ms(0.99):g} ms (p99)."
    )


def _passages(ingestion: Ingestion) -> str:
    done: list[str] = []
    if ingestion.put:
        done.append(f"{ingestion.put:,} indexed now ({ingestion.passages_per_s:,.0f}/s)")
    if ingestion.deleted:
        done.append(f"{ingestion.deleted:,} removed")
    if ingestion.kept:
        done.append(f"{ingestion.kept:,} kept of documents that could not be read now")
    return f"{ingestion.passages:,} passages: {', '.join(done) or 'nothing changed'}."
