"""Certificates of a command's connection to a server: read and checked before the first call."""

from __future__ import annotations

import socket
import ssl
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

from facet import InsecureConnectionWarning
from facet.client.failures import CLOSED

_PROBE_SECONDS = 2.0


class Unusable(Exception):
    """A file holds no certificate or key that can be used. The message names it, and says what is wrong."""


class Tls(TypedDict):
    """Arguments of :class:`facet.Client`."""

    root_certificates: bytes | None
    certificate_chain: bytes | None
    private_key: bytes | None


def read(root: Path | None, certificate: Path | None, key: Path | None) -> Tls:
    """Read the files of a connection.

    Raises:
        Unusable: a file cannot be read or is not what it should be, or the certificate has expired.
    """
    if (certificate is None) != (key is None):
        raise Unusable("--certificate and --key go together: give both, or neither")
    roots = None if root is None else _bytes_of(root)
    if root is not None and roots is not None:
        _check_roots(root, roots)
    if certificate is None or key is None:
        return Tls(root_certificates=roots, certificate_chain=None, private_key=None)
    chain, private = _bytes_of(certificate), _bytes_of(key)
    _check_pair(certificate, key)
    return Tls(root_certificates=roots, certificate_chain=chain, private_key=private)


@contextmanager
def warnings_as_lines(say: Callable[[str], None]) -> Iterator[None]:
    """Say what a client that is made in the block warns of, in a line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InsecureConnectionWarning)
        yield
    for each in caught:
        say(f"warning: {each.message}")


def hint_of_listener(address: str) -> str:
    """What may be wrong if a client cannot connect though something listens at the address; empty if nothing does.

    gRPC tells the error of the last address that it tried: for localhost, that nothing listens on IPv6.
    """
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_PROBE_SECONDS):
            return CLOSED
    except (OSError, ValueError):
        return ""


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Unusable(f"cannot read {file}: {error.strerror}") from None


def _check_roots(file: Path, roots: bytes) -> None:
    try:
        ssl.create_default_context().load_verify_locations(cadata=roots.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError):
        raise Unusable(f"{file} holds no certificates in PEM") from None


def _check_pair(certificate: Path, key: Path) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import InvalidVersion, load_pem_x509_certificates

    try:
        (first, *_) = load_pem_x509_certificates(certificate.read_bytes())
    except (ValueError, InvalidVersion):
        raise Unusable(f"{certificate} holds no certificate in PEM") from None
    try:
        private = load_pem_private_key(key.read_bytes(), password=None)
    except TypeError:
        raise Unusable(f"{key} is encrypted: decrypt it") from None
    except (ValueError, UnsupportedAlgorithm):
        raise Unusable(f"{key} holds no private key in PEM") from None
    if private.public_key() != first.public_key():
        raise Unusable(f"{key} is the key of another certificate than {certificate}")
    if first.not_valid_after_utc.timestamp() <= time.time():
        raise Unusable(f"{certificate} expired on {first.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
