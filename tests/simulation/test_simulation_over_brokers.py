"""The same worlds where the events of the app go over a broker, which fails in its own ways beside all others.

What is published arrives in part, twice, late, or unknown to anybody; processes are cut off from the broker; it lets go of what
nobody has received. The scenes and what must hold are those of `test_simulation.py`, and all that the broker had was received.
"""

import os
from collections.abc import Sequence

import pytest
from test_simulation import AT_ONCE, FIRST, ONE, check

SEEDS = [int(ONE)] if ONE else range(FIRST, FIRST + int(os.environ.get("PENSTOCK_SEEDS", "1000")) // 4)
pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("seeds", [SEEDS[at : at + AT_ONCE] for at in range(0, len(SEEDS), AT_ONCE)], ids=str)
def test_every_guarantee_holds_over_a_broker(seeds: Sequence[int]) -> None:
    for seed in seeds:
        try:
            check(seed, over_broker=True)
        except BaseException as error:
            error.add_note(f"seed {seed}: PENSTOCK_SEED={seed} make test ARGS=tests/simulation")
            raise


@pytest.mark.parametrize("seed", [30062, 51042, 51275])
def test_seeds_that_once_failed_hold(seed: int) -> None:
    """30062: a change came after a later one. The others: a run was cancelled while its event was still with the broker."""
    check(seed, over_broker=True)
