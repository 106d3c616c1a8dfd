"""What a schema registry decides: which version a schema becomes, under which id, and whether it may.

Ids are those of documents: the same schema under two subjects has one id, as in Confluent's registry.
"""

import json
import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Literal, get_args

from msgspec import Struct

from penstock.core.schemas.avro import parse_avro
from penstock.core.schemas.avro_canonical import canonical
from penstock.core.schemas.avro_reading import Obstacle, obstacles
from penstock.core.schemas.json_reading import json_obstacles
from penstock.errors import Finding, Invalid, LimitReached

Kind = Literal["AVRO", "JSON"]
Mode = Literal["NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"]
MODES: tuple[Mode, ...] = get_args(Mode)
KINDS: tuple[Kind, ...] = get_args(Kind)
DEFAULT_MODE: Mode = "BACKWARD"
VERSIONS_MAX = 1000  # of one subject
SUBJECT_CHARS_MAX = 255
DOCUMENT_CHARS_MAX = 1024 * 1024
_SUBJECT = re.compile(r"[^\x00-\x1f\x7f]+")


class Version(Struct, frozen=True):
    """One version of a subject."""

    subject: str
    version: int
    id: int
    kind: Kind
    schema: str

    @property
    def digest(self) -> str:
        return digest_of(self.kind, self.schema)


def digest_of(kind: Kind, document: str) -> str:
    """Return what two documents have in common that are one schema: spaces, and for JSON the order of keys, count for nothing."""
    plain = json.loads(document)
    # The canonical form leaves out defaults and aliases, which readers need: two schemas that differ there are two.
    whole = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return blake2b(f"{kind}\n{whole}".encode(), digest_size=16).hexdigest()


def require_schema(subject: str, kind: str, document: str) -> Kind:
    """Return the kind of what can be registered; `Invalid` with all findings, `LimitReached` for an endless one."""
    if len(document) > DOCUMENT_CHARS_MAX:
        raise LimitReached("the length of the schema, in characters,", len(document), DOCUMENT_CHARS_MAX)
    findings = [
        *([] if _SUBJECT.fullmatch(subject) and len(subject) <= SUBJECT_CHARS_MAX else [_bad_subject(subject)]),
        *([] if kind in KINDS else [Finding("kind", f"is {kind!r}", f"one of {', '.join(KINDS)}")]),
    ]
    if kind == "AVRO":
        try:
            canonical(parse_avro(document))
        except Invalid as error:
            findings += error.findings
    elif kind == "JSON":
        findings += _json_findings(document)
    if findings:
        raise Invalid(f"the schema for {subject[:SUBJECT_CHARS_MAX]!r}", tuple(findings))
    return "AVRO" if kind == "AVRO" else "JSON"


def _bad_subject(subject: str) -> Finding:
    return Finding(
        "subject", f"is {subject[:80]!r}", f"a text of 1 to {SUBJECT_CHARS_MAX} characters, e.g. orders-value"
    )


def _json_findings(document: str) -> list[Finding]:
    try:
        plain = json.loads(document)
    except (ValueError, RecursionError) as error:
        return [Finding("(whole)", f"is not JSON ({error})")]
    return [] if isinstance(plain, dict | bool) else [Finding("(whole)", "is no JSON Schema", "an object, or true")]


def require_mode(mode: str) -> Mode:
    """Return a compatibility mode; `Invalid` when there is none such."""
    for each in MODES:
        if each == mode.upper():
            return each
    raise Invalid("the compatibility", (Finding("compatibility", f"is {mode!r}", f"one of {', '.join(MODES)}"),))


def incompatible(kind: Kind, document: str, earlier: Sequence[Version], mode: Mode) -> list[tuple[int, str, Obstacle]]:
    """Return what is in the way of a new version under a mode: the earlier version, which of both reads, and the obstacle.

    BACKWARD: the new one reads what the last wrote. FORWARD: the last reads what the new one writes. FULL: both. TRANSITIVE: all
    earlier versions, not only the last.
    """
    if mode == "NONE":
        return []
    compared = earlier if mode.endswith("TRANSITIVE") else earlier[-1:]
    direction = mode.removesuffix("_TRANSITIVE")
    found: list[tuple[int, str, Obstacle]] = []
    for each in compared:
        if each.kind != kind:
            found.append((each.version, "both", Obstacle("KIND_CHANGED", "/", f"it is {each.kind}")))
            continue
        if direction in ("BACKWARD", "FULL"):
            found += [(each.version, "new", seen) for seen in _between(kind, document, each.schema)]
        if direction in ("FORWARD", "FULL"):
            found += [(each.version, "old", seen) for seen in _between(kind, each.schema, document)]
    return found


def require_compatible(subject: str, kind: Kind, document: str, earlier: Sequence[Version], mode: Mode) -> None:
    """Raise `Invalid` with all that is in the way of a new version."""
    found = incompatible(kind, document, earlier, mode)
    if found:
        said = {
            "new": "the new schema cannot read version",
            "old": "cannot read the new schema: version",
            "both": "not of the kind of version",
        }
        findings = tuple(
            Finding(each.location, f"{said[who]} {version}: {each.kind} ({each.message})", f"compatibility is {mode}")
            for version, who, each in found
        )
        raise Invalid(f"a new version of {subject!r}", findings)


def next_version(subject: str, kind: Kind, document: str, earlier: Sequence[Version], mode: Mode, id: int) -> Version:
    """Return the version that a schema becomes, or is already. `Invalid` when it does not fit, `LimitReached` after many."""
    digest = digest_of(kind, document)
    known = next((each for each in earlier if each.digest == digest), None)
    if known is not None:
        return known
    require_compatible(subject, kind, document, earlier, mode)
    if len(earlier) >= VERSIONS_MAX:
        raise LimitReached(f"the number of versions of {subject!r}", len(earlier) + 1, VERSIONS_MAX)
    return Version(subject, earlier[-1].version + 1 if earlier else 1, id, kind, document)


def _between(kind: Kind, reader: str, writer: str) -> list[Obstacle]:
    if kind == "AVRO":
        return obstacles(parse_avro(reader), parse_avro(writer))
    read: Any = json.loads(reader)
    return json_obstacles(read, json.loads(writer))
