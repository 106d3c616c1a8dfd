"""The address of a Kafka: brokers, how topics are made, and whatever librdkafka can be told.

`kafka://HOST:PORT,HOST:PORT?partitions=8&replication=3&prefix=NAME&group=NAME`; every option with a dot in its name is one of
librdkafka's, as `security.protocol=SASL_SSL&sasl.mechanism=SCRAM-SHA-512`. User and password may stand before the first host;
`KAFKA_USERNAME` and `KAFKA_PASSWORD` are better places for them, and `KAFKA_KEY_PASSWORD` for that of a key of TLS.
"""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from penstock.core.events.broker_address import TLS, read_address, retained_ms
from penstock.errors import Finding, Invalid

GROUP = "penstock"
OPTIONS = ("partitions", "replication", "prefix", "group", "create", "retention_s", "compacted", "format", "registry")
EXAMPLE = "kafka://HOST:PORT, several with commas between"
BROKER_DEFAULT = -1
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


class Address(NamedTuple):
    """Where a Kafka is, how it is spoken to, and how topics are made. `settings` may hold a password: it is shown to nobody."""

    settings: Mapping[str, str]
    replication: int
    prefix: str
    group: str
    creates: bool = True  # topics that are missing
    retention_ms: int = 0  # of topics that are made; 0: as the broker has it
    compacted: frozenset[str] = frozenset()  # topics that keep the last event of each key

    def __repr__(self) -> str:
        return f"Address({self.settings['bootstrap.servers']})"

    def topic(self, name: str) -> str:
        """Return the name of a topic in the broker; `Invalid` for one that Kafka does not take."""
        full = self.prefix + name
        if not _TOPIC.fullmatch(full) or full in {".", ".."}:
            hint = "up to 249 letters, digits, '.', '_' and '-': class MyEvent(Event, topic=...)"
            raise Invalid("the topics", (Finding(full, "is no name of a topic of Kafka", hint),))
        return full

    def config_of(self, name: str) -> dict[str, str]:
        """Return what is said of a topic when it is made."""
        if name in self.compacted:
            return {"cleanup.policy": "compact"}
        return {"retention.ms": str(self.retention_ms)} if self.retention_ms else {}


def address_of(url: str, environment: Mapping[str, str] | None = None) -> Address:
    """Return what an address says; `Invalid` with all findings for what is none."""
    environment = os.environ if environment is None else environment
    given = read_address(url, OPTIONS, EXAMPLE, dotted=True)
    options, findings = given.options, list[Finding]()
    replication = options.get("replication", str(BROKER_DEFAULT))
    if not re.fullmatch(r"-1|[1-9]\d?", replication):
        findings.append(Finding("log", f"replication={replication}", "how many brokers keep each event: 1 to 99"))
    if options.get("create", "yes") not in {"yes", "no"}:
        findings.append(Finding("log", f"create={options['create']}", "no, where others make the topics, or yes"))
    if findings:
        raise Invalid("the settings", tuple(findings))
    return Address(
        {"bootstrap.servers": ",".join(given.hosts)} | _settings(given.user, given.password, options, environment),
        int(replication),
        options.get("prefix", ""),
        options.get("group", GROUP),
        creates=options.get("create") != "no",
        retention_ms=retained_ms(options, 0),
        compacted=frozenset(each for each in options.get("compacted", "").split(",") if each),
    )


def _settings(user: str, password: str, options: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the client is told beside where the brokers are."""
    settings = {name: value for name, value in options.items() if "." in name}
    is_secured = any(name in settings for name in TLS)
    user = user or settings.get("sasl.username", "") or environment.get("KAFKA_USERNAME", "")
    password = password or settings.get("sasl.password", "") or environment.get("KAFKA_PASSWORD", "")
    if user:
        settings |= {"sasl.username": user, "sasl.password": password}
        if "sasl.mechanisms" not in settings:
            settings.setdefault("sasl.mechanism", "PLAIN")
        settings.setdefault("security.protocol", "SASL_SSL")
    elif is_secured:
        settings.setdefault("security.protocol", "SSL")
    if secret := environment.get("KAFKA_KEY_PASSWORD", ""):
        settings.setdefault("ssl.key.password", secret)
    return settings
