"""Windows over event time: what is shown is what a plain grouping of the same values gives, and nothing is lost."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.streams.windowing import (
    OPEN_MAX,
    KeyClock,
    Windowing,
    advanced,
    due_ms,
    idle_watermark,
    taken,
)
from penstock.core.streams.windows import Sessions, Sliding, Span, Tumbling, spans_of, window_findings
from penstock.errors import LimitReached

END = 10**9  # a watermark after all times of these tests
times = st.lists(st.integers(-300, 300), max_size=40)
windows = st.one_of(
    st.builds(Tumbling, st.integers(1, 90).map(lambda ms: ms / 1000), st.integers(-50, 50).map(lambda ms: ms / 1000)),
    st.builds(Sliding, st.integers(1, 90).map(lambda ms: ms / 1000), st.integers(1, 90).map(lambda ms: ms / 1000)),
    st.builds(Sessions, st.integers(1, 90).map(lambda ms: ms / 1000)),
)
hows = st.builds(Windowing, windows, st.integers(0, 100), st.integers(0, 100))


class Key:
    """The windows of one key, with lists of (time, number) as their contents."""

    def __init__(self, how):
        self.how, self.clock = how, KeyClock()
        self.held, self.shown, self.late, self.kept = {}, [], [], []

    def take(self, at_ms, number=0):
        self.clock, decision = taken(self.how, self.clock, at_ms, 0)
        (self.late if decision.is_late else self.kept).append((at_ms, number))
        self.do(decision, (at_ms, number))

    def go_on(self, watermark_ms=END):
        self.clock, decision = advanced(self.how, self.clock, watermark_ms)
        self.do(decision, None)

    def do(self, decision, value):
        for into, parts in decision.merges:
            self.held[into] = [each for part in parts for each in self.held.pop(part)]
        for span in decision.adds:
            self.held.setdefault(span, []).append(value)
        for span, number in decision.shows:
            self.shown.append((span, number, sorted(self.held[span])))
        for span in decision.drops:
            del self.held[span]

    def last(self):
        """What each window came to; a session that grew replaces those that it grew from."""
        final = {}
        for span, _, values in self.shown:
            final = {each: found for each, found in final.items() if not (self.how.merges and each.touches(span))}
            final[span] = values
        return final


def grouped(window, values):
    """The same by hand: all values at once."""
    if not isinstance(window, Sessions):
        found = {}
        for value in sorted(values):
            for span in spans_of(window, value[0]):
                found.setdefault(span, []).append(value)
        return found
    found, gap = [], round(window.gap_s * 1000)
    for value in sorted(values):
        if found and value[0] <= found[-1][0].end_ms:
            found[-1] = (Span(found[-1][0].start_ms, value[0] + gap), [*found[-1][1], value])
        else:
            found.append((Span(value[0], value[0] + gap), [value]))
    return dict(found)


@given(windows, times)
def test_in_order_or_not_windows_show_what_a_grouping_gives_while_disorder_is_allowed(window, at):
    key = Key(Windowing(window, out_of_order_ms=1000))  # more than between any two of the times
    for number, each in enumerate(at):
        key.take(each, number)
    key.go_on()
    assert not key.late
    assert key.last() == grouped(window, key.kept)
    assert [number for _, number, _ in key.shown] == [0] * len(key.shown), "each was shown once"
    assert not key.held
    assert not key.clock.open


@given(hows, times)
def test_what_was_taken_is_in_the_last_that_is_shown_and_the_rest_is_late(how, at):
    key = Key(how)
    for number, each in enumerate(at):
        key.take(each, number)
    key.go_on()
    assert sorted([*key.kept, *key.late]) == sorted((each, number) for number, each in enumerate(at))
    in_a_window = {value for value in key.kept if spans_of(how.window, value[0])}
    assert {value for _, _, values in key.shown for value in values} == in_a_window
    assert not key.held


@given(hows, times)
def test_nothing_within_lateness_and_disorder_is_late(how, at):
    key, newest = Key(how), -(10**9)
    for each in at:  # what lies between windows is held against the watermark itself
        before = len(key.late)
        key.take(each)
        is_within = each > newest - how.out_of_order_ms - 1 - how.lateness_ms
        assert not (is_within and len(key.late) > before), "it came in time, and was late"
        newest = max(newest, each)


@given(hows, times)
def test_watermarks_never_go_back_and_windows_are_shown_only_behind_them(how, at):
    key, marks = Key(how), []
    for each in at:
        seen = len(key.shown)
        key.take(each)
        marks.append(key.clock.watermark_ms)
        assert all(span.last_ms <= key.clock.watermark_ms for span, _, _ in key.shown[seen:])
        assert all(each.span.last_ms > key.clock.watermark_ms or each.shown for each in key.clock.open)
    assert all(one <= other for one, other in pairwise(marks))


class Operator:
    """Flink's `WindowOperator` with its `EventTimeTrigger`, as its documentation tells it: an oracle written apart."""

    def __init__(self, how):
        self.how, self.watermark, self.newest = how, -(10**12), -(10**12)
        self.windows, self.timers, self.out = {}, set(), []

    def element(self, at_ms):
        how, skipped = self.how, True
        for span in spans_of(how.window, at_ms):
            actual = span
            if how.merges:
                touching = sorted(each for each in self.windows if each[0] <= span[1] and each[1] >= span[0])
                for each in touching:
                    actual = Span(min(actual[0], each[0]), max(actual[1], each[1]))
                content = [value for each in touching for value in self.windows.pop(each)]
                self.timers -= {timer for timer in self.timers if timer[1] in touching}
                if touching:
                    self.windows[actual] = content
                    self.register(actual)
            if actual[1] - 1 + how.lateness_ms <= self.watermark:
                self.windows.pop(actual, None)
                continue
            skipped = False
            self.windows.setdefault(actual, []).append(at_ms)
            if actual[1] - 1 <= self.watermark:
                self.out.append((actual, sorted(self.windows[actual])))
            self.register(actual)
        if skipped and at_ms + how.lateness_ms <= self.watermark:
            self.out.append("late")
        self.newest = max(self.newest, at_ms)
        self.advance(self.newest - how.out_of_order_ms - 1)

    def register(self, span):
        for moment in (span[1] - 1, span[1] - 1 + self.how.lateness_ms):
            if moment > self.watermark:
                self.timers.add((moment, span))

    def advance(self, watermark):
        self.watermark = max(self.watermark, watermark)
        while due := sorted(timer for timer in self.timers if timer[0] <= self.watermark):
            moment, span = due[0]
            self.timers.remove(due[0])
            if span in self.windows and moment == span[1] - 1:
                self.out.append((span, sorted(self.windows[span])))
            if moment == span[1] - 1 + self.how.lateness_ms:
                self.windows.pop(span, None)


