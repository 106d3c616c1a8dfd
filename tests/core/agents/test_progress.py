"""Progress answers as a plain set of offsets would, whatever the order in which they were done."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.core.agents.progress import Progress

offsets = st.lists(st.integers(1, 40))


@given(offsets)
def test_marks_in_any_order_equal_a_set(order):
    progress, oracle = Progress(), set()
    for offset in order:
        progress.mark(offset)
        oracle.add(offset)
        assert (progress.low, progress.above) == low_and_ranges(oracle)
        assert [each in progress for each in range(1, 43)] == [each in oracle for each in range(1, 43)]


@given(st.permutations(range(1, 30)))
def test_all_done_in_any_order_is_one_mark(order):
    progress = Progress()
    for offset in order:
        progress.mark(offset)
    assert (progress.low, progress.above) == (29, [])


@given(offsets, offsets)
def test_progress_that_was_stored_goes_on_as_if_it_had_not_been(before, after):
    whole, first = Progress(), Progress()
    for offset in before:
        whole.mark(offset)
        first.mark(offset)
    resumed = Progress(first.low, first.above)
    for offset in after:
        whole.mark(offset)
        resumed.mark(offset)
    assert (resumed.low, resumed.above) == (whole.low, whole.above)


@given(offsets)
def test_ranges_are_in_order_and_never_touch(order):
    progress = Progress()
    for offset in order:
        progress.mark(offset)
    edges = [progress.low, *(edge for ends in progress.above for edge in ends)]
    for last, first in zip(edges[::2], edges[1::2], strict=False):
        assert first > last + 1
    assert all(first <= last for first, last in progress.above)


def test_what_is_shown_is_a_copy():
    progress = Progress(0, [(3, 4)])
    progress.above.clear()
    assert progress.above == [(3, 4)]


def test_offsets_before_the_first_are_done():
    assert 0 in Progress()
    assert 1 not in Progress()


def test_it_shows_its_mark_and_ranges():
    assert repr(Progress(7, [(9, 9), (12, 20)])) == "<Progress ..7 9-9 12-20>"


def low_and_ranges(done):
    low = 0
    while low + 1 in done:
        low += 1
    ranges = []
    for offset in sorted(each for each in done if each > low):
        if ranges and ranges[-1][1] == offset - 1:
            ranges[-1] = (ranges[-1][0], offset)
        else:
            ranges.append((offset, offset))
    return low, ranges
