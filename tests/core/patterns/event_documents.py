"""Random patterns and events, and the meaning of a pattern written down as plainly as it can be: every choice is tried."""

import itertools

from hypothesis import strategies as st

KEYS = ("a", "b", "c")
TEXTS = ("", "a", "ab", "abc", "A", "aB", "ba", "10.0.0.1", "x*y", "12", "true", "ß", "SS", "é", "É")
NUMBERS = (0, 1, -1, 2.5, 1.0, 1000, 1e3, 3.0000001, 9007199254740993, 12345678901234567890, 1e16)

leaves = st.sampled_from([*TEXTS, *NUMBERS, None, True, False])
keys = st.sampled_from([*KEYS, "a.b"])
events = st.dictionaries(
    keys,
    st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=2), max_leaves=6
    ),
    max_size=3,
)
texts = st.sampled_from(TEXTS)
conditions = st.one_of(
    leaves,
    leaves,
    st.builds(lambda name, text: {name: text}, st.sampled_from(["prefix", "suffix", "equals-ignore-case"]), texts),
    st.builds(lambda name, text: {name: {"equals-ignore-case": text}}, st.sampled_from(["prefix", "suffix"]), texts),
    st.builds(
        lambda text: {"wildcard": text}, st.sampled_from(["*", "a*", "*b", "*b*", "a*b", "*a*b*", "", r"x\*y", "é*"])
    ),
    st.sampled_from([{"exists": True}, {"exists": False}, {"cidr": "10.0.0.0/24"}]),
    st.sampled_from(
        [{"numeric": terms} for terms in (["=", 1], ["<", 1], [">=", 0], [">", 0, "<=", 2.5], [">", 1, "<", 1e17])]
    ),
    st.sampled_from([{"anything-but": each} for each in ("a", ["a", "ab"], 1, [1, 2.5])]),
    st.builds(
        lambda name, text: {"anything-but": {name: text}},
        st.sampled_from(["prefix", "suffix", "equals-ignore-case"]),
        st.sampled_from(["a", ["b", "ab"], "A"]),
    ),
    st.just({"anything-but": {"wildcard": ["a*", "*c"]}}),
)
fields = st.lists(conditions, min_size=1, max_size=2)
plain_patterns = st.recursive(
    st.dictionaries(st.sampled_from(KEYS), fields, min_size=1, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from(KEYS), fields | inner, min_size=1, max_size=3),
    max_leaves=4,
)
patterns = st.one_of(
    plain_patterns,
    plain_patterns,
    st.builds(
        lambda pattern, either: {**pattern, "$or": either},
        plain_patterns,
        st.lists(plain_patterns, min_size=2, max_size=3),
    ),
)


def meant(pattern, event):
    """Whether an event matches, by trying each value for each field."""
    leaves = list(leaves_of(event, (), {}, itertools.count()))
    return any(_meant(branch, leaves, {}) for branch in pattern.branches)


def _meant(branch, leaves, elements):
    if not branch:
        return True
    field, *rest = branch
    here = [(value, place) for path, value, place in leaves if path == field.path and _agree(place, elements)]
    if not here and field.may_be_absent and _meant(rest, leaves, elements):
        return True
    return any(
        _meant(rest, leaves, {**elements, **place})
        for value, place in here
        if any(condition.accepts(value) for condition in field.conditions)
    )


def _agree(place, elements):
    return all(elements.get(number, at) == at for number, at in place.items())


def leaves_of(value, names, place, numbers):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves_of(inner, (*names, name), place, numbers)
    elif isinstance(value, list):
        number = next(numbers)
        for at, inner in enumerate(value):
            within = {**place, number: at} if isinstance(inner, dict | list) else place
            yield from leaves_of(inner, names, within, numbers)
    else:
        yield ".".join(names), value, place
