"""How well a router decides, on texts whose routes are known."""

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from penstock.core.routing.router import Routed

CONFUSED_MAX = 20


class Judgement(Struct, frozen=True):
    """How texts were decided. Shares are from 0 to 1, and 0 of none.

    `accuracy`: of texts in scope, how many came to their own route; `accuracy_without_refusals`: how many would have, if none had
    been found to be out of scope. `out_of_scope_recall`: of texts that belong to none, how many were found to.
    """

    in_scope: int
    out_of_scope: int
    accuracy: float
    accuracy_without_refusals: float
    refused_in_scope: float
    out_of_scope_recall: float
    out_of_scope_precision: float
    confused: tuple[tuple[str, str, int], ...]  # route, what it was taken for ("" for none), how often


def judged(wanted: Sequence[str], decided: Sequence[Routed]) -> Judgement:
    """Judge decisions; "" is wanted of what belongs to none."""
    pairs = list(zip(wanted, decided, strict=True))
    inside = [(route, each) for route, each in pairs if route]
    outside = [each for route, each in pairs if not route]
    refused = sum(each.out_of_scope for _, each in inside)
    found = sum(each.out_of_scope for each in outside)
    wrong = Counter((route, each.route) for route, each in pairs if route != each.route)
    commonest = sorted(wrong.items(), key=lambda item: (-item[1], item[0]))[:CONFUSED_MAX]
    return Judgement(
        len(inside),
        len(outside),
        _share(sum(each.route == route for route, each in inside), len(inside)),
        _share(sum(each.ranked[0][0] == route for route, each in inside), len(inside)),
        _share(refused, len(inside)),
        _share(found, len(outside)),
        _share(found, found + refused),
        tuple((route, taken_for, count) for (route, taken_for), count in commonest),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
