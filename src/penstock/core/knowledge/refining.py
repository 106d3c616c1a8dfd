"""One list of hits out of three: what the words found, what the vectors found, and what a finer model says of both.

A finer model is slow, so it may have seen only some of the candidates. What it says is brought onto the scale of the first
vectors by the candidates that both know: so a passage it has not seen yet competes by what is known of it, neither favoured nor
set back, and the ranking moves from the first vectors' to the finer model's as its share grows.
"""

from collections.abc import Mapping
from math import fsum, sqrt

from penstock.core.knowledge.fusion import MODEL_WEIGHT, PEAK, WEIGHT, best, standard, weight_where
from penstock.core.knowledge.passages import Hit

# The finer model's part in what vectors say of a passage that it knows: see docs/decisions/0045-a-second-tier.md.
FINER_SHARE = 0.8
_EQUAL = 1e-9


def refined(
    relevances: Mapping[str, float],
    cosines: Mapping[str, float],
    finer: Mapping[str, float],
    *,
    limit: int,
    weight: float = WEIGHT,
    peak: float | None = PEAK,
) -> list[Hit]:
    """Add words and vectors as `fused` does, with the finer model's cosines where there are some.

    `weight` and `peak` are those of the first vectors, as in `fused`; with the share of candidates that the finer model knows
    they give way to the weight of a model that reads whole sentences.
    """
    ids = list(dict.fromkeys([*relevances, *cosines]))
    least = min(cosines.values(), default=0.0)
    words = standard([relevances.get(each, 0.0) for each in ids])
    near = dict(zip(ids, standard([cosines.get(each, least) for each in ids]), strict=True))
    known = {each: finer[each] for each in ids if each in finer}
    share = len(known) / len(ids) if ids else 0.0
    weight = (1 - share) * weight_where(words, weight, peak) + share * MODEL_WEIGHT
    vectors = near | mixed(near, known)
    scores = {each: (1 - weight) * word + weight * vectors[each] for each, word in zip(ids, words, strict=True)}
    return best(scores, limit)


def mixed(first: Mapping[str, float], finer: Mapping[str, float]) -> dict[str, float]:
    """Return what both models together say of the candidates that the finer one knows, on the scale of the first."""
    both = [each for each in finer if each in first]
    coarse_mean, coarse_spread = _moments([first[each] for each in both])
    fine_mean, fine_spread = _moments([finer[each] for each in both])
    if fine_spread <= _EQUAL:  # of one or two candidates nothing can be told
        return {}
    scaled = {each: coarse_mean + (finer[each] - fine_mean) * coarse_spread / fine_spread for each in both}
    return {each: (1 - FINER_SHARE) * first[each] + FINER_SHARE * scaled[each] for each in both}


def _moments(values: list[float]) -> tuple[float, float]:
    """Return mean and deviation."""
    if not values:
        return 0.0, 0.0
    mean = fsum(values) / len(values)
    return mean, sqrt(fsum((each - mean) ** 2 for each in values) / len(values))
