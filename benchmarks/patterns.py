"""Event patterns: events a second against one rule and against many, of each kind of condition, in processor time of one core.

    python benchmarks/patterns.py [--rules 10000] [--events 3000] [--json]

The ratio says how many times longer an event takes with all rules than with one. `one by one` tries each pattern by itself, on a
few events, and is what an index saves.
"""

import argparse
import gc
import json
import random
import time
import tracemalloc

from penstock.core.patterns.reading import parse_pattern
from penstock.core.patterns.rules import RuleSet

KINDS = {
    "equal": lambda n: {"source": ["shop"], "detail-type": [f"type{n % 20}"], "detail": {"id": [f"i-{n:06}", f"j-{n:06}"]}},
    "equal, one of many fields": lambda n: {"detail": {f"field{n % 500}": [f"v{n}"], "state": ["running"]}},
    "five fields of seven values": lambda n: {"detail": {f"d{at}": [n // 7**at % 7] for at in range(5)}},
    "prefix": lambda n: {"source": ["shop"], "detail": {"path": [{"prefix": f"/t{n:06}/"}]}},
    "suffix": lambda n: {"detail": {"path": [{"suffix": f".x{n:06}"}]}},
    "wildcard": lambda n: {"detail": {"path": [{"wildcard": f"*/item{n:06}/*"}]}},
    "ignore case": lambda n: {"detail": {"id": [{"equals-ignore-case": f"I-{n:06}"}]}},
    "numeric range": lambda n: {"source": ["shop"], "detail": {"amount": [{"numeric": [">=", n, "<", n + 3]}]}},
    "cidr": lambda n: {"detail": {"ip": [{"cidr": f"10.{n // 256}.{n % 256}.0/24"}]}},
    "anything-but with equal": lambda n: {"detail": {"state": [{"anything-but": [f"s{n}"]}], "id": [f"i-{n:06}"]}},
    "$or": lambda n: {"source": ["shop"], "$or": [{"detail": {"id": [f"i-{n:06}"]}}, {"detail": {"amount": [n]}}]},
}  # fmt: skip


def event(n: int, rules: int) -> dict[str, object]:
    at = n * 7919 % rules
    detail = {
        "id": f"i-{at:06}",
        "state": "running",
        "path": f"/t{at:06}/a/item{at:06}/z.x{at:06}",
        "amount": at,
        "ip": f"10.{at // 256}.{at % 256}.7",
        f"field{at % 500}": f"v{at}",
        **{f"d{digit}": at // 7**digit % 7 for digit in range(5)},
    }
    around = {"version": "0", "id": str(n), "account": "123456789012", "region": "eu-west-1", "resources": ["arn:x"]}
    return {
        **around,
        "detail-type": f"type{at % 20}",
        "source": "shop",
        "time": "2026-11-26T04:00:00Z",
        "detail": detail,
    }


def rate(rules: RuleSet, events: list[dict[str, object]]) -> tuple[float, int]:
    """Return events a second and how many rules matched."""
    for each in events[:50]:
        rules.matching(each)
    gc.disable()
    begun = time.process_time()
    matched = sum(len(rules.matching(each)) for each in events)
    took = time.process_time() - begun
    gc.enable()
    return len(events) / took, matched


def measured(kind: str, count: int, events_count: int) -> dict[str, object]:
    documents = [KINDS[kind](n) for n in range(count)]
    patterns = [parse_pattern(document) for document in documents]
    events = [event(n, count) for n in range(events_count)]
    random.Random(1).shuffle(events)
    one, _ = rate(RuleSet({0: patterns[0]}), events)
    tracemalloc.start()
    rules = RuleSet(dict(enumerate(patterns)))
    size_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    begun = time.process_time()
    again = RuleSet(dict(enumerate(patterns)))
    add_us = (time.process_time() - begun) / count * 1e6
    many, matched = rate(again, events)
    singles = [RuleSet({0: pattern}) for pattern in patterns]
    begun = time.process_time()
    found = [sum(bool(each.matching(happened)) for each in singles) for happened in events[:5]]
    alone = 5 / (time.process_time() - begun)
    assert found == [len(rules.matching(happened)) for happened in events[:5]]
    begun = time.process_time()
    for n in range(count):
        again.discard(n)
    discard_us = (time.process_time() - begun) / count * 1e6
    return {
        "kind": kind,
        "one rule": round(one),
        f"{count:,} rules": round(many),
        "ratio": round(one / many, 1),
        "one by one": round(alone, 1),
        "matched/event": round(matched / len(events), 2),
        "add us": round(add_us, 1),
        "discard us": round(discard_us, 1),
        "bytes/rule": round(size_bytes / count),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Event patterns: one rule, many rules, one by one.")
    parser.add_argument("--rules", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=3_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [measured(kind, options.rules, options.events) for kind in KINDS]
    if options.json:
        print(json.dumps(rows))
        return
    widths = [max(len(str(row[name])) for row in [{name: name}, *rows]) for name in rows[0]]
    for row in [dict(zip(rows[0], rows[0], strict=True)), *rows]:
        print("  ".join(str(value).ljust(width) for value, width in zip(row.values(), widths, strict=True)).rstrip())
    print("events a second, in processor time of one core")


if __name__ == "__main__":
    main()
