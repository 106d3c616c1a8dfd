"""Addresses of a Ray: `ray://HOST:PORT` (Ray Client), `ray:HOST:PORT` (within the cluster), `ray` (this machine's)."""

from typing import NamedTuple

from penstock.errors import Finding, Invalid


class Address(NamedTuple):
    """What Ray is asked to connect to, and where somebody must listen for that."""

    address: str
    host: str = ""
    port: int = 0


def address_of(url: str) -> Address:
    """Return the address in a setting; `Invalid` for what is none."""
    if url == "ray":
        return Address("auto")
    is_client = url.startswith("ray://")
    rest = url.removeprefix("ray://").removeprefix("ray:").rstrip("/")
    host, _, port = rest.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= 65535:  # noqa: PLR2004 - a port
        hint = "ray://HOST:10001, ray:HOST:6379, or ray"
        raise Invalid("the settings", (Finding("host", f"{url!r} is no address of a Ray", hint),))
    return Address(f"ray://{rest}" if is_client else rest, host.strip("[]"), int(port))
