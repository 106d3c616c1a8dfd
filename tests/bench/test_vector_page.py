"""`make bench-vectors`: what is asked of it, and the page that it writes, on figures of our own."""

import argparse
import sys
from pathlib import Path

import pytest
import vector_page
import vectors
from measured_on import MACHINE

OURS = {"engine": "penstock", "size": 10_000, "build_s": 2.0, "build_cpu_s": 3.0, "all_p50_ms": 2.0, "all_p99_ms": 6.0}
OTHER = {"engine": "zvec", "size": 10_000, "build_s": 9.0, "build_cpu_s": 9.0, "all_p50_ms": 1.0, "all_p99_ms": 9.0}


def page(results, **machine):
    embedded = {"size": 1_000_000, "chars": 205.0, "short_a_second": 80_000, "long_a_second": 30_000}
    written = vector_page.page(results, MACHINE | machine, embedded, 1.5, Path("docs/vectors.md"))
    return written[Path("docs/vectors.md")], {path.name for path in written}


def test_the_page_says_which_goals_are_missed_and_who_is_ahead():
    text, files = page([OURS, OTHER])
    assert "## Penstock's goals for a million, at 10,000" in text
    assert "| all vectors, p50 | at most 3 ms | 2 ms | met |" in text
    assert "| all vectors, p99 | at most 5 ms | 6 ms | **missed** |" in text
    assert "| zvec | 3.00 | - | - | 0.50 | 1.50 |" in text
    assert "Ahead of penstock here: zvec (all p50)." in text
    assert "| embedded on one core, short passages (60 characters) a second | at least 30000 | 80000 | met |" in text
    assert "Whole texts of 205 characters: 30,000 embedded a second on one core." in text
    assert "busy" not in text
    assert files == {
        "vectors.md",
        "vectors-build.svg",
        "vectors-latency.svg",
        "vectors-tenant.svg",
        "vectors-memory.svg",
    }


def test_the_page_says_what_was_not_measured_and_that_the_machine_was_busy():
    skipped = {"engine": "lancedb", "size": 10_000, "skipped": "it would take some 9 minutes, 2 were left"}
    failed = OTHER | {"failed": "opened did not end within 61 s"}
    text, _ = page([OURS, skipped, failed], load_before=4.0)
    assert "**The machine was busy**" in text
    assert "Not measured: lancedb: it would take some 9 minutes, 2 were left." in text
    assert "Not measured to its end: zvec: opened did not end within 61 s." in text


def test_a_page_of_nothing_is_a_page():
    assert page([])[0].startswith("# Vectors")


def test_what_a_smaller_size_took_tells_what_a_larger_one_will():
    assert vectors._expected_s([], "zvec", 10_000) == 0
    results = [OTHER | {"took_s": 30.0}]
    assert vectors._expected_s(results, "zvec", 100_000) == pytest.approx(9 * 10 * vectors.GROWTH + 21)


def test_the_whole_run_writes_the_page_and_a_part_of_it_does_not(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["vectors.py"])
    given = vectors._arguments()
    assert (given.document, given.sizes) == (vectors.DOCUMENT, (10_000, 100_000, 1_000_000))
    monkeypatch.setattr(sys, "argv", ["vectors.py", "--sizes", "1M,20k", "--peers", "none"])
    given = vectors._arguments()
    assert (given.document, given.sizes, given.peers) == (None, (20_000, 1_000_000), ())
    monkeypatch.setattr(sys, "argv", ["vectors.py", "--quick"])
    assert vectors._arguments().sizes == vectors.QUICK


def test_an_engine_that_there_is_not_is_refused():
    with pytest.raises(argparse.ArgumentTypeError, match="no engine is called annoy"):
        vectors._names("zvec,annoy")


def test_a_run_goes_on_only_where_one_of_the_same_commit_ended(tmp_path):
    done, begun = OURS | {"took_s": 9.0}, {"engine": "zvec", "size": 10_000, "build_s": 1.0}
    run = vectors.Run([done, begun], MACHINE, {}, 0.0, 0.0, tmp_path / "results.json", None)
    run.save()
    assert vectors._kept(tmp_path, MACHINE) == [done]
    assert vectors._kept(tmp_path, MACHINE | {"commit": "other"}) == []
    assert vectors._kept(tmp_path / "nowhere", MACHINE) == []


def test_the_lock_of_the_other_engines_holds_hashes_and_no_address():
    folder = Path(vectors.HERE) / "vector_peers"
    lock = (folder / "requirements.lock").read_text()
    assert "--hash=sha256:" in lock
    assert "://" not in lock
    for name in (folder / "requirements.in").read_text().split():
        assert f"\n{name.lower()}==" in f"\n{lock}"
