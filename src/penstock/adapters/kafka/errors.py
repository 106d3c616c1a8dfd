"""What Kafka's client says is wrong, in our terms. It never gives up by itself, so what it complains of meanwhile is kept."""

from typing import Any

from confluent_kafka import KafkaError, KafkaException

from penstock.errors import Finding, Invalid, PenstockError, Refused, Unavailable

_CREDENTIALS = {
    KafkaError._AUTHENTICATION,  # pyright: ignore[reportPrivateUsage] # noqa: SLF001 - librdkafka's own codes begin so
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError._SSL,  # pyright: ignore[reportPrivateUsage] # noqa: SLF001
}
_RIGHTS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}
_ALL_DOWN = KafkaError._ALL_BROKERS_DOWN  # pyright: ignore[reportPrivateUsage] # noqa: SLF001
_INVALID = {KafkaError._INVALID_ARG}  # pyright: ignore[reportPrivateUsage] # noqa: SLF001


class Complaints:
    """The last thing that the client complained of, while it tries again."""

    def __init__(self) -> None:
        self.last: Any = None

    def __call__(self, error: Any) -> None:
        # That all brokers are down comes after what says which one is, and why.
        if self.last is None or (self.last.code() not in _CREDENTIALS and error.code() != _ALL_DOWN):
            self.last = error

    def error(self, operation: str, error: Any) -> PenstockError:
        """Return what to raise for an error of the client."""
        complaint = self.last if self.last is not None and self.last.code() in _CREDENTIALS else error
        code = complaint.code()
        if code in _CREDENTIALS:
            hint = "set KAFKA_USERNAME, KAFKA_PASSWORD, and security.protocol, sasl.mechanism, ssl.ca.location in the setting"
            return Invalid("the settings", (Finding("log", f"Kafka refused the connection: {complaint.str()}", hint),))
        if code in _RIGHTS:
            return Refused(f"Kafka forbids {operation!r}: {complaint.str()}", "give its user the right to do so")
        reason = (
            complaint.str() if self.last is None or self.last is complaint else f"{complaint.str()}; {self.last.str()}"
        )
        return Unavailable("Kafka", operation, reason)


def of_exception(complaints: Complaints, operation: str, error: KafkaException) -> PenstockError:
    """Return what to raise for an exception of the client."""
    held = error.args[0]
    if not isinstance(held, KafkaError):
        return Unavailable("Kafka", operation, str(error))
    if held.code() in _INVALID:
        return Invalid("the settings", (Finding("log", held.str(), "see librdkafka's CONFIGURATION.md"),))
    return complaints.error(operation, held)
