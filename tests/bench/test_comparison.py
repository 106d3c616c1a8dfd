"""The comparison's own parts: the yardstick keeps what it acknowledged, retrieval is exact, medians and ratios are right."""

import asyncio
import sys

import comparison
import document
import flame
import loop as yardstick
import numpy as np
import pytest
import run as bench
import sides
import workload
from workloads import WORKLOADS, Load

from penstock.bench import workload as w1

TURNS, STEPS = (Load(WORKLOADS[name], 64, seconds=1, warmup=0) for name in ("w1", "w3"))


def made(load=TURNS, **found):
    of = comparison.Comparison(3, [load], [*sides.ours(), *sides.yardsticks()])
    of.found = {
        comparison.key_of(load): {name: [figures(load, each) for each in rates] for name, rates in found.items()}
    }
    of.machine = {"processor": "an abacus", "cores": 2, "memory_gib": 1.0, "system": "s", "python": "3", "commit": "c"}
    of.machine |= {"filesystem": "ext4", "load_before": 0.0}
    return of


def figures(load, rate):
    of = dict.fromkeys((name for name, _ in load.workload.columns), 1.0)
    return of | {load.workload.rate: rate, "versions": {"numpy": "2"}}


async def test_the_peers_retrieval_is_exact():
    retrieval, matrix = workload.Retrieval(), w1.passage_vectors()
    vectors = [w1.embedding(f"query {number}") for number in range(70)]
    found = await asyncio.gather(*(retrieval.nearest(vector) for vector in vectors))
    for vector, ids in zip(vectors, found, strict=True):
        scores = matrix @ np.frombuffer(vector, "<f4")
        assert [int(each) for each in ids] == np.argsort(-scores)[: w1.TOP].tolist()


@pytest.mark.parametrize("each_step", [False, True])
async def test_the_yardstick_finds_every_answered_turn_in_its_log_whole_or_torn(tmp_path, each_step):
    log = tmp_path / "turns.log"
    async with yardstick.opened(log) as opened:
        turns = yardstick.Yardstick(opened, each_step=each_step)
        await turns.preload()
        replies = await asyncio.gather(*(turns.turn(number) for number in range(20)))
    assert set(replies) == {w1.REPLY}
    expected = {w1.session_of(number): [w1.text_of(number)] for number in range(20)}
    assert yardstick.replay(log) == (expected, 0)

    log.write_bytes(log.read_bytes()[:-1])  # the last group was being written when the power went
    finished, cut_off = yardstick.replay(log)
    assert cut_off > 0
    assert finished.items() < expected.items()


def test_a_ratio_is_the_median_of_the_rounds_ratios_and_not_that_of_the_medians():
    of = made(penstock=[100, 10, 40], reference=[50, 10, 10])
    assert of.times_as_fast(TURNS, "penstock", "reference") == 2.0
    assert of.medians(TURNS, "reference")["turns_per_s"] == 10


def test_who_needs_less_time_is_the_faster_one():
    of = made(STEPS, penstock=[10, 10, 10], reference=[20, 50, 10])
    assert of.times_as_fast(STEPS, "penstock", "reference") == 2.0
    assert "| penstock, `ctx.read` | the reply | 10 (10 to 10) |" in document.markdown(of)


def test_a_side_that_was_not_measured_is_in_the_page_with_its_reason():
    of = made(penstock=[100, 50, 200])
    of.missing = {"restate": "its setup failed: no network"}
    page = document.markdown(of)
    assert "**Not measured: restate.** its setup failed: no network" in page
    assert "| loop by hand (no engine) | the reply | - |" in page
    assert "| penstock, `ctx.read` | the reply | 100 (50 to 200) |" in page


def test_a_side_that_did_nothing_within_the_window_has_no_ratio():
    of = made(penstock=[100, 50, 200], reference=[0, 0, 0])
    assert of.times_as_fast(TURNS, "penstock", "reference") is None
    assert "| loop by hand (no engine) | the reply | 0 (0 to 0) |" in document.markdown(of)


