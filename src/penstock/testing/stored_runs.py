"""Runs that exist, replayed by the code under test: a change that would break them fails a test, before it is deployed.

async def test_the_runs_of_the_last_release_go_on():
    await testing.replays(app, "tests/histories/release-1.jsonl")
"""

from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from penstock.adapters.memory.store import MemoryStore
from penstock.app import App
from penstock.core.agents.comparing import Verdict
from penstock.core.agents.rehearsed import Group, History, Rehearsed, decode_history, encode_history, grouped
from penstock.errors import Finding, Invalid
from penstock.layers.offloading_store import OffloadedCatalog
from penstock.ports.clock import Clock
from penstock.rehearsals import ALL, Source, Which, found, histories, rehearsals
from penstock.runtime.replaying import Stretch
from penstock.testing.apps import Disk
from penstock.wiring import opened_catalog, opened_desk

SHOWN_MAX = 10
Kept = Disk | str | Path  # a disk of a test, the URL of a store, or a file of histories


async def replays(
    app: App, kept: Kept, *, workflow: str | None = None, limit: int = 10_000, clock: Clock | None = None
) -> list[Rehearsed]:
    """Lead stored workflow runs, under way and ended, through their journals by the code of `app`; fail if one would break.

    `kept`: a file that `penstock runs check --save FILE` or `save_histories` wrote, the URL of a store, or the `Disk` of a test.
    No step is executed. Returns what became of each run; none at all is a failure too.
    """
    which = Which(ALL, workflow, None, limit)
    found_runs = [each async for each in rehearsals(app, _kept(app, kept, which), clock=clock)]
    broken = [each for each in found_runs if each.is_broken]
    if broken:
        shown = "\n".join(map(_told, grouped(broken)[:SHOWN_MAX]))
        raise AssertionError(f"{len(broken)} of {len(found_runs)} runs would break:\n{shown}")
    if not found_runs:
        raise AssertionError(f"there are no workflow runs in {kept}")
    return found_runs


async def save_histories(app: App, kept: Disk | str, file: Path | str) -> int:
    """Write the histories of the workflow runs in a store to a file, for `replays`; return how many there are."""
    count = 0
    with _writing(Path(file)) as written:
        async for each in _kept(app, kept, Which(ALL)):
            written.write(encode_history(each))
            count += 1
    return count


async def replay(app: App, store: str, topic: str, *, agent: str | None = None) -> list[Verdict]:
    """Replay what agents did with the events of a topic, by the code of `app`; fail if any of it comes out otherwise.

    `store` is the URL of a store. Recorded steps are not executed; see `penstock replay`.
    """
    stretch = Stretch(topic, agent=agent)
    async with opened_desk(store) as desk:
        verdicts = [each async for each in app.replay(desk, stretch)]
    differing = [each for each in verdicts if each.outcome not in ("same", "skipped")]
    if differing:
        shown = "\n".join(f"{each.run_id}: {each.outcome} {', '.join(each.where)}" for each in differing[:SHOWN_MAX])
        raise AssertionError(f"{len(differing)} of {len(verdicts)} runs come out otherwise:\n{shown}")
    if not any(each.outcome == "same" for each in verdicts):
        raise AssertionError(f"nothing could be replayed of topic {topic!r}")
    return verdicts


async def _kept(app: App, kept: Kept, which: Which) -> AsyncGenerator[History]:
    if isinstance(kept, Path) or (isinstance(kept, str) and ":" not in kept):
        for each in _lines(Path(kept)):
            if which.workflow in (None, each.change.agent):
                yield each
        return
    with _source(kept) as source:
        runs = await found(source, which, app)
        async for each in histories(source, runs.changes):
            yield each


@contextmanager
def _source(kept: Disk | str) -> Generator[Source]:
    if isinstance(kept, str):
        with opened_catalog(kept) as catalog:
            yield catalog
    else:
        yield OffloadedCatalog(MemoryStore(kept.memory))


def _writing(file: Path) -> IO[bytes]:
    return file.open("wb")


def _lines(file: Path) -> Iterator[History]:
    if not file.is_file():
        hint = "write one: penstock runs check APP.PY --save FILE"
        raise Invalid("the histories", (Finding(str(file), "is no file", hint),))
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            yield decode_history(line, f"{file}, line {number}")


def _told(group: Group) -> str:
    first, runs = group.first, group.runs
    place = f" at {first.place}" if first.place else ""
    return f"- {len(runs)} of {first.workflow}: {first.reason}{place} ({first.advice}); {', '.join(runs[:3])}"
