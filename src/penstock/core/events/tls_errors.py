"""What to set when a connection over TLS does not come about, whichever library said so."""

import ssl

from penstock.core.events.broker_address import CA, CERTIFICATE, KEY


def tls_setting_of(error: BaseException) -> str:
    """Return the options that mend what is behind an error; empty where TLS is not to blame."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"{CA}, to the authority of the server's certificate"
        if isinstance(cause, ssl.SSLError):
            told = str(cause).lower()
            if "certificate" in told or "alert" in told or "unknown ca" in told:
                return f"{CERTIFICATE} and {KEY}, to what the server accepts"
            return "an address without TLS (what listens there speaks none)"
        cause = cause.__cause__ or cause.__context__
    return ""
