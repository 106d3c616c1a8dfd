from hypothesis import given
from hypothesis import strategies as st

from penstock.core.events.partitions import partition_of, shares


def test_a_key_stays_where_it_is_in_every_release():
    places = [partition_of(tenant, key, 16) for tenant, key in [("default", "ada"), ("default", ""), ("acme", "ключ")]]
    assert places == [9, 1, 11]


@given(st.text(), st.text(), st.integers(1, 1024))
def test_every_key_has_a_partition(tenant, key, partitions):
    assert 0 <= partition_of(tenant, key, partitions) < partitions
    assert partition_of(tenant, key, 1) == 0


def test_keys_are_spread():
    counts = [0] * 16
    for number in range(16_000):
        counts[partition_of("default", f"user-{number}", 16)] += 1
    assert min(counts) > 800


groups = st.lists(st.integers(1, 99), min_size=1, max_size=8, unique=True)


@st.composite
def situations(draw):
    workers = draw(groups)
    owners = draw(st.lists(st.sampled_from([0, 100, *workers]), min_size=1, max_size=40))  # 100: one who is gone
    return workers, dict(enumerate(owners))


@given(situations())
def test_every_partition_is_somebodys_and_nobody_has_two_more_than_another(situation):
    workers, owners = situation
    shared = shares(workers, owners)
    assert sorted(part for parts in shared.values() for part in parts) == sorted(owners)
    sizes = [len(parts) for parts in shared.values()]
    assert max(sizes) - min(sizes) <= 1
    assert set(shared) == set(workers)


@given(situations())
def test_no_more_partitions_move_than_must(situation):
    workers, owners = situation
    shared = shares(workers, owners)
    most = -(-len(owners) // len(workers))
    for worker in workers:
        had = {part for part, owner in owners.items() if owner == worker}
        lost = had - shared[worker]
        assert len(lost) <= max(0, len(had) - most + 1)
        if lost:
            assert shared[worker] <= had  # who gives up some is given no others


@given(situations())
def test_shares_that_are_owned_are_final(situation):
    workers, owners = situation
    shared = shares(workers, owners)
    owned = {part: worker for worker, parts in shared.items() for part in parts}
    assert shares(workers, owned) == shared
