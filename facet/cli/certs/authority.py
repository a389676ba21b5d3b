"""A certificate authority for development: makes itself, and signs certificates of servers and clients (RFC 5280)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from facet.server.tls.unreadable import UNREADABLE

Purpose = Literal["server", "client"]

_SKEW = timedelta(minutes=5)
"""Clocks of other machines may be slow by this much."""
_MOST_COMMON_NAME = 64
_DNS_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[!-~]+", re.IGNORECASE)
_USAGES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


class AuthorityError(Exception):
    """The authority cannot be used. The message says why."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its key.

    Attributes:
        certificate: the certificate.
        key: its private key.
    """

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The certificate, PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key, PEM (PKCS #8), not encrypted."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def new_authority(days: int) -> Pair:
    """Make an authority that is valid for some days. Each has a name of its own, so that they are told apart."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = _name(f"Facet development CA {secrets.token_hex(4)}")
    builder = (
        _builder(name, name, key, now, now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return Pair(builder.sign(key, hashes.SHA256()), key)


def load_authority(certificate: bytes, key: bytes) -> Pair:
    """Load an authority from PEM.

    Raises:
        AuthorityError: they are no authority with its key, or it has expired.
    """
    try:
        found, private = x509.load_pem_x509_certificate(certificate), load_pem_private_key(key, password=None)
    except UNREADABLE as error:
        raise AuthorityError("is no CA with its key in PEM") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != found.public_key():
        raise AuthorityError("has the key of another CA")
    if found.not_valid_after_utc <= datetime.now(UTC):
        raise AuthorityError(f"expired on {found.not_valid_after_utc:%Y-%m-%d}")
    return Pair(found, private)


def sign(authority: Pair, purpose: Purpose, names: Sequence[x509.GeneralName], days: int) -> Pair:
    """Make a certificate with its key.

    Args:
        authority: signs it. The certificate does not outlive it.
        purpose: what the certificate may be used for.
        names: its subjectAltName; the first is also its common name, for people.
        days: how long it is valid.
    """
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    issuer = authority.certificate
    end = min(now + timedelta(days=days), issuer.not_valid_after_utc)
    builder = (
        _builder(_name(str(names[0].value)[:_MOST_COMMON_NAME]), issuer.subject, key, now, end)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([_USAGES[purpose]]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
    )
    return Pair(builder.sign(authority.key, hashes.SHA256()), key)


def host_name(text: str) -> x509.GeneralName:
    """The name of a server: a DNS name, also with a wildcard, or an IP address.

    Raises:
        ValueError: it is neither.
    """
    try:
        return x509.IPAddress(ip_address(text.strip("[]")))
    except ValueError:
        if _DNS_NAME.fullmatch(text.removeprefix("*.").lower()):
            return x509.DNSName(text.lower())
    raise ValueError(f"{text!r} is neither a host name nor an IP address")


def client_name(text: str) -> x509.GeneralName:
    """The name of a client: a DNS name, such as ``camera-1``, or a URI, such as ``spiffe://site/camera-1``.

    Raises:
        ValueError: it is neither.
    """
    if _DNS_NAME.fullmatch(text.lower()):
        return x509.DNSName(text.lower())
    if _URI.fullmatch(text):
        return x509.UniformResourceIdentifier(text)
    raise ValueError(f"{text!r} is neither a name of letters, digits, '.', '-' and '_' nor a URI")


def is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether a certificate has been signed with the key of another one, or of itself."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
