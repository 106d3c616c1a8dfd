"""How near to each other a passage has the words of a query, and how many of them: what a search by single words does not see."""

from itertools import pairwise

from penstock.core.knowledge.words import terms, text_language

TEXT_CHARS_MAX = 20_000
QUERY_TERMS_MAX = 64


def proximity(query: str, text: str) -> float:
    """Return from 0 to 1: half for the share of the query's words, half for how close these stand, pair by pair."""
    wanted = list(dict.fromkeys(terms(query[:TEXT_CHARS_MAX])))[:QUERY_TERMS_MAX]
    text = text[:TEXT_CHARS_MAX]
    places: dict[str, list[int]] = {each: [] for each in wanted}
    for at, term in enumerate(terms(text, text_language(text))):
        if term in places:
            places[term].append(at)
    there = [each for each in wanted if places[each]]
    if not there:
        return 0.0
    covered = len(there) / len(wanted)
    pairs = list(pairwise(there))
    near = sum(1 / _distance(places[left], places[right]) for left, right in pairs) / max(1, len(wanted) - 1)
    return (covered + near) / 2


def _distance(left: list[int], right: list[int]) -> int:
    """The least distance between two terms; both lists rise."""
    best, first, second = 1 << 30, 0, 0
    while first < len(left) and second < len(right):
        apart = right[second] - left[first]
        best = min(best, abs(apart) or 1)
        if apart > 0:
            first += 1
        else:
            second += 1
    return best
