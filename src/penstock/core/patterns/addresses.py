"""IP addresses as event patterns read them: an address is a number of 32 or 128 bits, and a network a range of them.

What does not look like an address is a text like any other. An IPv4 address that is wrapped in an IPv6 one is the IPv4 one.
"""

import ipaddress
import re

from msgspec import Struct

_IPV4 = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15}){3}")
_IPV6 = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:]*")
_MASK = re.compile(r"[+-]?[0-9]{1,9}")
BITS = {4: 32, 6: 128}


class Network(Struct, frozen=True):
    """All addresses that begin with the same bits; of all bits, one address."""

    version: int
    bits: int
    head: int
    """The first bits of each address, as a number."""


def address_of(text: str) -> tuple[int, int] | None:
    """Return version and number of an address, or none where the text is not one."""
    if _IPV4.fullmatch(text):
        parts = [int(part) for part in text.split(".")]
        if max(parts) > 255:  # noqa: PLR2004 - what a byte holds
            return None
        return 4, int.from_bytes(bytes(parts))
    if not _IPV6.fullmatch(text):
        return None
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    return (4, int(address.ipv4_mapped)) if address.ipv4_mapped else (6, int(address))


def network_of(text: str) -> Network | str:
    """Return the network that `ADDRESS/BITS` means, or the reason why it means none."""
    parts = text.split("/")
    while parts and not parts[-1]:
        parts.pop()
    if len(parts) != 2:  # noqa: PLR2004 - address and bits
        return "Malformed CIDR, one '/' required"
    if not _MASK.fullmatch(parts[1]):
        return "Malformed CIDR, mask bits must be an integer"
    bits = int(parts[1])
    if bits < 0:
        return "Malformed CIDR, mask bits must not be negative"
    address = address_of(parts[0])
    if address is None:
        looks = _IPV4.fullmatch(parts[0]) or _IPV6.fullmatch(parts[0])
        return f"{'Invalid' if looks else 'Nonstandard'} IP address: {parts[0]}"
    version, number = address
    if bits >= BITS[version]:
        return f"IPv{version} mask bits must be < {BITS[version]}"
    return Network(version, bits, number >> (BITS[version] - bits))


def single(address: tuple[int, int]) -> Network:
    """Return the network of one address."""
    version, number = address
    return Network(version, BITS[version], number)
