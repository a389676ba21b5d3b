"""Certificates that ``cryptography`` refuses to read, though gRPC accepts them: what it raises, and what then holds."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What reading a certificate, its key or its extensions raises. There is no base class of all these."""


def extensions_of(certificate: x509.Certificate) -> x509.Extensions | None:
    """The extensions; ``None`` if one of them cannot be read, such as a subjectAltName with an ediPartyName."""
    try:
        return certificate.extensions
    except UNREADABLE:
        return None
