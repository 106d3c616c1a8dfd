"""Filters and what they let through: one table, on which every index must give equal results."""

from penstock.core.knowledge.filters import All, Any, Equal, Exists, Filter, In, Not, Range

# All of them share one word and lie in one direction, so that only the filter decides.
METADATA: dict[str, dict[str, str]] = {
    "a": {"lang": "en", "year": "2019", "source": "manual"},
    "b": {"lang": "en", "year": "2020", "source": "manual", "draft": "true"},
    "c": {"lang": "de", "year": "2021.5", "source": "blog"},
    "d": {"lang": "de", "year": "900", "source": "blog", "draft": ""},
    "e": {"lang": "日本語", "year": "unknown", "date": "2024-02-29"},
    "f": {"year": "1e4", "date": "2024-03-01"},
    "g": {},
}

FILTER_CASES: tuple[tuple[Filter, str], ...] = (
    (Equal("lang", "en"), "ab"),
    (Equal("lang", "日本語"), "e"),
    (Equal("lang", "EN"), ""),
    (Equal("draft", ""), "d"),
    (Equal("nowhere", "en"), ""),
    (In("lang", ("de", "日本語", "fr")), "cde"),
    (In("lang", ()), ""),
    (Exists("draft"), "bd"),
    (Exists("nowhere"), ""),
    (Not(Exists("lang")), "fg"),
    (Not(Equal("lang", "en")), "cdefg"),
    # as numbers: 900 is below 2020, and 1e4 above; "unknown" is none, and compares as text
    (Range("year", gte="2020"), "bcef"),
    (Range("year", gt="2020"), "cef"),
    (Range("year", lt="2020"), "ad"),
    (Range("year", lte="2020.0"), "abd"),
    (Range("year", gte="2019", lt="2021"), "ab"),
    (Range("year", gte="2021", lt="2020"), ""),
    # as texts
    (Range("date", gte="2024-03-01"), "f"),
    (Range("date", lt="2024-03-01"), "e"),
    (Range("lang", gt="en"), "e"),
    (Range("year", gte="unknown"), "e"),
    (Range("year"), "abcdef"),
    (Range("nowhere", gte="0"), ""),
    (All(()), "abcdefg"),
    (Any(()), ""),
    (All((Equal("lang", "en"), Range("year", gte="2020"))), "b"),
    (Any((Equal("lang", "de"), Equal("source", "manual"))), "abcd"),
    (Not(Any((Equal("lang", "de"), Equal("source", "manual")))), "efg"),
    (All((Exists("year"), Not(All((Exists("source"), Exists("draft")))))), "acef"),
    (Not(Not(Equal("lang", "en"))), "ab"),
)
