"""Certificates for tests: those of an authority, and those that sign themselves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

_DAY = timedelta(days=1)
_KINDS: dict[str, Callable[[str], x509.GeneralName]] = {
    "DNS": x509.DNSName,
    "URI": x509.UniformResourceIdentifier,
    "email": x509.RFC822Name,
}
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
EDI_PARTY = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, bytes.fromhex("3009a507a1050c0378797a"))
"""A subjectAltName with an ediPartyName, which ``cryptography`` makes with this only, and refuses to read."""


class Authority:
    """An authority that signs certificates, or an intermediate one below another.

    Args:
        folder: where the files are written.
        name: of the authority and its file.
        issuer: the authority above; ``None`` if it signs itself.
        end: when it expires; in a day by default.
        extra: another extension.

    Attributes:
        name: what certificates call it.
        file: its certificate, PEM.
    """

    def __init__(
        self,
        folder: Path,
        name: str = "ca",
        issuer: Authority | None = None,
        end: datetime | None = None,
        extra: x509.ExtensionType | None = None,
    ) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        builder = _builder(name, self._key, now - _DAY, end or now + _DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(extra, critical=False) if extra else builder
        self.name = _name(name)
        builder = builder.issuer_name(issuer.name if issuer else self.name)
        self._certificate = builder.sign(issuer._key if issuer else self._key, hashes.SHA256())
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    @property
    def pem(self) -> bytes:
        """Its certificate."""
        return self.file.read_bytes()

    def sign(
        self,
        name: str,
        *names: str,
        usage: x509.ObjectIdentifier | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        extra: x509.ExtensionType | None = None,
    ) -> tuple[Path, Path]:
        """Make a certificate and its key; returns their files.

        Args:
            name: the common name, and the name of the files.
            names: of the subjectAltName, such as ``DNS:localhost``, ``IP:127.0.0.1`` or ``URI:spiffe://site/camera``.
            usage: what the certificate is for; ``None`` does not say.
            start: when it becomes valid; a day ago by default.
            end: when it expires; in a day by default.
            extra: another extension.
        """
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        builder = _builder(name, key, start or now - _DAY, end or now + _DAY).issuer_name(self.name)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(map(_general_name, names)), critical=False)
        if extra is not None:
            builder = builder.add_extension(extra, critical=False)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return _written(self._folder, name, builder.sign(self._key, hashes.SHA256()), key)


def make_certificate(
    folder: Path, name: str, *, start: datetime, end: datetime, names: str = "DNS:localhost,IP:127.0.0.1"
) -> tuple[Path, Path]:
    """Make a certificate for localhost that signs itself, and its key.

    Args:
        folder: where the files are written.
        name: of the files, without suffix.
        start: when it becomes valid.
        end: when it expires.
        names: its subjectAltName; empty for none.

    Returns:
        The files of the certificate and of its key.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder("localhost", key, start, end).issuer_name(_name("localhost"))
    if names:
        given = map(_general_name, names.split(","))
        builder = builder.add_extension(x509.SubjectAlternativeName(given), critical=False)
    return _written(folder, name, builder.sign(key, hashes.SHA256()), key)


def _builder(name: str, key: ec.EllipticCurvePrivateKey, start: datetime, end: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(name: str) -> x509.GeneralName:
    kind, _, value = name.partition(":")
    return x509.IPAddress(ip_address(value)) if kind == "IP" else _KINDS[kind](value)


def _written(
    folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> tuple[Path, Path]:
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files
