"""The table of filters x engines: what filters let through, written as users write them. Every index must give the same.

`FILTER_CASES` has the language; here is what engines are known to do in their own way: types that they guess, tokens and letter
case, the order of texts, names of fields, values that are missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from random import Random

from penstock.core.knowledge.filters import All, Any, Equal, Exists, Filter, In, Not, Range, parse_filter

LONG = "x" * 4_000
PEOPLE = "\N{LATIN SMALL LETTER E WITH ACUTE}"
APART = "e\N{COMBINING ACUTE ACCENT}"  # looks the same, and is another text

# By id. All lie in one direction, so that only the filter decides.
FIELDS: dict[str, dict[str, str]] = {
    # numbers, and what is none
    "int": {"n": "7"},
    "float": {"n": "7.0"},
    "exp": {"n": "70e-1"},
    "plus": {"n": "+7"},
    "half": {"n": "7.5"},
    "minus": {"n": "-3"},
    "tiny": {"n": "1e-7"},
    "big": {"n": "9007199254740993"},  # as a double the same as the one before it
    "beyond": {"n": "1e999"},
    "word": {"n": "seven"},
    "arabic": {"n": "\N{ARABIC-INDIC DIGIT SEVEN}"},
    "spaced": {"n": " 7"},
    "score": {"n": "1_000"},
    "nan": {"n": "nan"},
    # texts
    "low": {"s": "en"},
    "high": {"s": "EN"},
    "wide": {"s": "en US"},
    "tail": {"s": "en "},
    "blank": {"s": ""},
    "stop": {"s": "the"},
    "wild": {"s": "e%_*?n"},
    "one": {"s": PEOPLE},
    "two": {"s": APART},
    "smile": {"s": "\N{GRINNING FACE}"},
    "late": {"s": "\N{REPLACEMENT CHARACTER}"},  # before the smile by code point, after it in UTF-16
    "rtl": {"s": "العربية"},
    "long": {"s": LONG},
    "longer": {"s": LONG + "a"},
    "quote": {"s": 'it\'s "q" \\ {} [0] $1 \n\t;--'},
    # truth, lists and times are texts, too
    "true": {"b": "true", "t": "2024-02-29T23:59:59.999Z"},
    "yes": {"b": "True", "t": "2024-03-01T00:00:00.000Z"},
    "false": {"b": "false", "t": "2024-03-01T00:00:00.001Z"},
    "null": {"b": "null", "t": "2024-03"},
    # names of fields
    "odd": {
        "a.b": "1",
        "a b": "1",
        "a[0]": "1",
        "a'": "1",
        'a"': "1",
        "a\\": "1",
        "日付": "1",
        "": "1",
        "$a": "1",
        "-": "1",
    },
    "nest": {"a": "1", "A": "2"},
    "own": {"id": "1", "text": "1", "tenant": "1", "vector": "1", "metadata": "1", "and": "1", "not": "1", "_id": "1"},
    "bare": {},
}

# What is asked for, as JSON or in Python's form, and which come, in the order of their ids.
_TABLE: tuple[tuple[Mapping[str, object] | Filter, str], ...] = (
    # equal: as texts, whatever they look like
    ({"n": 7}, "int"),
    ({"n": "7"}, "int"),
    ({"n": 7.0}, "float"),
    ({"n": "seven"}, "word"),
    ({"n": {"equal": 7.5}}, "half"),
    ({"n": {"equal": 9007199254740992}}, ""),
    ({"b": True}, "true"),
    ({"b": False}, "false"),
    ({"b": "null"}, "null"),
    ({"s": "en"}, "low"),
    ({"s": "EN"}, "high"),
    ({"s": "en "}, "tail"),
    ({"s": ""}, "blank"),
    ({"s": "the"}, "stop"),
    ({"s": "e%_*?n"}, "wild"),
    ({"s": PEOPLE}, "one"),
    ({"s": APART}, "two"),
    ({"s": "\N{GRINNING FACE}"}, "smile"),
    ({"s": "العربية"}, "rtl"),
    ({"s": LONG}, "long"),
    ({"s": LONG + "a"}, "longer"),
    ({"s": FIELDS["quote"]["s"]}, "quote"),
    # in
    ({"n": {"in": [7, 7.5, "\N{ARABIC-INDIC DIGIT SEVEN}"]}}, "arabic half int"),
    ({"s": {"in": ["en", "US"]}}, "low"),
    ({"s": {"in": ["", "the", "nothing"]}}, "blank stop"),
    ({"s": {"in": []}}, ""),
    ({"s": {"in": [f"none-{number}" for number in range(990)] + ["en"]}}, "low"),
    # range: as numbers where both sides are, else as texts by code point
    ({"n": {"gte": 7, "lte": 7}}, "exp float int plus"),
    ({"n": {"gt": 7, "lt": 8}}, "half"),
    ({"n": {"lt": 0}}, "minus spaced"),  # " 7" as a text: a space is before "0"
    ({"n": {"gt": 0, "lt": 0.001}}, "tiny"),
    ({"n": {"gte": 9007199254740992, "lt": 1e300}}, "big"),
    ({"n": {"gt": 1e300, "lt": "a"}}, "beyond"),
    ({"n": {"gte": "seven"}}, "arabic word"),
    ({"n": {"lt": "a"}}, "beyond big exp float half int minus plus score spaced tiny"),
    ({"s": {"gte": "en", "lt": "eo"}}, "low tail wide"),
    ({"s": {"gt": "en", "lte": "en US"}}, "tail wide"),
    ({"s": {"gte": LONG}}, "late long longer one rtl smile"),
    ({"s": {"gt": LONG, "lt": "y"}}, "longer"),
    ({"s": {"gt": "\N{REPLACEMENT CHARACTER}"}}, "smile"),
    ({"s": {"gte": ""}}, "blank high late long longer low one quote rtl smile stop tail two wide wild"),
    ({"s": {"lte": ""}}, "blank"),
    # time
    ({"t": {"gte": "2024-03-01T00:00:00.000Z"}}, "false yes"),
    ({"t": {"lt": "2024-03-01"}}, "null true"),
    ({"t": {"gt": "2024-02", "lte": "2024-03-01T00:00:00.000Z"}}, "null true yes"),
    ({"t": {"gt": 2024}}, "false null true yes"),
    # exists, and what is missing
    ({"t": {"exists": True}}, "false null true yes"),
    ({"s": {"exists": True}, "not": {"s": {"gte": "a"}}}, "blank high"),
    ({"a": {"exists": True}}, "nest"),
    ({"": {"exists": True}}, "odd"),
    (Not(Any(tuple(Exists(name) for name in ("n", "s", "b", "id", "a", "日付")))), "bare"),
    ({"nowhere": {"exists": True}}, ""),
    # names of fields
    *(((Equal(name, "1")), "odd") for name in FIELDS["odd"]),
    *(((Equal(name, "1")), "own") for name in FIELDS["own"]),
    ({"a": 1}, "nest"),
    ({"A": 2}, "nest"),
    ({"A": 1}, ""),
    (Range("a.b", gte="1"), "odd"),
    # and, or, not
    ({"not": {"n": {"exists": True}}, "b": {"exists": True}}, "false null true yes"),
    ({"or": [{"n": 7}, {"s": "en"}, {"b": True}]}, "int low true"),
    ({"and": [{"b": {"exists": True}}, {"not": {"b": True}}, {"not": {"t": {"lt": "2024-03-01"}}}]}, "false yes"),
    ({"n": {"exists": True}, "not": {"or": [{"n": {"gte": 0}}, {"n": {"lt": 0}}]}}, ""),
    ({"n": {"exists": True}, "not": {"n": {"gte": 7}}}, "minus score spaced tiny"),
    (
        {"n": {"exists": True}, "not": {"and": [{"n": {"gte": 7}}, {"n": {"lt": 8}}]}},
        "arabic beyond big minus nan score spaced tiny word",
    ),
    (
        {"s": {"exists": True}, "not": {"s": {"in": ["en", "EN", "the"]}}, "and": [{"s": {"lt": "f"}}]},
        "blank tail two wide wild",
    ),
    (All((Exists("b"), Not(Not(Equal("b", "true"))))), "true"),
    (All((Exists("b"), Not(All(())))), ""),
    (All((Exists("b"), Not(Any(())))), "false null true yes"),
    (All((Exists("b"), Not(In("b", ())))), "false null true yes"),
)


TABLE: tuple[tuple[Filter, Sequence[str]], ...] = tuple(
    (parse_filter(asked) if isinstance(asked, Mapping) else asked, ids.split()) for asked, ids in _TABLE
)


def chance_filters(random: Random, count: int) -> Iterator[Filter]:
    """Yield filters by chance over the fields and values of the table, nested up to three deep."""
    pairs = [(name, value) for fields in FIELDS.values() for name, value in fields.items()]
    for _ in range(count):
        yield _chance(random, pairs, 3)


def _chance(random: Random, pairs: list[tuple[str, str]], depth: int) -> Filter:
    field, value = random.choice(pairs)
    others = [other for name, other in pairs if name == field]
    kind = random.randrange(8 if depth else 5)
    if kind == 0:
        return Equal(field, value)
    if kind == 1:
        return In(field, tuple(random.sample(others, min(2, len(others)))))
    if kind == 2:
        return Exists(field)
    if kind in (3, 4):
        bounds = {name: random.choice([*others, "5", "m"]) for name in random.sample(["gte", "gt", "lte", "lt"], 2)}
        return Range(field, **bounds)
    if kind == 5:
        return Not(_chance(random, pairs, depth - 1))
    inner = tuple(_chance(random, pairs, depth - 1) for _ in range(random.randint(1, 3)))
    return All(inner) if kind == 6 else Any(inner)
