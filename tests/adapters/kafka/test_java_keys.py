"""Certificates of clients, from the files that librdkafka takes, as Kafka's client in Java takes them."""

import pytest
from certificates import Authority
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from penstock.adapters.kafka.address import address_of
from penstock.adapters.kafka.java_client import java_properties
from penstock.errors import Invalid


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def worker(authority):
    return authority.signed("worker")


def properties(certificate, key=None, password=None):
    options = {"ssl.certificate.location": certificate, "ssl.key.location": key}
    query = "&".join(f"{name}={value}" for name, value in options.items() if value)
    environment = {"KAFKA_KEY_PASSWORD": password} if password else {}
    return java_properties(address_of(f"kafka://k:9093?ssl.ca.location=/ca.pem&{query}", environment).settings)


def test_one_file_of_both_is_named(worker):
    said = properties(worker.both)
    assert (said["ssl.keystore.type"], said["ssl.keystore.location"]) == ("PEM", str(worker.both))
    assert "ssl.keystore.key" not in said
    assert said["security.protocol"] == "SSL"


def test_two_files_go_with_the_settings_as_java_has_no_setting_for_two(worker):
    said = properties(worker.certificate, worker.key)
    assert said["ssl.keystore.type"] == "PEM"
    assert said["ssl.keystore.certificate.chain"] == worker.certificate.read_text()
    assert said["ssl.keystore.key"] == worker.key.read_text()
    assert "ssl.keystore.location" not in said
    assert "ssl.key.password" not in said


def in_form(worker, form, encryption, tmp_path):
    key = load_pem_private_key(worker.key.read_bytes(), None)
    path = tmp_path / "other.key"
    path.write_bytes(key.private_bytes(Encoding.PEM, form, encryption))
    return path


def test_an_encrypted_key_has_its_password_from_the_environment(worker, tmp_path):
    key = in_form(worker, PrivateFormat.PKCS8, BestAvailableEncryption(b"s3cret"), tmp_path)
    assert properties(worker.certificate, key, "s3cret")["ssl.key.password"] == "s3cret"
    with pytest.raises(Invalid, match="KAFKA_KEY_PASSWORD"):
        properties(worker.certificate, key)


def test_a_key_in_a_form_that_java_does_not_read_is_refused_with_what_to_do(worker, tmp_path):
    key = in_form(worker, PrivateFormat.TraditionalOpenSSL, NoEncryption(), tmp_path)
    with pytest.raises(Invalid, match="openssl pkcs8 -topk8") as caught:
        properties(worker.certificate, key)
    assert "BEGIN EC PRIVATE KEY" not in str(caught.value)


def test_all_that_is_wrong_with_files_is_said_and_nothing_of_what_they_hold(worker, tmp_path):
    (tmp_path / "long.pem").write_text("x" * 300_000)
    with pytest.raises(Invalid) as caught:
        properties(tmp_path / "none.pem", tmp_path / "long.pem")
    assert [each.problem.rpartition("/")[2] for each in caught.value.findings] == [
        "none.pem: No such file or directory",
        "long.pem is too long",
    ]
    with pytest.raises(Invalid) as caught:
        properties(worker.key, worker.certificate)
    assert len(caught.value.findings) == 2
    assert worker.key.read_text().splitlines()[1] not in str(caught.value)
