"""Keys and JWTs of NATS, as `nk` and `nsc` make them: an operator, accounts and users that are known to a server by their keys."""

import base64
import binascii
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

OPERATOR, ACCOUNT, USER = 14 << 3, 0, 20 << 3
_SEED = 18 << 3
EVERYTHING = {
    **dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1),
    **dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1),
    "wildcards": True,
}


class NatsKey:
    """A pair of keys of some kind. `public` names it, `seed` is its secret."""

    def __init__(self, kind: int) -> None:
        self.secret = Ed25519PrivateKey.generate()
        self.public = _written(bytes([kind]) + self.secret.public_key().public_bytes_raw())
        first = bytes([_SEED | kind >> 5, (kind & 31) << 3])
        self.seed = _written(first + self.secret.private_bytes_raw())

    def signed(self, subject: "NatsKey", name: str, **claims: object) -> str:
        """Return a JWT by which the owner of this key says something of another one, or of himself."""
        said = {"jti": name, "iat": 1_700_000_000, "iss": self.public, "name": name, "sub": subject.public}
        times = {"exp": claims.pop("exp")} if "exp" in claims else {}
        parts = [{"typ": "JWT", "alg": "ed25519-nkey"}, said | times | {"nats": {**claims, "version": 2}}]
        text = ".".join(_plain(json.dumps(each).encode()) for each in parts)
        return f"{text}.{_plain(self.secret.sign(text.encode()))}"


class Company:
    """An operator and an account with JetStream, and what a server is told of them."""

    def __init__(self) -> None:
        self.operator, self.account, self.system = NatsKey(OPERATOR), NatsKey(ACCOUNT), NatsKey(ACCOUNT)

    @property
    def settings(self) -> str:
        said = self.operator.signed(self.operator, "operator", type="operator", system_account=self.system.public)
        accounts = {
            self.account.public: self.operator.signed(self.account, "app", type="account", limits=EVERYTHING),
            self.system.public: self.operator.signed(self.system, "system", type="account"),
        }
        held = "\n".join(f"  {name}: {jwt}" for name, jwt in accounts.items())
        return f"operator: {said}\nsystem_account: {self.system.public}\nresolver: MEMORY\nresolver_preload: {{\n{held}\n}}\n"

    def credentials(self, user: NatsKey, **claims: object) -> str:
        """Return a file of credentials for a user."""
        jwt = self.account.signed(user, "user", type="user", subs=-1, data=-1, payload=-1, **claims)
        return (
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            "************************* IMPORTANT *************************\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
        )


def _written(held: bytes) -> str:
    return base64.b32encode(held + binascii.crc_hqx(held, 0).to_bytes(2, "little")).decode().rstrip("=")


def _plain(body: bytes) -> str:
    return base64.urlsafe_b64encode(body).decode().rstrip("=")
