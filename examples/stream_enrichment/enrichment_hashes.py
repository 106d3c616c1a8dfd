"""Checks the append-only log of hashes: each line names the one before it in its session, and itself."""

import json
from collections.abc import Iterable

from enrichment_text import digest


def broken_links(entries: Iterable) -> list[str]:
    """Return what is wrong, line by line; nothing when no line was changed, removed or put in."""
    last: dict[str, tuple[int, str]] = {}
    wrong: list[str] = []
    for each in entries:
        number, before = last.get(each.session_id, (0, ""))
        own = digest(json.dumps([each.session_id, each.number, each.request_sha256, each.response_sha256, each.before]))
        if each.number != number + 1 or each.before != before:
            wrong.append(f"{each.session_id}: line {each.number} does not follow line {number}")
        elif each.sha256 != own:
            wrong.append(f"{each.session_id}: line {each.number} was changed")
        last[each.session_id] = each.number, each.sha256
    return wrong