@given(hows, times)
def test_it_does_what_flinks_operator_does(how, at):
    key, flink = Key(how), Operator(how)
    for each in at:
        key.take(each)
        flink.element(each)
    key.go_on()
    flink.advance(END)
    ours = [(span, [at_ms for at_ms, _ in values]) for span, _, values in key.shown]
    theirs = [each for each in flink.out if each != "late"]
    assert sorted(ours) == sorted(theirs)
    assert len(key.late) == flink.out.count("late")


@given(hows, times, st.integers(1, 500))
def test_a_silent_key_closes_its_windows_in_time(how, at, idle_ms):
    how = Windowing(how.window, how.lateness_ms, how.out_of_order_ms, idle_ms, forget_ms=10_000)
    key, now = Key(how), 50_000
    for each in at:
        key.clock, decision = taken(how, key.clock, each, now)
        key.do(decision, (each, 0))
    if not at:
        return
    looks = 0
    while key.clock.open:
        now = due_ms(how, key.clock)
        assert now >= 50_000 + idle_ms
        before = key.clock
        key.go_on(idle_watermark(how, key.clock, now))
        assert key.clock != before, "it was woken up for nothing"
        looks += 1
    assert looks <= 2 * len(at) * 90
    assert due_ms(how, key.clock) == 60_000
    assert not key.held


def test_a_key_that_is_not_idle_yet_and_one_that_never_is_stand_still():
    how = Windowing(Tumbling(1), idle_ms=500)
    clock, _ = taken(how, KeyClock(), 100, 10_000)
    assert idle_watermark(how, clock, 10_499) == clock.watermark_ms == 99
    assert idle_watermark(how, clock, 10_899) == 998
    assert idle_watermark(how, clock, 10_900) == 999
    assert due_ms(how, clock) == 10_900
    assert due_ms(Windowing(Tumbling(1)), clock) == 0


def test_windows_begin_where_flink_has_them_begin():
    """The documentation's own examples: hours, hours shifted by a quarter, days of a zone (UTC+8)."""
    hour, day = 3600, 86_400
    assert spans_of(Tumbling(hour), 1_000) == [Span(0, 3_600_000)]
    assert spans_of(Tumbling(hour, 900), 1_000) == [Span(-2_700_000, 900_000)]
    assert spans_of(Tumbling(day, -8 * hour), 0) == [Span(-8 * 3_600_000, 16 * 3_600_000)]
    assert spans_of(Sliding(10, 5), 7_000) == [Span(0, 10_000), Span(5_000, 15_000)]
    assert spans_of(Sliding(1, 5), 7_000) == [], "between windows"
    assert spans_of(Sessions(5), 7_000) == [Span(7_000, 12_000)]


def test_sessions_that_touch_are_one():
    key = Key(Windowing(Sessions(0.010), out_of_order_ms=1000))
    for each in (0, 10, 21):
        key.take(each)
    key.go_on()
    assert [span for span, _, _ in key.shown] == [Span(0, 20), Span(21, 31)]


@pytest.mark.parametrize(
    ("window", "path"),
    [
        (Tumbling(0), "window.size_s"),
        (Tumbling(-1), "window.size_s"),
        (Tumbling(float("nan")), "window.size_s"),
        (Tumbling(1, float("inf")), "window.offset_s"),
        (Sliding(10_000, 1), "window.every_s"),
        (Sliding(10, True), "window.every_s"),
        (Sessions("5"), "window.gap_s"),
        ("hourly", "window"),
    ],
)
def test_what_is_no_window_is_told(window, path):
    assert [each.path for each in window_findings(window)] == [path]


def test_open_windows_of_a_key_are_bounded():
    how, clock = Windowing(Sliding(1, 0.001), out_of_order_ms=10**8), KeyClock()
    for each in range(0, OPEN_MAX - 1000, 1000):
        clock, _ = taken(how, clock, each, 0)
    clock, _ = taken(how, clock, OPEN_MAX - 1000, 0)
    assert len(clock.open) == OPEN_MAX
    with pytest.raises(LimitReached, match="open windows"):
        taken(how, clock, OPEN_MAX, 0)
