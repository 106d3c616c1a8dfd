"""Addresses of stores in Redis: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE][?prefix=NAME]`, `rediss://` over TLS.

`REDIS_USERNAME` and `REDIS_PASSWORD` are better places for user and password.
"""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode

from penstock.core.events.broker_address import CA, CERTIFICATE, KEY, TLS, read_address
from penstock.errors import Finding, Invalid

PREFIX = "penstock"
SCHEMES = ("redis", "rediss")
HINT = "write redis://USER:PASSWORD@HOST:6379/0?prefix=NAME"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_FILES = {CA: "ssl_ca_certs", CERTIFICATE: "ssl_certfile", KEY: "ssl_keyfile"}


class Address(NamedTuple):
    """Where a store lies: the server with its database, as the library wants it, and what its keys begin with."""

    url: str
    prefix: str
    shown: str

    def __repr__(self) -> str:
        return f"Address({self.shown})"


def address_of(url: str, prefix: str | None = None, environment: Mapping[str, str] | None = None) -> Address:
    """Read an address; `Invalid`, with all that is wrong with it."""
    environment = os.environ if environment is None else environment
    given = read_address(url, ("prefix", *TLS), HINT, setting="store")
    scheme, database = url.partition(":")[0], given.path.strip("/")
    chosen = prefix or given.options.get("prefix", PREFIX)
    files = {_FILES[each]: given.options[each] for each in TLS if given.options.get(each)}
    findings: list[Finding] = []
    if scheme not in SCHEMES:
        findings.append(Finding("store", f"is of the scheme {scheme!r}", HINT))
    if len(given.hosts) > 1:
        findings.append(Finding("store", f"names {len(given.hosts)} servers", HINT))
    if files and scheme != "rediss":
        findings.append(Finding("store", "has files of TLS, and speaks none", "write rediss://HOST:6379/0"))
    if database and not database.isdigit():
        findings.append(Finding("store", f"names the database {database!r}", "databases of Redis are numbers: /0"))
    if not _NAME.fullmatch(chosen):
        findings.append(Finding("store", f"has the prefix {chosen!r}", "1 to 64 letters, digits, '_', '-' or '.'"))
    if findings:
        raise Invalid("the settings", tuple(findings))
    user = given.user or environment.get("REDIS_USERNAME", "")
    password = given.password or environment.get("REDIS_PASSWORD", "")
    access = f"{quote(user, safe='')}:{quote(password, safe='')}@" if password else ""
    host = given.hosts[0]
    where = f"{scheme}://{access}{host}/{database}" + (f"?{urlencode(files)}" if files else "")
    return Address(where, chosen, host if ":" in host.rpartition("]")[2] else f"{host}:6379")
