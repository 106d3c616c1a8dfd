"""The contract of `Tracer`, as tests. An adapter inherits them, and supplies a tracer and what has become of its spans.

Each test names the guarantee that it checks. There is no way to switch one off: what an adapter cannot do belongs in
another port.
"""

from collections.abc import Callable, Sequence

import pytest
from msgspec import Struct

from penstock.core.telemetry.spans import (
    LINKS_MAX,
    TEXT_CHARS_MAX,
    SpanAsked,
    Value,
    place_of,
    span_id_of,
    trace_id_of,
)
from penstock.ports.tracer import Tracer

FAR = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class SpanSeen(Struct, frozen=True):
    """A span as whoever collects them gets it."""

    name: str
    trace: int
    span: int
    parent: int  # 0: none
    attributes: dict[str, Value]
    links: tuple[tuple[int, int], ...]  # trace and span
    failed: bool


Seen = Callable[[], Sequence[SpanSeen]]


class TracerContract:
    @pytest.fixture
    def tracer(self) -> Tracer:
        raise NotImplementedError("supply the tracer under test")

    @pytest.fixture
    def left_out(self) -> Tracer:
        raise NotImplementedError("supply a tracer that samples nothing of its own, and follows its parents")

    @pytest.fixture
    def seen(self) -> Seen:
        """Return what gives the spans that have ended, in that order, of both tracers."""
        raise NotImplementedError("supply what has become of the spans")

    def test_tr1_a_span_lies_below_its_parent_and_one_without_begins_a_trace(self, tracer: Tracer, seen: Seen) -> None:
        root = tracer.begin(SpanAsked("root", parent="", origin="event-1"))
        tracer.begin(SpanAsked("below", parent=root.traceparent)).end()
        tracer.begin(SpanAsked("far", parent=FAR, origin="event-1")).end()
        root.end()
        below, far, first = seen()
        assert (first.parent, first.trace) == (0, trace_id_of("event-1"))
        assert (below.trace, below.parent) == (first.trace, first.span)
        assert (far.trace, far.parent) == (0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331)
        tracer.begin(SpanAsked("other", parent="")).end()
        assert seen()[-1].trace != first.trace

    def test_tr2_an_identity_is_an_id_and_links_are_kept(self, tracer: Tracer, seen: Seen) -> None:
        for _ in range(2):
            tracer.begin(SpanAsked("run", parent=FAR, identity="event-1:work")).end()
        tracer.begin(SpanAsked("again", parent=FAR, links=(FAR,))).end()
        one, two, again = seen()
        assert one.span == two.span == span_id_of("event-1:work")
        assert again.span not in {0, one.span}
        place = place_of(FAR)
        assert place is not None
        assert again.links == ((place.trace, place.span),)

    def test_tr3_what_begins_here_lies_below(self, tracer: Tracer, seen: Seen) -> None:
        outer = tracer.begin(SpanAsked("outer", parent=FAR))
        with outer.here():
            tracer.begin(SpanAsked("inner")).end()
            tracer.begin(SpanAsked("elsewhere", parent="")).end()
        tracer.begin(SpanAsked("after")).end()
        outer.end()
        inner, elsewhere, after, ended = seen()
        assert inner.parent == ended.span
        assert elsewhere.parent == after.parent == 0

    def test_tr4_attributes_and_links_are_bounded(self, tracer: Tracer, seen: Seen) -> None:
        links = tuple(f"00-{number:032x}-{number:016x}-01" for number in range(1, LINKS_MAX + 10))
        span = tracer.begin(SpanAsked("n" * 10_000, parent="", links=links, attributes={"text": "x" * 10_000}))
        span.note("more", "y" * 10_000)
        span.note("count", 3)
        span.end("E" * 10_000)
        (one,) = seen()
        assert all(len(each) <= TEXT_CHARS_MAX for each in one.attributes.values() if isinstance(each, str))
        assert len(one.name) <= TEXT_CHARS_MAX
        assert len(one.links) == LINKS_MAX
        assert one.attributes["count"] == 3
        assert one.failed

    def test_tr5_what_is_left_out_says_so_and_those_below_are_left_out(self, left_out: Tracer, seen: Seen) -> None:
        root = left_out.begin(SpanAsked("root", parent=""))
        assert root.traceparent.endswith("-00")
        below = left_out.begin(SpanAsked("below", parent=root.traceparent))
        assert below.traceparent.endswith("-00")
        assert below.traceparent[:35] == root.traceparent[:35]
        root.note("more", 1)
        below.end()
        root.end()
        assert not seen()
        left_out.begin(SpanAsked("far", parent=FAR)).end()
        assert [each.name for each in seen()] == ["far"]

    def test_tr6_an_inner_one_is_left_out_where_nothing_goes_on(self, tracer: Tracer, seen: Seen) -> None:
        tracer.begin(SpanAsked("nowhere", inner=True)).end()
        assert not seen()
        outer = tracer.begin(SpanAsked("outer", parent=""))
        with outer.here():
            tracer.begin(SpanAsked("inner", inner=True)).end()
        assert [each.name for each in seen()] == ["inner"]

    @pytest.mark.parametrize(
        "wrong", ["", "nonsense", FAR.upper(), FAR.replace("00-", "ff-"), f"00-{0:032x}-{1:016x}-01"]
    )
    def test_tr7_nothing_raises(self, tracer: Tracer, seen: Seen, wrong: str) -> None:
        span = tracer.begin(SpanAsked("odd", parent=wrong, origin="\ud800", identity="\ud800", links=(wrong,)))
        span.end("Wrong")
        span.note("late", "it has ended")
        span.rename("late")
        span.end()
        (one,) = seen()
        assert (one.name, one.parent, one.links, one.failed) == ("odd", 0, (), True)
        with tracer.below(wrong):
            assert tracer.where() == ""
            tracer.begin(SpanAsked("alone")).end()
        assert seen()[-1].parent == 0

    def test_tr8_what_begins_below_a_span_of_another_process_lies_there(self, tracer: Tracer, seen: Seen) -> None:
        assert tracer.where() == ""
        outer = tracer.begin(SpanAsked("outer", parent=FAR))
        with outer.here():
            said = tracer.where()
        outer.end()
        assert said == outer.traceparent
        with tracer.below(said):
            assert tracer.where() == said
            inner = tracer.begin(SpanAsked("inner"))
            with inner.here():
                tracer.begin(SpanAsked("innermost")).end()
            inner.end()
        tracer.begin(SpanAsked("after")).end()
        ended, innermost, lies_inner, after = seen()
        assert (lies_inner.trace, lies_inner.parent) == (ended.trace, ended.span)
        assert innermost.parent == lies_inner.span
        assert after.parent == 0
        assert tracer.where() == ""
