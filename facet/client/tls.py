"""TLS of a client: its certificates, from arguments or the environment, and a warning where a token needs it."""

from __future__ import annotations

import os
import warnings
from ipaddress import ip_address
from pathlib import Path

import grpc

CA_VARIABLE, CERTIFICATE_VARIABLE, KEY_VARIABLE = "FACET_CA", "FACET_CERTIFICATE", "FACET_KEY"
"""Variables of the environment with the names of PEM files."""
UNENCRYPTED = b""
"""``root_certificates`` of a connection without TLS, whatever the environment says."""

_LOCAL_SCHEMES = ("unix:", "unix-abstract:")


class InsecureConnectionWarning(UserWarning):
    """A token would cross a network without encryption."""


def credentials(
    root_certificates: bytes | None, certificate_chain: bytes | None, private_key: bytes | None
) -> grpc.ChannelCredentials | None:
    """The credentials of an encrypted connection; ``None`` for one in the clear.

    What is ``None`` comes from the files that the environment names; certificate and key only together.

    Raises:
        ValueError: a client certificate came without its key, or a key without its certificate.
        OSError: a file that the environment names cannot be read.
    """
    if root_certificates is None:
        root_certificates = _file_of(CA_VARIABLE)
    elif root_certificates == UNENCRYPTED:
        return None
    if certificate_chain is None and private_key is None:
        certificate_chain, private_key = _file_of(CERTIFICATE_VARIABLE), _file_of(KEY_VARIABLE)
        if (certificate_chain is None) != (private_key is None):
            raise ValueError(f"a client certificate needs both {CERTIFICATE_VARIABLE} and {KEY_VARIABLE}")
    elif certificate_chain is None or private_key is None:
        raise ValueError("a client certificate needs both certificate_chain and private_key")
    if root_certificates is None and certificate_chain is None:
        return None
    return grpc.ssl_channel_credentials(root_certificates, private_key, certificate_chain)


def warn_of_token(address: str, token: object) -> None:
    """Warn if a token is about to be sent to another machine over a connection without TLS.

    It is a warning, not an error: the network may be encrypted by other means, such as WireGuard or a service mesh.
    """
    if token and not is_local(address):
        warnings.warn(
            f"the token for {address} crosses the network unencrypted: give the server a certificate, and the client "
            f"its CA (root_certificates, --ca or {CA_VARIABLE})",
            InsecureConnectionWarning,
            stacklevel=4,
        )


def is_local(address: str) -> bool:
    """Whether an address of gRPC, such as ``localhost:50051`` or ``dns:///[::1]:50051``, is one of this machine."""
    if address.startswith(_LOCAL_SCHEMES):
        return True
    host = address.rpartition("/")[2].removeprefix("dns:").removeprefix("ipv4:").removeprefix("ipv6:")
    host = host.rpartition(":")[0] if host.count(":") == 1 or host.startswith("[") else host
    host = host.strip("[]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _file_of(variable: str) -> bytes | None:
    name = os.environ.get(variable)
    return Path(name).read_bytes() if name else None
