"""What is picked from a store that breaks ties as it likes is what a store that orders them would give."""

from random import Random

import pytest

from penstock.core.knowledge.passages import Hit
from penstock.core.knowledge.picking import ROWS_MAX, Picking


def picked(rows, limit, accepts=None):
    picking = Picking(limit, accepts)
    asked = [picking.count]
    while not picking.take([(hit, {"id": hit.id}) for hit in rows[: picking.count]]):
        asked.append(picking.count)
    return picking.hits, asked


@pytest.mark.parametrize("seed", range(30))
def test_the_best_that_match_come_with_ties_by_id(seed):
    random = Random(seed)
    hits = [Hit(f"{number:03}", random.randint(-5, 5) / 5) for number in range(random.randint(0, 400))]
    random.shuffle(hits)
    rows = sorted(hits, key=lambda hit: -hit.score)
    limit, odd = random.randint(1, 60), random.random() < 0.5
    wanted = [hit for hit in sorted(hits, key=lambda hit: (-hit.score, hit.id)) if not odd or int(hit.id) % 2]
    assert picked(rows, limit, (lambda fields: int(fields["id"]) % 2 == 1) if odd else None)[0] == wanted[:limit]


def test_without_ties_the_store_is_asked_once():
    rows = [Hit(f"{number}", 1 - number / 1000) for number in range(500)]
    assert picked(rows, 10)[1] == [11]


def test_the_store_is_never_asked_for_more_than_it_gives():
    rows = [Hit(f"{number:06}", 1.0) for number in range(20_000)]
    assert picked(rows, 10)[1][-1] == ROWS_MAX
