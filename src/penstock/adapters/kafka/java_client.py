"""What librdkafka is told, as Kafka's client in Java has it: Flink's connector brings that one."""

from collections.abc import Mapping

from penstock.adapters.kafka.java_keys import KEY_PASSWORD, key_properties
from penstock.core.events.broker_address import CA, CERTIFICATE, KEY
from penstock.errors import Finding, Invalid

# The connector's jar has Kafka's classes under another name.
_SHADED = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security"
_LOGIN = {
    "PLAIN": f"{_SHADED}.plain.PlainLoginModule",
    "SCRAM-SHA-256": f"{_SHADED}.scram.ScramLoginModule",
    "SCRAM-SHA-512": f"{_SHADED}.scram.ScramLoginModule",
}
_SAME = ("bootstrap.servers", "security.protocol", "ssl.endpoint.identification.algorithm", "client.id")
_OTHER = {"sasl.mechanism": "sasl.mechanism", "sasl.mechanisms": "sasl.mechanism"}
_DONE = ("sasl.username", "sasl.password", CA, CERTIFICATE, KEY, KEY_PASSWORD)


def java_properties(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the properties of the client in Java; `Invalid`, with all findings, for settings that it does not have."""
    findings = [
        Finding("log", f"has {name!r}, which Kafka's client in Java does not know", f"one of {_known()}")
        for name in settings
        if name not in _SAME and name not in _OTHER and name not in _DONE
    ]
    properties = {name: value for name, value in settings.items() if name in _SAME}
    properties |= {_OTHER[name]: value for name, value in settings.items() if name in _OTHER}
    if CA in settings:
        properties |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": settings[CA]}
    properties |= key_properties(settings, findings)
    if "sasl.username" in settings:
        mechanism = properties.get("sasl.mechanism", "PLAIN")
        if mechanism not in _LOGIN:
            findings.append(Finding("log", f"sasl.mechanism={mechanism}", f"one of {', '.join(_LOGIN)}"))
        else:
            user, password = _quoted(settings["sasl.username"]), _quoted(settings.get("sasl.password", ""))
            login = f'{_LOGIN[mechanism]} required username="{user}" password="{password}";'
            properties["sasl.jaas.config"] = login
    if findings:
        raise Invalid("the settings", tuple(findings))
    return properties


def _known() -> str:
    return ", ".join(sorted({*_SAME, *_OTHER, *_DONE}))


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
