"""Declaring that two streams are joined: both pipelines get a node, and all that is wrong with it is said at once."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

from penstock.core.streams.plan import JoinStream, LateRule, Node, Timed, as_it_was, timed_at
from penstock.core.streams.values import Pair, generic
from penstock.core.streams.windows import SIZE_S_MAX
from penstock.errors import Finding, Invalid

VALUES_MAX = 100_000  # of one side and key
OPTIONS = ("between_s", "late", "values_max", "name")


class Place(NamedTuple):
    """Somewhere in a pipeline: where it begins, and the node."""

    root: Node
    node: Node


def meeting(left: Place, right: Place, options: Mapping[str, Any]) -> Node:
    """Have two streams meet, and return the node from which the left one goes on; `Invalid` with all findings."""
    findings = _findings(options)
    source: Any = left.root.does
    number = sum(isinstance(each.does, JoinStream) for each in left.root.walk()) + 1
    name = str(options.get("name") or f"{source.name}-join{number}")
    if findings:
        raise Invalid(f"join of the stream {source.name!r}", tuple(findings))
    lower_s, upper_s = cast("tuple[float, float]", options["between_s"])
    does = JoinStream(
        name,
        "left",
        (lower_s, upper_s),
        {"left": _timed(left), "right": _timed(right)},
        cast("LateRule", options.get("late", "dead")),
        options.get("values_max", 1_000),
        right.node.holds,
    )
    right.node.then(JoinStream(name, "right", does.between_s, does.timed, does.late, does.values_max, does.meets), Any)
    return left.node.then(does, generic(Pair, left.node.holds, right.node.holds))


def joins_findings(sources: Iterable[Node]) -> list[Finding]:
    """Return the joins of which only one side is among these pipelines."""
    sides: dict[str, set[str]] = {}
    for does in (each.does for source in sources for each in source.walk()):
        if isinstance(does, JoinStream):
            sides.setdefault(does.name, set()).add(does.side)
    hint = "join streams of one app"
    return [Finding(name, "joins a stream of another app", hint) for name, found in sides.items() if len(found) == 1]


def _timed(place: Place) -> Timed:
    return timed_at(place.root, place.node) or Timed(as_it_was)


def _findings(options: Mapping[str, Any]) -> list[Finding]:
    findings = [
        Finding(name, "is no option of a join of streams", f"one of {', '.join(OPTIONS)}")
        for name in options
        if name not in OPTIONS
    ]
    between: Any = options.get("between_s")
    bounds = cast("tuple[Any, ...]", between) if isinstance(between, tuple) else ()
    if len(bounds) != 2 or not all(map(_is_bound, bounds)) or bounds[0] > bounds[1]:  # noqa: PLR2004 - from, to
        hint = "(FROM, TO) in seconds, as in (0, 600) for what comes up to ten minutes after it"
        findings.append(Finding("between_s", f"is {between!r}", hint))
    if options.get("late", "dead") not in ("dead", "drop"):
        findings.append(Finding("late", f"is {options['late']!r}", "dead or drop"))
    count: Any = options.get("values_max", 1)
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= VALUES_MAX:
        findings.append(Finding("values_max", f"is {count!r}", f"1 to {VALUES_MAX}"))
    return findings


def _is_bound(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= SIZE_S_MAX
