"""What is remembered, as who looks after a memory sees it: all of it, the newest first, nothing scored."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from penstock.core.knowledge.changes import has_expired
from penstock.core.knowledge.events import EXPIRES, SUBJECT
from penstock.core.knowledge.memories import (
    AGENT,
    RESERVED,
    SCOPE,
    SESSION,
    SUMMARY,
    Whose,
    importance_of,
    parts_of,
    time_of,
)
from penstock.core.knowledge.passages import Passage


class Memory(Struct, frozen=True):
    """Something that is remembered. `summary`: the memory that stands for it in recalls; `expires_ms` 0: never."""

    id: str
    text: str
    importance: float
    at_ms: int
    scope: str
    agent: str = ""
    session: str = ""
    user: str = ""
    summarises: tuple[str, ...] = ()
    summary: str = ""
    expires_ms: int = 0
    metadata: Mapping[str, str] = {}


def memory_of(passage: Passage) -> Memory:
    """Return what a passage of a memory says."""
    said = passage.metadata
    return Memory(
        passage.id,
        passage.text,
        importance_of(said),
        time_of(said),
        said.get(SCOPE, ""),
        said.get(AGENT, ""),
        said.get(SESSION, ""),
        said.get(SUBJECT, ""),
        parts_of(said),
        said.get(SUMMARY, ""),
        int(said[EXPIRES]) if said.get(EXPIRES, "").isdecimal() else 0,
        {name: value for name, value in said.items() if name not in RESERVED},
    )


def newest(passages: Iterable[Passage], whose: Whose, scope: str | None, now_ms: int, limit: int) -> Sequence[Memory]:
    """Return the newest memories of whom is named (of anybody where nobody is), without what has expired."""
    found = [memory_of(each) for each in passages if not has_expired(each.metadata, now_ms)]
    wanted = [
        each
        for each in found
        if scope in (None, each.scope)
        and whose.session in ("", each.session)
        and whose.user in ("", each.user)
        and whose.agent in ("", each.agent)
    ]
    return sorted(wanted, key=lambda each: (-each.at_ms, each.id))[:limit]
