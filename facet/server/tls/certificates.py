"""The certificates that the server uses: reloaded when their files change, watched, and measured."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from facet.server.config import ServerConfig
from facet.server.tls.authorities import Authorities, read_authorities
from facet.server.tls.pair import Certificate, check, date, read
from facet.server.tls.reloaded import Reloaded

_REMIND_SECONDS = 12 * 3600.0
_LOOK_SECONDS = 0.5
"""A changed client CA must hold for open connections, too, within a second."""

_log = structlog.get_logger("facet.tls")


class Certificates:
    """The certificates in use. Changed files are used from the next handshake on, without a restart.

    Args:
        certificate: PEM file with the chain.
        key: PEM file with the private key.
        client_ca: PEM file with the authorities of client certificates; ``None`` asks clients for none.
        clock: seconds since 1970.

    Attributes:
        clock: see above.

    Raises:
        OSError: a file cannot be read.
        CertificateError: certificate and key are no pair, there is no authority, or one is not valid now.
    """

    def __init__(
        self, certificate: Path, key: Path, client_ca: Path | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.clock = clock

        def read_pair() -> Certificate:
            found = read(certificate, key)
            check(found, certificate, clock())
            return found

        self._pair = Reloaded("certificate", (certificate, key), read_pair, clock)
        self._client_ca = (
            None
            if client_ca is None
            else Reloaded("client CA", (client_ca,), lambda: read_authorities(client_ca, clock()), clock)
        )
        self._given = self._in_use
        self._reminder: asyncio.Task[None] | None = None
        self._stopping = threading.Event()

    def credentials(self) -> grpc.ServerCredentials:
        """Credentials that take up changed files."""
        self._given = self._in_use
        fetch: Any = self._changed  # its type lacks None, which says that nothing has changed
        return grpc.dynamic_ssl_server_credentials(
            _configuration(*self._given), fetch, require_client_authentication=self._client_ca is not None
        )

    def start(self, changed: Callable[[], None] = lambda: None) -> None:
        """Log before a certificate expires, and look for a changed client CA, for the running event loop.

        Args:
            changed: called about twice a second if client certificates are required.
        """
        self._reminder = asyncio.create_task(self._remind_in_time())
        if self._client_ca is not None:
            arguments = (asyncio.get_running_loop(), changed)
            threading.Thread(target=self._look, args=arguments, name="certificates", daemon=True).start()

    async def stop(self) -> None:
        """Stop both."""
        self._stopping.set()
        if self._reminder is not None:
            self._reminder.cancel()
            with suppress(asyncio.CancelledError):
                await self._reminder

    @property
    def expires(self) -> float:
        """When the server's certificate expires, seconds since 1970."""
        self.refresh()
        return self._pair.value.not_after

    @property
    def client_authorities(self) -> Authorities | None:
        """The authorities of client certificates; ``None`` if clients need none."""
        return None if self._client_ca is None else self._client_ca.value

    @property
    def refused(self) -> dict[str, int]:
        """How often changed files could not be used, by what they hold."""
        return {name: each.refused for name, each in self._files.items()}

    def refresh(self) -> None:
        """Read the files again that have changed."""
        for each in self._files.values():
            each.refresh()

    def remind(self) -> None:
        """Log if a certificate expires soon, or has expired."""
        now, pair = self.clock(), self._pair.value
        fields = {"file": str(self._pair.file), "expires": date(pair.not_after)}
        if now >= pair.not_after:
            _log.error("the certificate has expired: clients refuse it", **fields)
        elif now >= pair.warn_from:
            _log.warning("the certificate expires soon", **fields)
        if self._client_ca is None:
            return
        authorities = self._client_ca.value
        fields = {"file": str(self._client_ca.file), "expires": date(authorities.not_after)}
        if now >= authorities.not_after:
            _log.error("a client CA has expired: its clients are refused", **fields)
        elif now >= authorities.warn_from:
            _log.warning("a client CA expires soon", **fields)

    @property
    def _files(self) -> dict[str, Reloaded[Any]]:
        found: dict[str, Reloaded[Any]] = {"certificate": self._pair}
        return found if self._client_ca is None else {**found, "client_ca": self._client_ca}

    @property
    def _in_use(self) -> tuple[Certificate, Authorities | None]:
        return self._pair.value, self.client_authorities

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """The new certificates, if there are any; gRPC asks at every handshake."""
        self.refresh()
        in_use = self._in_use
        if all(given is now for given, now in zip(self._given, in_use, strict=True)):
            return None
        configuration = _configuration(*in_use)
        self._given = in_use
        return configuration

    async def _remind_in_time(self) -> None:
        while True:
            self.remind()
            now = self.clock()
            moments = [
                moment for each in self._in_use if each is not None for moment in (each.warn_from, each.not_after)
            ]
            await asyncio.sleep(min([_REMIND_SECONDS, *(moment - now for moment in moments if moment > now)]))

    def _look(self, loop: asyncio.AbstractEventLoop, changed: Callable[[], None]) -> None:
        """A thread of its own: those of calls may all be taken."""
        while not self._stopping.wait(_LOOK_SECONDS):
            try:
                self.refresh()
            except Exception:  # whatever it is, open calls must not outlive their certificates because of it
                _log.exception("looking at the certificates failed")
            try:
                loop.call_soon_threadsafe(changed)
            except RuntimeError:  # the loop is closed
                return


class Expiry(Collector):
    """The metrics of the certificates.

    Args:
        certificates: the certificates; without any, the metrics have no value.
    """

    def __init__(self, certificates: Certificates | None) -> None:
        self._certificates = certificates

    def collect(self) -> Iterable[Metric]:
        """Collect the metrics."""
        expires = GaugeMetricFamily(
            "facet_tls_certificate_expires_timestamp_seconds",
            "When the server's certificate expires, seconds since 1970.",
        )
        client_ca = GaugeMetricFamily(
            "facet_tls_client_ca_expires_timestamp_seconds",
            "When the first authority of client certificates expires, seconds since 1970.",
        )
        refused = CounterMetricFamily(
            "facet_tls_files_refused", "Changed certificate files that could not be used.", labels=["file"]
        )
        if (certificates := self._certificates) is not None:
            expires.add_metric([], certificates.expires)
            if (authorities := certificates.client_authorities) is not None:
                client_ca.add_metric([], authorities.not_after)
            for file, count in certificates.refused.items():
                refused.add_metric([file], count)
        yield from (expires, client_ca, refused)


def certificates_of(config: ServerConfig) -> Certificates | None:
    """The certificates of a configuration, if it has any; raises as :class:`Certificates`."""
    if config.tls_certificate is None or config.tls_key is None:
        return None
    return Certificates(config.tls_certificate, config.tls_key, config.tls_client_ca)


def _configuration(certificate: Certificate, authorities: Authorities | None) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(certificate.key, certificate.pem)], None if authorities is None else authorities.pem
    )
