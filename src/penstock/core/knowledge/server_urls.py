"""What addresses of vector stores on servers have in common: `SCHEME://HOST:PORT?prefix=NAME&replicas=N`, never with a key."""

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from penstock.core.knowledge.places import NAME
from penstock.errors import Finding, Invalid

REPLICAS_MAX = 16


@dataclass(slots=True)
class ServerUrl:
    """An address as far as it is read; `findings` gathers all that is wrong with it."""

    scheme: str
    host: str
    port: int
    path: str
    options: dict[str, str]  # those that were not taken yet
    findings: list[Finding] = field(default_factory=list[Finding])

    @property
    def authority(self) -> str:
        """Return host and port as they stand in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def wrong(self, problem: str, hint: str = "") -> None:
        self.findings.append(Finding("vectors", problem, hint))

    def prefix(self) -> str:
        """Return what keeps apps apart that share a server."""
        prefix = self.options.pop("prefix", "penstock")
        if not NAME.fullmatch(prefix):
            self.wrong(f"has the prefix {prefix!r}", "1 to 40 letters and digits, a letter first")
        return prefix

    def replicas(self) -> int:
        """Return how many copies there are to be."""
        given = self.options.pop("replicas", "1")
        if given.isdecimal() and 1 <= int(given) <= REPLICAS_MAX:
            return int(given)
        self.wrong(f"has replicas={given!r}", f"a number from 1 to {REPLICAS_MAX}")
        return 1

    def require_right(self, known: str) -> None:
        """Raise `Invalid` with all findings, those about options that nobody took too."""
        for name in self.options:
            self.wrong(f"has the option {name!r}", known)
        if self.findings:
            raise Invalid("the settings", tuple(self.findings))


def server_url(url: str, *, port: int, hint: str, key: str) -> ServerUrl:
    """Read an address. `port`: where none is given; `hint`: how to write one; `key`: the variable that has the key."""
    parts = urlsplit(url)
    read = ServerUrl(
        parts.scheme, parts.hostname or "", port, parts.path, dict(parse_qsl(parts.query, keep_blank_values=True))
    )
    try:
        read.port = parts.port or port
    except ValueError as error:
        read.wrong(f"has no port that is a number: {error}", hint)
    if not parts.hostname:
        read.wrong("names no host", hint)
    if parts.password or parts.username:
        read.wrong("holds a user or a key", f"set {key} in the environment instead")
    return read
