"""The server's certificate with its key: whether they can be used, for whom, and until when."""

from __future__ import annotations

import math
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from cryptography import x509
from cryptography.x509.oid import PublicKeyAlgorithmOID

from facet.server.port import BindError
from facet.server.tls.unreadable import UNREADABLE

_WARN_BEFORE = timedelta(days=14)
_WARN_SHARE = 0.25
"""Certificates that are valid for a short time only are warned of in the last quarter of it."""
_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which the module ssl does not name."""

_KINDS_OF_KEYS = (
    PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5,
    PublicKeyAlgorithmOID.EC_PUBLIC_KEY,
    PublicKeyAlgorithmOID.ED25519,
)

_log = structlog.get_logger("facet.tls")


class CertificateError(BindError):
    """A certificate or its key cannot be used. The message names the file and what is wrong.

    Attributes:
        usable_from: when it can be, seconds since 1970; infinite unless it is only not valid yet.
    """

    def __init__(self, message: str, usable_from: float = math.inf) -> None:
        super().__init__(message)
        self.usable_from = usable_from


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its key.

    Attributes:
        pem: the chain, PEM.
        key: its private key, PEM.
        not_before: start of its validity, seconds since 1970.
        not_after: end of its validity, seconds since 1970.
        names: the hosts and addresses that it is valid for.
    """

    pem: bytes
    key: bytes
    not_before: float
    not_after: float
    names: tuple[str, ...]

    @property
    def warn_from(self) -> float:
        """When its replacement is due, seconds since 1970."""
        return warn_from(self.not_before, self.not_after)


def read(certificate: Path, key: Path) -> Certificate:
    """Read a certificate and its key, and make a TLS handshake with them in memory.

    Args:
        certificate: PEM file with the chain, the server's own certificate first.
        key: PEM file with its private key.

    Raises:
        OSError: a file cannot be read.
        CertificateError: the files are no certificate with its key.
    """
    pem, private = certificate.read_bytes(), key.read_bytes()
    try:
        found = _described(certificate, key)
    except ssl.SSLError as error:
        why = _why_unusable(certificate, key) or getattr(error, "verify_message", "") or error.reason or str(error)
        raise CertificateError(
            f"server.tls_certificate and server.tls_key are no certificate with its key: {why}"
        ) from error
    except ValueError as error:
        raise CertificateError(f"server.tls_certificate: {certificate} cannot be read: {error}") from error
    if (pem, private) != (certificate.read_bytes(), key.read_bytes()):
        raise CertificateError(f"{certificate} or {key} is being replaced")
    names = tuple(str(name) for _, name in found.get("subjectAltName", ()))
    _refuse_keys_without_grpc(pem, certificate)
    not_before, not_after = (ssl.cert_time_to_seconds(str(found[name])) for name in ("notBefore", "notAfter"))
    return Certificate(pem, private, not_before, not_after, names)


def check(certificate: Certificate, path: Path, now: float) -> None:
    """Refuse a certificate that no client accepts now, and warn of one that most refuse.

    Args:
        certificate: the certificate.
        path: its file, for messages.
        now: seconds since 1970.

    Raises:
        CertificateError: it has expired, or is not valid yet.
    """
    if now >= certificate.not_after:
        raise CertificateError(f"server.tls_certificate: {path} expired on {date(certificate.not_after)}")
    if now < certificate.not_before:
        raise CertificateError(
            f"server.tls_certificate: {path} is not valid before {date(certificate.not_before)}; "
            f"this machine's clock says {date(now)}",
            certificate.not_before,
        )
    if not certificate.names:
        _log.warning("the certificate names no host as subjectAltName: many clients refuse it", file=str(path))


def warn_from(not_before: float, not_after: float) -> float:
    """When the replacement of a certificate that is valid between these moments is due; all in seconds since 1970."""
    return not_after - min(_WARN_BEFORE.total_seconds(), _WARN_SHARE * (not_after - not_before))


def _described(certificate: Path, key: Path) -> dict[str, Any]:
    """What a client is told of the certificate, also if it is not valid now.

    Raises:
        ssl.SSLError: the files are no certificate with its key.
    """
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for context in (server, client):
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # gRPC decides which keys are too weak
    server.load_cert_chain(certificate, key, password="")
    client.check_hostname = False
    client.verify_flags = ssl.VerifyFlags(_NO_CHECK_TIME) | ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = client.wrap_bio(to_client, to_server)
    called = server.wrap_bio(to_server, to_client, server_side=True)
    while True:
        with suppress(ssl.SSLWantReadError):
            caller.do_handshake()
            return caller.getpeercert() or {}
        with suppress(ssl.SSLWantReadError):
            called.do_handshake()


def _refuse_keys_without_grpc(pem: bytes, file: Path) -> None:
    """Refuse keys that OpenSSL knows and gRPC does not: it would silently go on with the certificate before.

    Raises:
        CertificateError: the key is of such a kind.
    """
    with suppress(*UNREADABLE):
        kind = x509.load_pem_x509_certificate(pem).public_key_algorithm_oid
        if kind not in _KINDS_OF_KEYS:
            raise CertificateError(f"server.tls_certificate: {file} has a key of a kind that gRPC lacks: use RSA or EC")


def _why_unusable(certificate: Path, key: Path) -> str:
    """What is wrong with files that OpenSSL refuses; empty if it is something else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    try:
        context.load_verify_locations(certificate)
    except ssl.SSLError:
        return f"{certificate} holds no certificate in PEM"
    asked: list[bool] = []

    def password() -> str:
        asked.append(True)
        return ""

    try:
        context.load_cert_chain(certificate, key, password=password)
    except ssl.SSLError as error:
        if asked:
            return f"{key} is encrypted: decrypt it"
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"{key} is the key of another certificate than {certificate}"
        if error.reason is None or error.reason in ("NO_START_LINE", "PEM_LIB", "BAD_BASE64_DECODE"):
            return f"{key} holds no private key in PEM"
        return f"{error.reason}"
    return ""


def date(seconds: float) -> str:
    """A moment as messages and the log write it; ``seconds`` since 1970."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
