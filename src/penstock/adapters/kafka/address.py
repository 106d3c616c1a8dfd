"""The address of a Kafka: brokers, how topics are made, and whatever librdkafka can be told.

`kafka://HOST:PORT,HOST:PORT?partitions=8&replication=3&prefix=NAME&group=NAME`; every option with a dot in its name is one of
librdkafka's, as `security.protocol=SASL_SSL&sasl.mechanism=SCRAM-SHA-512`. User and password may stand before the first host;
`KAFKA_USERNAME` and `KAFKA_PASSWORD` are better places for them.
"""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from penstock.errors import Finding, Invalid

GROUP = "penstock"
OPTIONS = ("partitions", "replication", "prefix", "group")
BROKER_DEFAULT = -1
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


class Address(NamedTuple):
    """Where a Kafka is, and how it is spoken to. `settings` may hold a password: it is shown to nobody."""

    settings: Mapping[str, str]
    replication: int
    prefix: str
    group: str

    def topic(self, name: str) -> str:
        """Return the name of a topic in the broker; `Invalid` for one that Kafka does not take."""
        full = self.prefix + name
        if not _TOPIC.fullmatch(full) or full in {".", ".."}:
            hint = "up to 249 letters, digits, '.', '_' and '-': class MyEvent(Event, topic=...)"
            raise Invalid("the topics", (Finding(full, "is no name of a topic of Kafka", hint),))
        return full


def address_of(url: str, environment: Mapping[str, str] | None = None) -> Address:
    """Return what an address says; `Invalid` with all findings for what is none."""
    environment = os.environ if environment is None else environment
    parts = urlsplit(url)
    access, _, hosts = parts.netloc.rpartition("@")
    findings: list[Finding] = []
    if not hosts or any(
        not re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^:,\s]+)(:\d{1,5})?", each) for each in hosts.split(",")
    ):
        findings.append(
            Finding("log", f"{hosts!r} names no broker", "write kafka://HOST:PORT, several with commas between")
        )
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    findings += [
        Finding("log", f"has the option {name!r}", f"one of {', '.join(OPTIONS)}, or one of librdkafka's, with a dot")
        for name in options
        if name not in OPTIONS and "." not in name
    ]
    replication = options.get("replication", str(BROKER_DEFAULT))
    if not re.fullmatch(r"-1|[1-9]\d?", replication):
        findings.append(Finding("log", f"replication={replication}", "how many brokers keep each event: 1 to 99"))
        replication = "1"
    if findings:
        raise Invalid("the settings", tuple(findings))
    settings = {"bootstrap.servers": hosts} | {name: value for name, value in options.items() if "." in name}
    user, _, password = access.partition(":")
    user, password = unquote(user) or environment.get("KAFKA_USERNAME", ""), unquote(password)
    password = password or environment.get("KAFKA_PASSWORD", "")
    if user:
        settings |= {"sasl.username": user, "sasl.password": password}
        settings.setdefault("sasl.mechanism", "PLAIN")
        settings.setdefault("security.protocol", "SASL_SSL")
    return Address(settings, int(replication), options.get("prefix", ""), options.get("group", GROUP))
