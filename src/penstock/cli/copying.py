"""Exporting and importing, with a bar for those who watch."""

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from penstock import __version__
from penstock.cli.letters import moment_ms
from penstock.cli.looking import Place, is_file, place, print_json, print_table
from penstock.cli.storage import told_bytes
from penstock.core.agents.usage import Usage
from penstock.core.exports.lines import LINE_KINDS
from penstock.core.exports.selection import Selection
from penstock.layers.retrying_store import RetryingStore
from penstock.runtime.exporting import Exported, Origin, export
from penstock.runtime.importing import Checked, Import
from penstock.stores import opened_alone, opened_reader, opened_source, opened_writer, system_clock, usage_of

COLUMNS = (("rows", "of"),)


@dataclass(frozen=True, slots=True)
class Asked:
    """The part of a store that is asked for, as it was typed."""

    topic: str | None
    run: str | None
    since: str | None
    until: str | None
    tenant: str | None

    def selection(self) -> Selection:
        since_ms = None if self.since is None else moment_ms(self.since, "--since")
        until_ms = None if self.until is None else moment_ms(self.until, "--until")
        return Selection(self.topic, self.run, since_ms, until_ms, self.tenant)


def export_store(given: str | None, to: str, form: str, asked: Asked, *, as_json: bool) -> None:
    where, chosen = _place(given, "export"), asked.selection()
    path = _path(where, to, form)
    exported, size = asyncio.run(_export(where, path, form, chosen, is_shown=not as_json))
    if as_json:
        shape = {"path": str(path), "bytes": size, "rows": exported.counts, "missing_values": exported.missing}
        print_json(shape)
        return
    _print_counts(exported.counts)
    print(f"{told_bytes(size)} of lines in {path}")
    if exported.missing:
        print(f"{exported.missing} large values are missing in the store: restore a backup of it, and export again")


async def _export(where: Place, path: Path, form: str, chosen: Selection, *, is_shown: bool) -> tuple[Exported, int]:
    total = _rows(await usage_of(where.url)) if is_shown and chosen.is_whole else None
    origin = Origin("" if where.app is None else where.app.name, __version__, system_clock().now_ms())
    async with opened_source(where.url) as source:
        with opened_writer(path, form) as writer, _bar("export", total, is_shown=is_shown) as told:
            return await export(source, writer, origin, chosen, told), writer.bytes_written


def import_store(file: str, given: str | None, *, only_check: bool, as_json: bool) -> None:
    where = _place(given, "import", file)
    checked, written = asyncio.run(_import(Path(file), where, only_check=only_check, is_shown=not as_json))
    if as_json:
        print_json({"rows": _of_rows(checked.counts), "new": checked.new, "written": written})
        return
    _print_counts(checked.counts)
    if only_check:
        print(f"nothing is wrong with it; {checked.new} rows are new to the store")
    elif not written:
        print("the store has all of it already")
    else:
        print(f"{written} rows are in the store now")


async def _import(file: Path, where: Place, *, only_check: bool, is_shown: bool) -> tuple[Checked, int]:
    reader, clock = opened_reader(file), system_clock()
    async with opened_alone(where.url) as store:
        retrying = RetryingStore(store, clock)
        with _bar("check", None, is_shown=is_shown) as told:
            checked = await Import(reader, retrying, clock, told).check()
        if only_check:
            return checked, 0
        total = sum(_of_rows(checked.counts).values())
        with _bar("import", total, is_shown=is_shown) as told:
            return checked, await Import(reader, retrying, clock, told).write(checked)


def _place(given: str | None, command: str, *more: str) -> Place:
    if given is not None and is_file(given):
        return place(Path(given), None, command, *more)
    return place(None, given, command, *more)


def _path(where: Place, to: str, form: str) -> Path:
    """Return the place of the export: a folder is where a new file goes."""
    path = Path(to)
    if form == "parquet" or not (to.endswith("/") or path.is_dir()):
        return path
    name = where.app.name if where.app is not None else Path(where.url.partition(":")[2].partition("?")[0]).stem
    return path / f"{name or 'store'}.jsonl"


def _rows(usage: Usage) -> int:
    return sum(each.rows for each in usage.parts if each.kind != "blobs")


def _of_rows(counts: Mapping[str, int]) -> dict[str, int]:
    return {kind: counts[kind] for kind in LINE_KINDS if kind in counts}


def _print_counts(counts: Mapping[str, int]) -> None:
    rows = [{"rows": f"{count:,}", "of": kind, "reason": ""} for kind, count in _of_rows(counts).items()]
    print_table(COLUMNS, rows)


@contextmanager
def _bar(what: str, total: int | None, *, is_shown: bool) -> Generator[Callable[[int], None]]:
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not (is_shown and console.is_terminal)) as progress:
        task = progress.add_task(what, total=total)
        yield lambda more: progress.advance(task, more)
