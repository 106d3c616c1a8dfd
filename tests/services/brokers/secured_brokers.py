"""What a broker with TLS, passwords and certificates has to carry, and to say, whichever it is.

A test supplies `secured`, and inherits `SecuredBrokerContract`; what only one broker has, its own module tries.
"""

import secrets
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote

import pytest
from certificates import SECRET, Authority
from wrong_settings import goes_over, http_server, refusal

from penstock.errors import Invalid, Unavailable

WRITTEN = quote(SECRET, safe="")


class Secured(NamedTuple):
    """Servers whose certificates an authority has signed. Addresses begin with a scheme."""

    authority: Authority
    name: str  # of the broker, as errors have it
    plain_scheme: str
    by_password: (
        str  # the address for who has a password, which stands for "{password}", and that of the authority for "{ca}"
    )
    by_certificate: str  # for who has a certificate, without options
    access: str  # the setting that a wrong password is said with


class SecuredBrokerContract:
    @pytest.fixture
    def prefix(self):
        return f"penstock-{secrets.token_hex(6)}-"

    @pytest.fixture
    def address(self, secured: Secured) -> Callable[..., str]:
        def addressed(*options: str, password: str = SECRET, ca: object = secured.authority.ca) -> str:
            given = secured.by_password.format(password=quote(password, safe=""))
            return "&".join([f"{given}?ssl.ca.location={ca}", *options])

        return addressed

    async def test_an_app_runs_over_tls_with_a_password(self, address, prefix, tmp_path):
        await goes_over(address(f"prefix={prefix}"), tmp_path)

    async def test_an_app_runs_over_mutual_tls(self, secured, prefix, tmp_path):
        signed = secured.authority.signed("worker")
        files = f"ssl.ca.location={secured.authority.ca}&ssl.certificate.location={signed.certificate}"
        await goes_over(f"{secured.by_certificate}?{files}&ssl.key.location={signed.key}&prefix={prefix}", tmp_path)

    async def test_a_wrong_password_is_said_with_its_setting(self, secured, address, caplog):
        said = await refusal(address(password="wr0ng/one"), Invalid, caplog, "wr0ng/one")
        assert f"set {secured.access}" in said

    async def test_another_authority_is_said_with_its_setting(self, address, tmp_path, caplog):
        said = await refusal(address(ca=Authority(tmp_path, "other").ca), Invalid, caplog, SECRET)
        assert "ssl.ca.location" in said

    async def test_an_authority_that_is_no_file_is_said(self, address, caplog):
        assert "ssl.ca.location" in await refusal(address(ca="/no/such/file.pem"), Invalid, caplog, SECRET)

    async def test_no_certificate_where_one_is_asked_for_is_said(self, secured, caplog):
        said = await refusal(f"{secured.by_certificate}?ssl.ca.location={secured.authority.ca}", Invalid, caplog)
        assert "ssl.certificate.location" in said

    async def test_a_server_of_another_kind_is_said(self, secured, caplog):
        async with http_server() as port:
            said = await refusal(f"{secured.plain_scheme}://127.0.0.1:{port}", Invalid, caplog)
        assert f"no {secured.name}" in said

    async def test_a_server_that_is_not_there_is_said_with_its_address(self, secured, caplog):
        said = await refusal(f"{secured.plain_scheme}://app:{WRITTEN}@127.0.0.1:1", Unavailable, caplog, SECRET)
        assert "127.0.0.1" in said
