"""Which of several routes (agents, tools, models) a text belongs to, learned from examples of each; or to none of them.

The score from which on a text belongs to a route is learned too, on examples that were held out: against examples of what belongs
to none where there are some, else against routes that were left out, and had to be recognised as unknown.
"""

from collections.abc import Callable, Mapping, Sequence
from math import exp

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from penstock.core.routing.features import Floats, Keys, Rows, Vocabulary, features_of, rows_of, vocabulary_of
from penstock.core.routing.learning import Labels, Weights, learned_weights, looks
from penstock.errors import Finding, Invalid, LimitReached

EXAMPLES_MAX = 50_000
ROUTES_MAX = 1_000
HELD_OUT = 4  # one example in so many is held out, and one route in so many is left out
KEPT_MIN = 0.9  # of what belongs to a route, where nothing is known of what belongs to none
BEST = 5


class Examples(Struct, frozen=True):
    """Texts of each route, and texts that belong to none."""

    routes: Mapping[str, Sequence[str]]
    outside: Sequence[str] = ()

    @property
    def texts(self) -> list[str]:
        """All texts: those of the routes, by name, then those that belong to none."""
        return [*(text for route in sorted(self.routes) for text in self.routes[route]), *self.outside]

    def __len__(self) -> int:
        return sum(map(len, self.routes.values())) + len(self.outside)


class Routed(Struct, frozen=True):
    """Where a text belongs. `route` is "" when it belongs to none (`out_of_scope`); `ranked` are the best of all.

    Scores are from 0 to 1, and from 0.5 on a text belongs to a route. `router`: which one decided, learned from what.
    """

    route: str
    score: float
    runner_up: str
    runner_up_score: float
    out_of_scope: bool
    ranked: tuple[tuple[str, float], ...] = ()
    router: str = ""
    as_of: int | str = 0  # up to which event of the log its examples were seen, where they lie in a collection


class HeldOut(Struct, frozen=True):
    """How it went with examples that were held out while the least score was learned."""

    known: int = 0  # examples of routes
    unknown: int = 0  # of none
    right: float = 0.0  # share of the known whose best route is theirs
    kept: float = 0.0  # share of the known that were found to belong to a route
    refused: float = 0.0  # share of the unknown that were not


class Model(Struct, frozen=True):
    """What was learned."""

    routes: tuple[str, ...]
    vocabulary: Vocabulary
    weights: Weights
    least: float  # the raw score from which on a text belongs to a route
    spread: float  # how far raw scores of what belongs to routes lie apart
    held_out: HeldOut = HeldOut()

    def choose(self, texts: Sequence[str], meanings: Floats, *, score_min: float = 0.5) -> list[Routed]:
        """The route of each text, or none."""
        raw = self.weights.scores(rows_of([features_of(each) for each in texts], meanings, self.vocabulary))
        return [self._routed(row, score_min) for row in raw]

    def _routed(self, row: Floats, score_min: float) -> Routed:
        order: list[int] = np.argsort(-row, kind="stable")[:BEST].tolist()
        ranked = tuple((self.routes[each], self._sure(float(row[each]))) for each in order)
        (route, score), (runner_up, runner_up_score) = ranked[0], ranked[1]
        is_outside = score < score_min
        return Routed("" if is_outside else route, score, runner_up, runner_up_score, is_outside, ranked)

    def _sure(self, raw: float) -> float:
        return 1 / (1 + exp(-min(50.0, max(-50.0, (raw - self.least) / self.spread))))


def checked(examples: Examples) -> Examples:
    """Return the examples without blank and repeated ones; `Invalid` with all findings, and `LimitReached`."""
    findings: list[Finding] = []
    if len(examples.routes) < 2:  # noqa: PLR2004 - a choice needs two
        findings.append(Finding("(whole)", f"has {len(examples.routes)} routes", "give at least two, with texts each"))
    kept = {route: _kept(texts) for route, texts in examples.routes.items()}
    for route, texts in kept.items():
        if not route:
            findings.append(Finding("(whole)", "has a route without a name", "name it, or give its texts as outside"))
        if not texts:
            findings.append(Finding(route or '""', "has no examples", "give some texts, as users would write them"))
    if findings:
        raise Invalid("the examples", tuple(findings))
    if len(kept) > ROUTES_MAX:
        raise LimitReached("the number of routes", len(kept), ROUTES_MAX)
    found = Examples(kept, _kept(examples.outside))
    if len(found) > EXAMPLES_MAX:
        raise LimitReached("the number of examples", len(found), EXAMPLES_MAX)
    return found


