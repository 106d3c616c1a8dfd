"""Addresses of stores in Redis: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE][?prefix=NAME]`, `rediss://` over TLS."""

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from penstock.errors import Finding, Invalid

PREFIX = "penstock"
SCHEMES = ("redis", "rediss")
HINT = "write redis://USER:PASSWORD@HOST:6379/0?prefix=NAME"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Address(NamedTuple):
    """Where a store lies: the server with its database, as the library wants it, and what its keys begin with."""

    url: str
    prefix: str
    shown: str


def address_of(url: str, prefix: str | None = None) -> Address:
    """Read an address; `Invalid`, with all that is wrong with it."""
    try:
        parts = urlsplit(url)
        port, options = parts.port, dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError as error:
        raise Invalid("the settings", (Finding("store", str(error), HINT),)) from error
    database = parts.path.strip("/")
    chosen = prefix or options.get("prefix", PREFIX)
    findings = [
        Finding("store", f"has the option {name!r}", f"none but prefix: {HINT}") for name in options if name != "prefix"
    ]
    if parts.scheme not in SCHEMES:
        findings.append(Finding("store", f"is of the scheme {parts.scheme!r}", HINT))
    if not parts.hostname:
        findings.append(Finding("store", "names no server", HINT))
    if database and not database.isdigit():
        findings.append(Finding("store", f"names the database {database!r}", "databases of Redis are numbers: /0"))
    if not _NAME.fullmatch(chosen):
        findings.append(Finding("store", f"has the prefix {chosen!r}", "1 to 64 letters, digits, '_', '-' or '.'"))
    if findings:
        raise Invalid("the settings", tuple(findings))
    plain = parts._replace(query="", fragment="")
    return Address(plain.geturl(), chosen, f"{parts.hostname}:{port or 6379}")
