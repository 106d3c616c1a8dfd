"""A client's certificate and its key, from the files that librdkafka takes, as Kafka's client in Java takes them (KIP-651).

Where one file holds both, it is named. Java has no setting for two: they are read, and what they hold goes with the settings.
Java reads keys in PKCS #8 alone.
"""

from collections.abc import Mapping
from pathlib import Path

from penstock.core.events.broker_address import CERTIFICATE, KEY
from penstock.errors import Finding

KEY_PASSWORD = "ssl.key.password"  # noqa: S105 - the name of a setting
FILE_BYTES_MAX = 256 * 1024
_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
_PLAIN, _ENCRYPTED = "-----BEGIN PRIVATE KEY-----", "-----BEGIN ENCRYPTED PRIVATE KEY-----"
_OLDER = ("-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN EC PRIVATE KEY-----", "-----BEGIN DSA PRIVATE KEY-----")


def key_properties(settings: Mapping[str, str], findings: list[Finding]) -> dict[str, str]:
    """Return the properties of a client that shows a certificate; what is wrong with its files goes to `findings`."""
    certificate = settings.get(CERTIFICATE, "")
    if not certificate:
        return {}
    known = len(findings)
    key = settings.get(KEY) or certificate
    chain, secret = _read(CERTIFICATE, certificate, findings), _read(KEY, key, findings)
    if len(findings) == known:
        findings += _findings(settings, (certificate, chain), (key, secret))
    if len(findings) > known:
        return {}
    properties = {"ssl.keystore.type": "PEM"}
    if _ENCRYPTED in secret:
        properties[KEY_PASSWORD] = settings[KEY_PASSWORD]
    if key == certificate:
        return properties | {"ssl.keystore.location": str(Path(certificate).expanduser().resolve())}
    return properties | {"ssl.keystore.certificate.chain": chain, "ssl.keystore.key": secret}


def _read(name: str, path: str, findings: list[Finding]) -> str:
    try:
        with Path(path).expanduser().open(encoding="ascii", errors="replace") as file:
            text = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        findings.append(Finding("log", f"{name}={path}: {error.strerror}", "give the path of a file in PEM"))
        return ""
    if len(text) > FILE_BYTES_MAX:
        findings.append(
            Finding("log", f"{name}={path} is too long", f"a file in PEM has {FILE_BYTES_MAX} bytes at most")
        )
    return text


def _findings(settings: Mapping[str, str], certificate: tuple[str, str], key: tuple[str, str]) -> list[Finding]:
    """Return what Java would not read. No text of a file is shown."""
    (path, chain), (key_path, secret) = certificate, key
    findings: list[Finding] = []
    if _CERTIFICATE not in chain:
        findings.append(Finding("log", f"{CERTIFICATE}={path} holds no certificate in PEM", f"it has {_CERTIFICATE}"))
    if any(each in secret for each in _OLDER):
        hint = f"openssl pkcs8 -topk8 -nocrypt -in {key_path} -out NEW.key, and give that"
        findings.append(Finding("log", f"{KEY}={key_path} is in a form that Java does not read", hint))
    elif _PLAIN not in secret and _ENCRYPTED not in secret:
        findings.append(Finding("log", f"{KEY}={key_path} holds no key in PEM", f"it has {_PLAIN}"))
    elif _ENCRYPTED in secret and not settings.get(KEY_PASSWORD):
        findings.append(Finding("log", f"{KEY}={key_path} is encrypted", "set KAFKA_KEY_PASSWORD"))
    return findings