def _kept(texts: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text.strip()))


def work_of(examples: Examples) -> int:
    """How far `advance` goes while a model is learned."""
    inside = len(examples) - len(examples.outside)
    return looks(inside) + looks(inside - inside // HELD_OUT)


def learned(examples: Examples, meanings: Floats, advance: Callable[[int], None] = lambda _: None) -> Model:
    """Learn from checked examples; `meanings` are the vectors of `examples.texts`, in their order."""
    names = tuple(sorted(examples.routes))
    labels = np.repeat(np.arange(len(names)), [len(examples.routes[each]) for each in names])
    keys = [features_of(each) for each in examples.texts]
    least, spread, held_out = _least(keys, meanings, labels, len(names), advance)
    inside = len(labels)
    vocabulary = vocabulary_of(keys[:inside])
    rows = rows_of(keys[:inside], meanings[:inside], vocabulary)
    weights = learned_weights(rows, labels, len(names), len(vocabulary.keys), advance)
    return Model(names, vocabulary, weights, least, spread, held_out)


def _least(
    keys: Sequence[Keys], meanings: Floats, labels: Labels, routes: int, advance: Callable[[int], None]
) -> tuple[float, float, HeldOut]:
    """The score that tells best what belongs to a route from what does not, on texts that were not learned from."""
    inside, has_outside = len(labels), len(keys) > len(labels)
    # Which of its route each example is: the same share of every route is held out.
    number = np.arange(inside) - np.searchsorted(labels, labels)
    is_left_out = labels % HELD_OUT == HELD_OUT - 1 if not has_outside and routes > 2 else np.zeros(inside, np.bool_)  # noqa: PLR2004 - two are left to choose from
    is_held = (number % HELD_OUT == HELD_OUT - 1) & ~is_left_out
    used, held = np.flatnonzero(~is_held & ~is_left_out), np.flatnonzero(is_held)
    unknown = np.arange(inside, len(keys)) if has_outside else np.flatnonzero(is_left_out)
    if not len(held):  # too few of each: what lies nearer to a route than by chance belongs to it
        return float(np.log(2)), 1.0, HeldOut()
    vocabulary = vocabulary_of([keys[int(each)] for each in used])
    own, relabelled = np.unique(labels[used], return_inverse=True)
    weights = learned_weights(
        _rows(keys, meanings, used, vocabulary), relabelled, len(own), len(vocabulary.keys), advance
    )
    scores = weights.scores(_rows(keys, meanings, held, vocabulary))
    inner = scores.max(axis=1).astype(np.float64)
    other = weights.scores(_rows(keys, meanings, unknown, vocabulary)).max(axis=1).astype(np.float64)
    least = _dividing(inner, other, kept_min=0.0 if has_outside else KEPT_MIN)
    return (
        least,
        max(float(inner.std()), 1e-3),
        HeldOut(
            len(held),
            len(unknown),
            float((own[scores.argmax(axis=1)] == labels[held]).mean()),
            float((inner >= least).mean()),
            float((other < least).mean()) if len(other) else 0.0,
        ),
    )


def _rows(keys: Sequence[Keys], meanings: Floats, which: NDArray[np.intp], vocabulary: Vocabulary) -> Rows:
    return rows_of([keys[int(each)] for each in which], meanings[which], vocabulary)


def _dividing(inner: NDArray[np.float64], other: NDArray[np.float64], *, kept_min: float) -> float:
    """The place at which most of `inner` lies above, and most of `other` below; a share of at least `kept_min` stays above."""
    inner, other = np.sort(inner), np.sort(other)
    bound = float(inner[int((1 - kept_min) * (len(inner) - 1))]) if kept_min else np.inf
    if not len(other):
        return float(inner[int((1 - KEPT_MIN) * (len(inner) - 1) / 2)])
    places = np.unique(np.concatenate([inner, other]))
    kept = 1 - np.searchsorted(inner, places) / len(inner)
    refused = np.searchsorted(other, places) / len(other)
    best = int(np.argmax(np.where(places <= bound, kept + refused, -1.0)))
    below = places[best - 1] if best else places[best]
    return float((places[best] + below) / 2)  # between the two, so that neither is at the very edge
