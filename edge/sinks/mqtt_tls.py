"""TLS to an MQTT broker, and why a connection failed."""

import ssl
from pathlib import Path

from crnn.errors import InputError
from crnn.files.printable import shown

NOT_YET_VALID, EXPIRED = 9, 10
WRONG_NAME = (62, 64)
UNKNOWN = (2, 18, 19, 20, 21)
"""OpenSSL's codes of certificate errors (X509_V_ERR_...); 62 and 64: host name, IP address"""


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"{ca_file}: is no certificate authority that can be read ({error})") from error


def connection_error(error: BaseException | None, host: str) -> str:
    """Why a connection failed, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "refused: " + _wrong_certificate(error, host)
    # A port without TLS answers with other bytes, closes the connection, or waits.
    if isinstance(error, ssl.SSLError | ConnectionResetError | BrokenPipeError):
        reason = getattr(error, "reason", None) or error
        return f"no TLS connection ({shown(reason)}); does this port speak TLS? (usually 8883; without TLS 1883)"
    if isinstance(error, TimeoutError):
        return "cannot be reached: no answer in time"
    return "cannot be reached" + (
        f" ({shown(error.strerror)})" if isinstance(error, OSError) and error.strerror else ""
    )


def _wrong_certificate(error: ssl.SSLCertVerificationError, host: str) -> str:
    message = shown(error.verify_message or error.reason)
    if error.verify_code == EXPIRED:
        return "its certificate has expired; renew it at the broker, and check this machine's clock"
    if error.verify_code == NOT_YET_VALID:
        return "its certificate is not valid yet; check this machine's clock"
    if error.verify_code in WRONG_NAME:
        return f"its certificate is for another name than {shown(host)}; connect under the name it was made for"
    if error.verify_code in UNKNOWN:
        return f"its certificate is from an unknown authority ({message}); give the authority's file with --mqtt-ca"
    return f"its certificate is wrong ({message})"
