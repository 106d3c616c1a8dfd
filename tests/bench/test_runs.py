"""Fan-outs and empty steps are measured as they are said to be, on each kind of step and child."""

import asyncio

import pytest

from penstock.bench import batches as timed
from penstock.bench import runs
from penstock.bench.batches import Sizes, batch_figures, batches

SHORT = {"seconds": 0.05, "sizes": Sizes(warm=10, least=50, most=100)}


@pytest.mark.parametrize(
    "kind", [{}, {"each_step": True}, {"child_runs": True}, {"each_step": True, "child_runs": True}]
)
def test_a_fan_out_has_its_figures(tmp_path, kind):
    found = runs.fan_out(runs.RunOptions(store=f"sqlite:{tmp_path / 'runs.db'}", **SHORT, **kind))
    assert 50 <= found["items"] <= 100
    assert found["items_per_s"] == pytest.approx(1e6 / found["us_per_item"], rel=0.05)
    assert "bytes_per_item" in found


@pytest.mark.parametrize("in_flight", [1, 8])
def test_steps_are_counted_over_all_runs(tmp_path, in_flight):
    options = runs.RunOptions(store=f"sqlite:{tmp_path / 'runs.db'}", in_flight=in_flight, each_step=True, **SHORT)
    found = runs.steps(options)
    assert found["steps_per_s"] == pytest.approx(1e6 / found["us_per_step"], rel=0.05)
    assert "bytes_per_step" in found


async def test_a_slow_system_gets_batches_that_end():
    asked: list[int] = []

    async def slow(size: int) -> None:
        asked.append(size)
        await asyncio.sleep(size * 0.005)

    done = await batches(slow, Sizes(warm=2, least=4, most=1000), 0.1, lambda: 0.0)
    assert asked[:2] == [2, 2]
    assert 4 <= done.size <= 20
    assert (done.count, done.count_all) == (len(asked) - 2, sum(asked))
    assert batch_figures(done, 0.0, "item", side_by_side=3)["items_per_s"] == pytest.approx(
        3 * done.units / done.seconds, rel=0.05
    )


def test_the_sum_of_a_fan_out_is_known():
    assert timed.expected_sum(40) == sum(timed.increased(timed.doubled(number)) for number in range(40))


def test_a_wrong_result_is_no_figure():
    with pytest.raises(RuntimeError, match="came to 3"):
        runs._check(3, 4)
