"""A Kafka of our own that lets nobody in without a password or a certificate, and to topics only whom its rules let."""

import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from certificates import SECRET, Authority
from confluent_kafka import admin
from kafka_server import started_node
from own_process import NoServerError, free_port, require

PLAIN, SCRAM = "alice", "app"  # who log in by which mechanism; alice may do all
LISTENERS = """listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SASL_SSL://127.0.0.1:{sasl},SSL://127.0.0.1:{mutual}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{sasl},SSL://127.0.0.1:{mutual}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
listener.name.ssl.ssl.client.auth=required
listener.name.sasl_ssl.ssl.client.auth=none
listener.name.sasl_ssl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{plain}="{secret}";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:{plain};User:CN=worker
allow.everyone.if.no.acl.found=false
"""


class SecureKafka(NamedTuple):
    """Where it listens: in the clear (where everybody may do all), by password over TLS, by certificate."""

    plain: int
    sasl: int
    mutual: int
    folder: Path
    authority: Authority

    def let(self, user: str, topic: str, *operations: str, group: str = "penstock") -> None:
        """Let a user do this with all topics that begin so, and read a group."""
        kinds, rights = admin.ResourceType, admin.AclOperation
        prefixed, literal = admin.ResourcePatternType.PREFIXED, admin.ResourcePatternType.LITERAL
        wanted = [self._rule(kinds.TOPIC, topic, prefixed, user, getattr(rights, each)) for each in operations]
        if group:
            wanted.append(self._rule(kinds.GROUP, group, literal, user, rights.READ))
        client: Any = admin.AdminClient({"bootstrap.servers": f"127.0.0.1:{self.plain}"})
        for made in client.create_acls(wanted).values():
            made.result(20)
        for _ in range(200):  # the controller has them, and the broker in a moment
            if {str(each) for each in wanted} <= {str(each) for each in client.describe_acls(_any()).result(20)}:
                return
            time.sleep(0.05)

    def take(self, user: str, topic: str = "", *, group: str = "") -> None:
        """Take from a user all rights on the topics that begin so, or on a group."""
        kinds, how = admin.ResourceType, admin.ResourcePatternType
        which = (kinds.GROUP, group, how.LITERAL) if group else (kinds.TOPIC, topic, how.PREFIXED)
        gone = admin.AclBindingFilter(*which, f"User:{user}", None, admin.AclOperation.ANY, admin.AclPermissionType.ANY)
        client: Any = admin.AdminClient({"bootstrap.servers": f"127.0.0.1:{self.plain}"})
        for taken in client.delete_acls([gone]).values():
            taken.result(20)

    def _rule(self, kind: Any, name: str, how: Any, user: str, operation: Any) -> Any:
        return admin.AclBinding(kind, name, how, f"User:{user}", "*", operation, admin.AclPermissionType.ALLOW)


def _any() -> Any:
    how = admin.ResourcePatternType.ANY
    return admin.AclBindingFilter(
        admin.ResourceType.ANY, None, how, None, None, admin.AclOperation.ANY, admin.AclPermissionType.ANY
    )


@contextmanager
def secure_kafka() -> Generator[SecureKafka]:
    """Yield a Kafka with TLS and passwords; without one, skip, or fail when PENSTOCK_REQUIRE_SERVICES=1."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-kafka-"))
    ports = {each: free_port() for each in ("port", "controller", "sasl", "mutual")}
    authority = Authority(folder)
    listeners = LISTENERS.format(
        **ports, keystore=authority.signed("server").both, ca=authority.ca, plain=PLAIN, secret=SECRET
    )
    users = [f"SCRAM-SHA-512=[name={each},password={SECRET}]" for each in (SCRAM, "reader", "guest")]
    try:
        try:
            process = started_node(folder, ports["port"], ports["controller"], listeners, users)
        except NoServerError as error:
            require("kafka", error)
            raise
        try:
            yield SecureKafka(ports["port"], ports["sasl"], ports["mutual"], folder, authority)
        finally:
            process.kill()
            process.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
