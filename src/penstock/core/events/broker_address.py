"""The address of a broker, as it is written: `SCHEME://USER:PASSWORD@HOST:PORT,HOST:PORT?OPTION=VALUE`.

What is shown of it is never more than what cannot be a part of a password: who writes one as it is, with a '/' in it, has an
address that ends within.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from penstock.errors import Finding, Invalid

# How TLS is told, the same for each broker: by librdkafka's names.
CA, CERTIFICATE, KEY = "ssl.ca.location", "ssl.certificate.location", "ssl.key.location"
TLS = (CA, CERTIFICATE, KEY)
RETAINED_S_MAX = 10 * 366 * 24 * 3600
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:,\s\[\]]+)(:\d{1,5})?")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,79}")


class BrokerAddress(NamedTuple):
    """What an address says, of one server at least. `password` is shown to nobody."""

    hosts: Sequence[str]
    user: str
    password: str
    path: str
    options: Mapping[str, str]

    def __repr__(self) -> str:
        return f"BrokerAddress({','.join(self.hosts)})"


def read_address(
    url: str, options: Collection[str], example: str, *, dotted: bool = False, setting: str = "log"
) -> BrokerAddress:
    """Return what an address says; `Invalid` with all findings. `dotted`: options with a dot in their names are not looked at."""
    try:
        parts = urlsplit(url)
        access, _, hosts = parts.netloc.rpartition("@")
    except ValueError:  # its message holds what was given
        raise Invalid("the settings", (Finding(setting, "cannot be read as an address", f"write {example}"),)) from None
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    findings: list[Finding] = []
    if _is_cut(parts.path, parts.query, parts.fragment, access=access):
        hint = "within user and password write '/' as %2F, '?' as %3F, '#' as %23, '@' as %40"
        raise Invalid("the settings", (Finding(setting, "has one of '/?#' before the '@'", hint),))
    if not hosts or any(not _HOST.fullmatch(each) for each in hosts.split(",")):
        findings.append(Finding(setting, f"{hosts!r} names no {_server(parts.scheme)}", f"write {example}"))
    findings += [
        Finding(
            setting, f"has the option {name if _NAME.fullmatch(name) else '...'!r}", _one_of(options, dotted=dotted)
        )
        for name in given
        if name not in options and not (dotted and "." in name and _NAME.fullmatch(name))
    ]
    if given.get(KEY) and not given.get(CERTIFICATE):
        findings.append(Finding(setting, f"has {KEY} alone", f"add {CERTIFICATE}=FILE, the certificate of that key"))
    findings += _retention_findings(given)
    if findings:
        raise Invalid("the settings", tuple(findings))
    user, _, password = access.partition(":")
    return BrokerAddress(tuple(hosts.split(",")), unquote(user), unquote(password), parts.path, given)


def retained_ms(options: Mapping[str, str], otherwise_ms: int) -> int:
    """Return for how long messages are kept in topics that are made, by the option `retention_s`."""
    given = options.get("retention_s")
    return int(given) * 1000 if given else otherwise_ms


def _retention_findings(given: Mapping[str, str]) -> list[Finding]:
    told = given.get("retention_s", "1")
    if told.isascii() and told.isdigit() and 1 <= int(told) <= RETAINED_S_MAX:
        return []
    hint = "seconds for which messages are kept, longer than the longest time without workers: retention_s=604800"
    return [Finding("log", f"retention_s={told[:20]}", hint)]


def _is_cut(path: str, query: str, fragment: str, *, access: str) -> bool:
    """Whether what should be user and password ends within."""
    # An address of a registry, as a value, may have an '@' too; a name of an option may not.
    names = [each.partition("=")[0] for each in query.split("&")]
    return "@" in path or "@" in fragment or (not access and any("@" in each for each in names))


def _server(scheme: str) -> str:
    return {"kafka": "broker", "redis": "Redis", "rediss": "Redis"}.get(scheme, "server")


def _one_of(options: Collection[str], *, dotted: bool) -> str:
    known = f"one of {', '.join(options)}"
    return f"{known}, or one of librdkafka's, with a dot" if dotted else known
