"""Which app a worker serves: where its file lies, and which code the engine has, so that no other is run in its place."""

import msgspec
from msgspec import Struct

from penstock.errors import Finding, Invalid

HINT = "put the same files at the same place on each node, by one image for instance"


class AppPlace(Struct, frozen=True):
    """An app, for a worker. `code`: a digest of the file in which each agent and event is declared."""

    app: str
    source: str
    code: dict[str, str]
    version: str  # of penstock
    model: str = ""  # the one that answers where the app names none
    traced: dict[str, str] | None = None  # what the engine's environment says of traces; None: it has none


def encode_place(place: AppPlace) -> bytes:
    return msgspec.msgpack.encode(place)


def decode_place(body: bytes) -> AppPlace:
    """Return the place in `body`; `Invalid` when it is damaged, or of another version."""
    try:
        return msgspec.msgpack.decode(body, type=AppPlace)
    except msgspec.MsgspecError as error:
        finding = Finding("(whole)", str(error), "run the same version of penstock on both sides")
        raise Invalid("the place of a worker", (finding,)) from error


def require_same(place: AppPlace, version: str, code: dict[str, str]) -> None:
    """Raise `Invalid`, with all findings, where a worker has other code than its engine."""
    findings: list[Finding] = []
    if version != place.version:
        hint = "install the same version in the host's Python"
        findings.append(Finding("host", f"has penstock {version}, and the engine has {place.version}", hint))
    findings += [
        Finding(f"host: {name}", "is not there" if name not in code else "has other code than the engine's", HINT)
        for name, digest in place.code.items()
        if code.get(name) != digest
    ]
    if findings:
        raise Invalid(f"the app {place.app!r} on this host ({place.source})", tuple(findings))
