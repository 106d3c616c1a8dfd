"""The address of a store: a database as libpq writes it, and the schema within it that holds the tables.

`postgresql://USER@HOST:PORT/DATABASE?schema=NAME`; without a schema it is `penstock`. Two apps that share a database take a
schema each: a store has one claim.
"""

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from penstock.errors import Finding, Invalid

SCHEMA = "penstock"
SCHEMES = ("postgresql", "postgres")
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,39}")  # never needs quotes, and fits into a channel's 63 bytes with a prefix


class Address(NamedTuple):
    """Where the tables are. `dsn` may hold a password: it is shown to nobody."""

    dsn: str
    schema: str


def address_of(url: str, schema: str | None = None) -> Address:
    """Take the schema out of a URL, unless one is given beside it; `Invalid` for what is no address."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise _invalid(str(error)) from error
    if parts.scheme not in SCHEMES:
        raise _invalid("has another scheme")
    options = parse_qsl(parts.query, keep_blank_values=True)
    named = [value for name, value in options if name == "schema"]
    chosen = schema or (named[-1] if named else SCHEMA)
    if not _NAME.fullmatch(chosen) or chosen.startswith("pg_"):
        hint = "1 to 40 small letters, digits and _, not beginning with a digit or pg_"
        raise Invalid("the settings", (Finding("store", f"has the schema {chosen!r}", hint),))
    query = urlencode([(name, value) for name, value in options if name != "schema"])
    # Not urlunsplit: it drops the slashes of an address without a host, which means a socket in the file system.
    return Address(f"{parts.scheme}://{parts.netloc}{parts.path}{'?' if query else ''}{query}", chosen)


def _invalid(problem: str) -> Invalid:
    hint = "write postgresql://USER@HOST:PORT/DATABASE?schema=NAME"
    return Invalid("the settings", (Finding("store", f"is no address of a Postgres: {problem}", hint),))
