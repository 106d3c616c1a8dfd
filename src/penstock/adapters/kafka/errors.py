"""What Kafka's client says is wrong, in our terms. It never gives up by itself, so what it complains of meanwhile is kept."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from penstock.errors import Finding, Invalid, NotLetIn, PenstockError, Unavailable

SURE_S = 1.5  # for which we are refused before it is no passing thing, as a broker that is about to end
ACCESS = "KAFKA_USERNAME, KAFKA_PASSWORD and, in the setting log, sasl.mechanism"
_SSL = KafkaError._SSL  # pyright: ignore[reportPrivateUsage] # noqa: SLF001 - librdkafka's own codes begin so
_CREDENTIALS = {
    KafkaError._AUTHENTICATION,  # pyright: ignore[reportPrivateUsage] # noqa: SLF001
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError.ILLEGAL_SASL_STATE,
}
RIGHTS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
_ALL_DOWN = KafkaError._ALL_BROKERS_DOWN  # pyright: ignore[reportPrivateUsage] # noqa: SLF001
_INVALID = {KafkaError._INVALID_ARG}  # pyright: ignore[reportPrivateUsage] # noqa: SLF001
# What librdkafka says, in parts, and the setting that mends it.
_TOLD = (
    (
        "connecting to a PLAINTEXT broker listener",
        "security.protocol in the setting log (PLAINTEXT, or SASL_PLAINTEXT)",
    ),
    ("security.protocol", "security.protocol in the setting log (SSL or SASL_SSL), and ssl.ca.location"),
    ("certificate required", "ssl.certificate.location and ssl.key.location in the setting log"),
    ("bad certificate", "ssl.certificate.location and ssl.key.location in the setting log"),
    ("unknown ca", "ssl.certificate.location and ssl.key.location in the setting log"),
    ("certificate verify failed", "ssl.ca.location in the setting log"),
    ("Invalid response size", "the setting log (what listens there is no Kafka)"),
    ("receive.message.max.bytes", "the setting log (what listens there is no Kafka)"),
)


def is_right(error: Any) -> bool:
    """Whether a right is what lacks."""
    return error.code() in RIGHTS


def setting_of(complaint: Any) -> str:
    """Return what to set when the client complains of this; empty when it is no setting that is wrong."""
    text = complaint.str()
    told = next((setting for part, setting in _TOLD if part.lower() in text.lower()), "")
    if complaint.code() in _CREDENTIALS:
        return ACCESS
    if complaint.code() == _SSL:
        return told or "security.protocol, ssl.ca.location, ssl.certificate.location in the setting log"
    return told


class Complaints:
    """What the client complained of while it tries again: the last thing, and that which a setting would mend."""

    def __init__(self) -> None:
        self.last: Any = None
        self._refusal: Any = None
        self._since_s = 0.0

    def __call__(self, error: Any) -> None:
        if setting_of(error):
            if self._refusal is None:
                self._since_s = time.monotonic()
            self._refusal = error
        # That all brokers are down comes after what says which one is, and why.
        elif self.last is None or error.code() != _ALL_DOWN:
            self.last = error

    def heard(self) -> None:
        """Forget them: the server has answered."""
        self.last = self._refusal = None

    @property
    def is_sure(self) -> bool:
        """Whether we have been refused for so long that it will not end by itself."""
        return self._refusal is not None and time.monotonic() - self._since_s >= SURE_S

    def error(self, operation: str, error: Any, topic: str = "") -> PenstockError:
        """Return what to raise for an error of the client. A right that is lost may be given back: until then all waits."""
        complaint = error if self._refusal is None else self._refusal
        if setting := setting_of(complaint):
            return NotLetIn("Kafka", operation, setting, complaint.str())
        if is_right(error):
            return NotLetIn("Kafka", operation, _right_of(error.code(), topic), error.str())
        reason = (
            complaint.str() if self.last is None or self.last is complaint else f"{complaint.str()}; {self.last.str()}"
        )
        return Unavailable("Kafka", operation, reason)


def _right_of(code: int, topic: str) -> str:
    """Return the right that lacks, as it is given."""
    match code:
        case KafkaError.TOPIC_AUTHORIZATION_FAILED:
            return f"our user's rights (kafka-acls --add --operation READ --operation WRITE --topic {topic or 'TOPIC'})"
        case KafkaError.GROUP_AUTHORIZATION_FAILED:
            return "our user's rights (kafka-acls --add --operation READ --group GROUP)"
        case KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
            return "our user's rights (kafka-acls --add --operation WRITE --transactional-id ID)"
        case _:
            return "our user's rights (kafka-acls --add --operation WRITE, on the topics or the cluster)"


def of_exception(complaints: Complaints, operation: str, error: KafkaException) -> PenstockError:
    """Return what to raise for an exception of the client."""
    held = error.args[0]
    if not isinstance(held, KafkaError):
        return Unavailable("Kafka", operation, str(error))
    if held.code() in _INVALID:
        return Invalid("the settings", (Finding("log", held.str(), "see librdkafka's CONFIGURATION.md"),))
    return complaints.error(operation, held)


@asynccontextmanager
async def as_settings() -> AsyncGenerator[None]:
    """Say `Invalid` where nobody lets us in from the start: an app that starts would only wait."""
    try:
        yield
    except NotLetIn as error:
        problem = f"Kafka does not let us in: {error.reason}"
        raise Invalid("the settings", (Finding("log", problem, f"set {error.setting}"),)) from error