def test_a_busy_machine_is_said():
    of = made(penstock=[1, 1, 1])
    assert "busy" not in document.markdown(of).split("## What")[0]
    of.machine["load_before"] = 3.0
    assert "**The machine was busy**" in document.markdown(of)


def test_what_is_measured_of_penstock_alone_is_in_the_page():
    of = made(penstock=[1, 1, 1])
    sizes = {"off": [0, 1_000_000, 2_000_000], "default": [0, 1_000_000, 1_000_000]}
    of.alone = {
        "idle": {"app": 41.2, "knowledge": 80.1},
        "storage": {"turns": [0, 500, 1000], "days_a_part": 3, "bytes": sizes},
        "flame": "a camera",
    }
    page = document.markdown(of)
    assert "| an app with one agent on SQLite | 41.2 |" in page
    assert "the first half takes 2,000 bytes a turn, the second 2,000" in page.replace("\n", " ")
    assert "![" in page
    assert "a camera" in page


@pytest.mark.parametrize("load", [TURNS, Load(WORKLOADS["w4"], 1, 1, 0)])
def test_a_run_that_fails_says_why(load):
    command = [sys.executable, "-c", "raise SystemExit('no disk')"]
    broken = sides.Side("broken", "", "", (load.workload.name,), lambda *_: command)
    with pytest.raises(sides.NotMeasured, match="no disk"):
        sides.run(broken, load)


def test_a_cold_start_ends_with_the_first_line():
    load = Load(WORKLOADS["w4"], 1, 1, 0)
    command = [sys.executable, "-c", "print('hello world', flush=True); import time; time.sleep(60)"]
    found = sides.run(sides.Side("one", "", "", ("w4",), lambda *_: command), load)
    assert 0 < found["cold_ms"] < 30_000


def test_a_peer_without_a_folder_is_not_measured():
    with pytest.raises(sides.NotMeasured, match="setup failed"):
        sides.peer("nobody", "Nobody")


@pytest.mark.parametrize("name", sorted(bench.PEERS))
def test_each_peer_has_all_it_needs(name):
    folder = sides.HERE / "peers" / name
    assert {"requirements.in", "requirements.lock", "run.py", "cold.py"} <= {each.name for each in folder.iterdir()}
    assert "--hash=sha256:" in (folder / "requirements.lock").read_text()


def test_a_part_of_the_comparison_writes_no_page(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", "--workloads", "w1,w3", "--peers", "none"])
    given = bench._arguments()
    assert (given.document, given.peers, given.workloads) == (None, (), ("w1", "w3"))
    monkeypatch.setattr(sys, "argv", ["run.py"])
    assert bench._arguments().document == bench.DOCUMENT


def test_a_workload_that_there_is_not_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run.py", "--workloads", "w1,w9"])
    with pytest.raises(SystemExit):
        bench._arguments()
    assert "w9: give some of w1,w2" in capsys.readouterr().err


def test_a_flame_graph_shows_what_was_seen_often(tmp_path):
    stacks, picture = tmp_path / "stacks.txt", tmp_path / "flame.svg"
    stacks.write_text(
        "run (penstock/a.py);step (b.py) 900\nrun (penstock/a.py);rare (c.py) 1\nrun;_find_and_load 500\n 7\n"
    )
    flame.main(stacks, picture)
    drawn = picture.read_text()
    assert "<title>901 samples</title>" in drawn
    assert "step (b.py): 99.9%" in drawn
    assert "rare" not in drawn
    assert "_find_and_load" not in drawn


def test_a_side_that_fails_at_one_load_is_measured_at_the_others(tmp_path):
    said = "import json; print(json.dumps({'turns_per_s': 5, 'errors': 0, 'us_per_step': 1}))"

    def command(load, _folder):
        return [sys.executable, "-c", said if load.workload is STEPS.workload else "raise SystemExit('too slow')"]

    of = comparison.Comparison(2, [TURNS, STEPS], [sides.Side("slow", "Slow", "", ("w1", "w3"), command)])
    for load in of.loads:
        bench._compare(of, load)
    assert list(of.missing) == ["Slow, W1, durable turns: 64 in flight"]
    assert (len(of.runs(TURNS, "slow")), len(of.runs(STEPS, "slow"))) == (0, 2)
