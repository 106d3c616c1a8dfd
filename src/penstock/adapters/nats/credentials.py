"""Who we are to a NATS: a user and password, a token, or a key, whose files are read at each connection: they may be replaced.

A key is a file of credentials (a JWT and the seed of its key, as `nsc` writes it), or the seed of an nkey that the server knows.
Nothing that a file holds is in an error.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from penstock.core.events.broker_address import BrokerAddress
from penstock.errors import Finding, Invalid, Missing

CREDENTIALS, NKEY = "credentials", "nkey"  # options of an address, which name files
PASSWORDS = "NATS_USER and NATS_PASSWORD, or NATS_TOKEN"
FILES = {
    CREDENTIALS: "credentials=FILE in the setting log, or NATS_CREDENTIALS",
    NKEY: "nkey=FILE in the setting log, or NATS_NKEY_SEED",
}
BYTES_MAX = 64 * 1024
_JWT = re.compile(r"-+BEGIN NATS USER JWT-+\s+([\w.=-]+?)\s+-+END NATS USER JWT-+")
_SEED = re.compile(r"-+BEGIN USER NKEY SEED-+\s+([A-Z2-7]+)\s+-+END USER NKEY SEED-+")
_USER = 20 << 3  # the first byte of a user's public key, which makes it begin with U
_SEED_BYTES = 36  # two that say what it is, the seed, and a checksum of two


class Access(NamedTuple):
    """Who we are. `setting`: what says it; `answer`: what CONNECT says of us, given the server's nonce, empty without one."""

    setting: str
    answer: Callable[[str], Mapping[str, str]]

    def __repr__(self) -> str:
        return f"Access({self.setting})"


def access_of(given: BrokerAddress, environment: Mapping[str, str], findings: list[Finding]) -> Access:  # noqa: PLR0911 - one for each way
    """Return who an address and an environment say that we are: what stands in the address wins."""
    named = [each for each in (CREDENTIALS, NKEY) if given.options.get(each)]
    ways = [*(("a user, or a token",) if given.user else ()), *named]
    if len(ways) > 1:
        findings.append(Finding("log", f"says who we are by {' and by '.join(ways)}", "leave one of them"))
    if named:
        return _by_file(named[0], given.options[named[0]], findings)
    user, password = given.user or environment.get("NATS_USER", ""), given.password
    password = password or (environment.get("NATS_PASSWORD", "") if user else "")
    if given.user and not password:  # as NATS writes it: nats://TOKEN@HOST
        return _told(PASSWORDS, auth_token=user)
    if user:
        return _told(PASSWORDS, **{"user": user, "pass": password})
    if token := environment.get("NATS_TOKEN", ""):
        return _told(PASSWORDS, auth_token=token)
    if path := environment.get("NATS_CREDENTIALS", ""):
        return _by_file(CREDENTIALS, path, findings)
    if seed := environment.get("NATS_NKEY_SEED", ""):
        return _checked(NKEY, lambda: ("", seed), findings)
    return _told(f"{PASSWORDS}, or credentials=FILE or nkey=FILE in the setting log")


def _told(setting: str, **said: str) -> Access:
    def answer(_: str) -> Mapping[str, str]:
        return said

    return Access(setting, answer)


def _by_file(option: str, path: str, findings: list[Finding]) -> Access:
    read = _credentials if option == CREDENTIALS else _seed
    return _checked(option, lambda: read(path), findings)


def _checked(option: str, read: Callable[[], tuple[str, str]], findings: list[Finding]) -> Access:
    """Return who we are by a JWT, or none, and a seed; what is wrong with them is found now, and not while connecting."""

    def answer(nonce: str) -> Mapping[str, str]:
        jwt, seed = read()
        key = _key_of(option, seed)
        if not nonce:  # it asks nobody who he is
            return {}
        return {"sig": key.signed(nonce), **({"jwt": jwt} if jwt else {"nkey": key.public})}

    try:
        answer("")
    except Invalid as error:
        findings += error.findings
    return Access(FILES[option], answer)


def _credentials(path: str) -> tuple[str, str]:
    text = _text(CREDENTIALS, path)
    jwt, seed = _JWT.search(text), _SEED.search(text)
    if jwt is None or seed is None:
        lacks = " and no ".join(name for name, found in (("JWT", jwt), ("seed", seed)) if found is None)
        raise _wrong(CREDENTIALS, f"{path!r} holds no {lacks} of a user", "nsc generate creds writes such a file")
    return jwt[1], seed[1]


def _seed(path: str) -> tuple[str, str]:
    return "", _text(NKEY, path).strip()


def _text(option: str, path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return file.read(BYTES_MAX).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise _wrong(option, f"{path!r} cannot be read: {reason}", "name a file that we may read") from None


class _Key(NamedTuple):
    """A user's key, as NATS writes keys: base32 of what it is, its bytes, and their checksum."""

    secret: Any

    def signed(self, nonce: str) -> str:
        return base64.b64encode(self.secret.sign(nonce.encode())).decode()

    @property
    def public(self) -> str:
        held = bytes([_USER]) + self.secret.public_key().public_bytes_raw()
        return base64.b32encode(held + _checksum(held)).decode()


def _key_of(option: str, seed: str) -> _Key:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise Missing("the package cryptography", "pip install 'penstock[nats]'") from error
    if not seed.startswith("SU"):
        raise _wrong(option, "holds no seed of a user", "it begins with SU: nk -gen user")
    try:
        held = base64.b32decode(seed + "=" * (-len(seed) % 8))
    except ValueError:  # what it says might hold a part of the seed
        held = b""
    if len(held) != _SEED_BYTES or _checksum(held[:-2]) != held[-2:]:
        raise _wrong(option, "holds a seed that was cut or changed", "take it once more: nk -gen user")
    return _Key(Ed25519PrivateKey.from_private_bytes(held[2:-2]))


def _checksum(held: bytes) -> bytes:
    return binascii.crc_hqx(held, 0).to_bytes(2, "little")


def _wrong(option: str, problem: str, hint: str) -> Invalid:
    return Invalid("the settings", (Finding("log", f"{option}: {problem}", f"{hint}; set {FILES[option]}"),))
