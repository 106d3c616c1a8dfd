"""The comparison's own parts: the yardstick keeps what it acknowledged, retrieval is exact, medians and ratios are right."""

import asyncio
import sys

import document
import loop as yardstick
import numpy as np
import pytest
import sides
import workload

from penstock.bench import workload as w1


def comparison(**found):
    load = sides.Load(in_flight=64, seconds=1, warmup=0)
    made = document.Comparison(3, [load], [sides.ours(each_step=False), sides.ours(each_step=True), sides.yardstick()])
    made.found = {64: {name: [figures(each) for each in rates] for name, rates in found.items()}}
    made.machine = {
        "processor": "an abacus",
        "cores": 2,
        "memory_gib": 1.0,
        "system": "s",
        "python": "3",
        "commit": "c",
    }
    made.machine |= {"filesystem": "ext4", "load_before": 0.0}
    return made


def figures(rate):
    return dict.fromkeys(document.FIGURES, 1.0) | {"turns_per_s": rate, "versions": {"numpy": "2"}}


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
        turns = yardstick.Turns(opened, each_step=each_step)
        replies = await asyncio.gather(*(turns.turn(number) for number in range(20)))
    assert set(replies) == {w1.REPLY}
    expected = {w1.session_of(number): [w1.text_of(number)] for number in range(20)}
    assert yardstick.replay(log) == (expected, 0)

    log.write_bytes(log.read_bytes()[:-1])  # the last group was being written when the power went
    finished, cut_off = yardstick.replay(log)
    assert cut_off > 0
    assert finished.items() < expected.items()


def test_a_ratio_is_the_median_of_the_rounds_ratios_and_not_that_of_the_medians():
    made = comparison(penstock=[100, 10, 40], reference=[50, 10, 10])
    assert made.ratio(64, "penstock", "reference", "turns_per_s") == 2.0
    assert made.medians(64, "reference")["turns_per_s"] == 10


def test_a_side_that_was_not_measured_is_in_the_page_with_its_reason():
    made = comparison(penstock=[100, 50, 200])
    made.missing = {"restate": "its setup failed: no network"}
    page = document.markdown(made)
    assert "**Not measured: restate.** its setup failed: no network" in page
    assert "| loop by hand (no engine) | the reply | - |" in page
    assert "| penstock, `ctx.read` | the reply | 100 (50 to 200) |" in page


def test_a_busy_machine_is_said():
    made = comparison(penstock=[1, 1, 1])
    assert "busy" not in document.markdown(made).split("## What")[0]
    made.machine["load_before"] = 3.0
    assert "**The machine was busy**" in document.markdown(made)


def test_a_run_that_fails_says_why(tmp_path):
    broken = sides.Side("broken", "", "", lambda _: [sys.executable, "-c", "raise SystemExit('no disk')"])
    with pytest.raises(sides.NotMeasured, match="no disk"):
        sides.run(broken, sides.Load(1, 0.1, 0))


def test_a_peer_without_a_folder_is_not_measured():
    with pytest.raises(sides.NotMeasured, match="setup failed"):
        sides.peer("nobody", "Nobody")
