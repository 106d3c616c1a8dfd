"""The address of a Redis as a broker: `redis://HOST:PORT/0?prefix=NAME`, over TLS `rediss://`.

User and password may stand before the host; `REDIS_USERNAME` and `REDIS_PASSWORD` are better places for them.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from penstock.core.events.broker_address import CA, CERTIFICATE, KEY, TLS, read_address
from penstock.errors import Finding, Invalid

PREFIX = "penstock:"
OPTIONS = ("partitions", "prefix", "create", "retention_s", *TLS)
EXAMPLE = "redis://HOST:PORT/0, over TLS rediss://HOST:PORT/0"
PORT = 6379
_FILES = {CA: "ssl_ca_certs", CERTIFICATE: "ssl_certfile", KEY: "ssl_keyfile"}


class Address(NamedTuple):
    """What the library is told, which may hold a password and is shown to nobody; and what keys begin with."""

    connecting: Mapping[str, Any]
    prefix: str
    options: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Address({self.connecting['host']}:{self.connecting['port']})"


def address_of(url: str, environment: Mapping[str, str] | None = None) -> Address:
    """Return what an address says; `Invalid` with all findings for what is none."""
    environment = os.environ if environment is None else environment
    given = read_address(url, OPTIONS, EXAMPLE)
    options, findings = given.options, list[Finding]()
    host, _, port = given.hosts[0].partition(":") if "[" not in given.hosts[0] else given.hosts[0].rpartition(":")
    if len(given.hosts) > 1:
        findings.append(Finding("log", f"names {len(given.hosts)} servers", "one: a cluster or a replica is no broker"))
    database = given.path.strip("/") or "0"
    if not database.isdigit():
        findings.append(Finding("log", f"names the database {database!r}", "databases of Redis are numbers: /0"))
    if options.get("create", "yes") not in {"yes", "no"}:
        findings.append(Finding("log", f"create={options['create']}", "no, where others make the topics, or yes"))
    secured = {_FILES[each]: options[each] for each in TLS if options.get(each)}
    findings += [
        Finding("log", f"{name}: there is no file {options[name]!r}", "name a file (PEM)")
        for name in TLS
        if options.get(name) and not Path(options[name]).is_file()
    ]
    is_secured = url.startswith("rediss:")
    if secured and not is_secured:
        findings.append(
            Finding("log", f"has {next(each for each in TLS if options.get(each))}", "write rediss://HOST:PORT")
        )
    if findings:
        raise Invalid("the settings", tuple(findings))
    access = {
        "username": given.user or environment.get("REDIS_USERNAME") or None,
        "password": given.password or environment.get("REDIS_PASSWORD") or None,
    }
    where = {"host": host.strip("[]"), "port": int(port or PORT), "db": int(database)}
    tls = {"ssl": True, **secured} if is_secured else {}
    return Address({**where, **access, **tls}, options.get("prefix", PREFIX), options)
