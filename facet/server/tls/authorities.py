"""The authorities (CAs) whose client certificates the server accepts, and which chains they vouch for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from facet.server.tls.pair import CertificateError, date, warn_from
from facet.server.tls.unreadable import UNREADABLE, extensions_of

_LONGEST_CHAIN = 16

_log = structlog.get_logger("facet.tls")


@dataclass(frozen=True, slots=True, eq=False)
class Authorities:
    """Certificates that a client's certificate must lead to. Each is equal to itself only.

    Attributes:
        certificates: one at least; those of authorities, or single certificates of clients.
    """

    certificates: tuple[x509.Certificate, ...]

    @property
    def pem(self) -> bytes:
        """All of them, PEM."""
        return b"".join(each.public_bytes(Encoding.PEM) for each in self.certificates)

    @property
    def not_after(self) -> float:
        """When the first of them expires, seconds since 1970."""
        return min(map(_end, self.certificates))

    @property
    def warn_from(self) -> float:
        """When the first of them is due to be replaced, seconds since 1970."""
        return min(warn_from(_start(each), _end(each)) for each in self.certificates)

    def vouch_until(self, chain: Sequence[x509.Certificate]) -> float | None:
        """Until when these authorities vouch for a certificate that gRPC has verified at the handshake.

        gRPC does so once for each connection, and not again for a resumed session (RFC 8446, section 2.2). Purposes and
        constraints of certificates do not change, so this looks only at signatures and dates.

        Args:
            chain: the client's certificate, then those that it sent along, in any order.

        Returns:
            seconds since 1970; ``None`` if none of the authorities has signed the certificate.
        """
        current, others, until = chain[0], list(chain[1:_LONGEST_CHAIN]), _end(chain[0])
        while current not in self.certificates:
            ends = [_end(each) for each in self.certificates if _is_issued_by(current, each)]
            if ends:
                return min(until, max(ends))
            issuer = next((each for each in others if _is_issued_by(current, each)), None)
            if issuer is None:
                return None
            others.remove(issuer)
            current, until = issuer, min(until, _end(issuer))
        return until


def read_authorities(file: Path, now: float) -> Authorities:
    """Read the file of ``server.tls_client_ca``.

    Args:
        file: PEM file with one certificate or more.
        now: seconds since 1970.

    Raises:
        OSError: the file cannot be read.
        CertificateError: it holds no certificates, or none that is valid now.
    """
    try:
        found = tuple(dict.fromkeys(x509.load_pem_x509_certificates(file.read_bytes())))
        authorities = Authorities(found)
        ends = [(_start(each), _end(each)) for each in found]
    except UNREADABLE as error:
        raise CertificateError(f"server.tls_client_ca: {file} holds no certificates in PEM") from error
    if all(now >= end for _, end in ends):
        last = date(max(end for _, end in ends))
        raise CertificateError(f"server.tls_client_ca: {file} expired on {last}: no client can connect")
    if not any(start <= now < end for start, end in ends):
        first = min(start for start, end in ends if now < end)
        raise CertificateError(
            f"server.tls_client_ca: {file} is not valid before {date(first)}; this machine's clock says {date(now)}",
            first,
        )
    if not any(map(_is_authority, found)):
        _log.warning("the client CA is no authority: it accepts nothing but itself", file=str(file))
    return authorities


def _is_authority(certificate: x509.Certificate) -> bool:
    """Whether a certificate says so; one that cannot be read is taken for an authority, as gRPC may do."""
    extensions = extensions_of(certificate)
    if extensions is None:
        return True
    return any(isinstance(each.value, x509.BasicConstraints) and each.value.ca for each in extensions)


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def _start(certificate: x509.Certificate) -> float:
    return certificate.not_valid_before_utc.timestamp()


def _end(certificate: x509.Certificate) -> float:
    return certificate.not_valid_after_utc.timestamp()
