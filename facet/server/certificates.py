"""The server's TLS certificate: what is wrong with it, when it expires, and its replacement while the server runs."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from facet.server.config import ServerConfig
from facet.server.port import BindError

_WARN_BEFORE = timedelta(days=14)
_WARN_SHARE = 0.25
"""Certificates that are valid for a short time only are warned of in the last quarter of it."""
_REMIND_SECONDS = 12 * 3600.0
_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which the module ssl does not name."""

_log = structlog.get_logger("facet.tls")


class CertificateError(BindError):
    """The certificate or its key cannot be used. The message names the file and what is wrong."""


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
        return self.not_after - min(_WARN_BEFORE.total_seconds(), _WARN_SHARE * (self.not_after - self.not_before))


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
    if (pem, private) != (certificate.read_bytes(), key.read_bytes()):
        raise CertificateError(f"{certificate} or {key} is being replaced")
    names = tuple(str(name) for _, name in found.get("subjectAltName", ()))
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
        raise CertificateError(f"server.tls_certificate: {path} expired on {_date(certificate.not_after)}")
    if now < certificate.not_before:
        raise CertificateError(
            f"server.tls_certificate: {path} is not valid before {_date(certificate.not_before)}; "
            f"this machine's clock says {_date(now)}"
        )
    if not certificate.names:
        _log.warning("the certificate names no host as subjectAltName: many clients refuse it", file=str(path))


class Certificates:
    """The certificate in use. A changed file is used from the next handshake on, without a restart.

    Args:
        certificate: PEM file with the chain.
        key: PEM file with the private key.
        clock: seconds since 1970.

    Raises:
        OSError: a file cannot be read.
        CertificateError: the files are no certificate with its key, or it is not valid now.
    """

    def __init__(self, certificate: Path, key: Path, clock: Callable[[], float] = time.time) -> None:
        self._files = certificate, key
        self._clock = clock
        self._lock = threading.Lock()
        self._version = self._version_of_files()
        self._current = self._given = read(certificate, key)
        check(self._current, certificate, clock())
        self._watching: asyncio.Task[None] | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """Credentials that take up a changed file."""
        self._given = self._current
        fetch: Any = self._changed  # its type lacks None, which says that nothing has changed
        return grpc.dynamic_ssl_server_credentials(_configuration(self._given), fetch)

    def start(self) -> None:
        """Log before the certificate expires, from the running event loop."""
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop logging."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching

    @property
    def expires(self) -> float:
        """When the certificate in use expires, seconds since 1970."""
        self.refresh()
        return self._current.not_after

    def refresh(self) -> None:
        """Read the files again if they have changed. A certificate that cannot be used is logged and not taken."""
        with self._lock:
            version = self._version_of_files()
            if version == self._version:
                return
            self._version = version
            certificate, key = self._files
            try:
                found = read(certificate, key)
                check(found, certificate, self._clock())
            except (OSError, CertificateError) as error:
                _log.error("the changed certificate is not used", error=str(error))
                return
            if found != self._current:
                self._current = found
                _log.info("certificate replaced", expires=_date(found.not_after))

    def remind(self) -> None:
        """Log if the certificate expires soon, or has expired."""
        now, certificate = self._clock(), self._current
        fields = {"file": str(self._files[0]), "expires": _date(certificate.not_after)}
        if now >= certificate.not_after:
            _log.error("the certificate has expired: clients refuse it", **fields)
        elif now >= certificate.warn_from:
            _log.warning("the certificate expires soon", **fields)

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """The new certificate, if there is one; gRPC asks at every handshake."""
        self.refresh()
        if self._given is self._current:
            return None
        self._given = self._current
        return _configuration(self._given)

    def _version_of_files(self) -> tuple[Any, ...] | None:
        try:
            return tuple((s.st_ino, s.st_mtime_ns, s.st_size) for s in (path.stat() for path in self._files))
        except OSError:
            return None

    async def _watch(self) -> None:
        while True:
            self.remind()
            now = self._clock()
            coming = [moment - now for moment in (self._current.warn_from, self._current.not_after) if moment > now]
            await asyncio.sleep(min([_REMIND_SECONDS, *coming]))


class Expiry(Collector):
    """The metric of the certificate.

    Args:
        certificates: the certificate; without one, the metric has no value.
    """

    def __init__(self, certificates: Certificates | None) -> None:
        self._certificates = certificates

    def collect(self) -> Iterable[Metric]:
        """Collect the metric."""
        expires = GaugeMetricFamily(
            "facet_tls_certificate_expires_timestamp_seconds",
            "When the server's certificate expires, seconds since 1970.",
        )
        if self._certificates is not None:
            expires.add_metric([], self._certificates.expires)
        yield expires


def certificates_of(config: ServerConfig) -> Certificates | None:
    """The certificate of a configuration, if it has one; raises as :class:`Certificates`."""
    if config.tls_certificate is None or config.tls_key is None:
        return None
    return Certificates(config.tls_certificate, config.tls_key)


def _configuration(certificate: Certificate) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(certificate.key, certificate.pem)])


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


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
