"""Who a client is by its certificate, and the end of its calls when the certificate is no longer good."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import grpc
from cryptography import x509

from facet.server.errors import Unauthenticated
from facet.server.open_calls import OpenCalls
from facet.server.tls.authorities import Authorities
from facet.server.tls.certificates import Certificates
from facet.server.tls.names import HOST, URI
from facet.server.tls.unreadable import UNREADABLE, extensions_of

_CERTIFICATE, _CHAIN = "x509_pem_cert", "x509_pem_cert_chain"
"""What gRPC calls them in the context of a call (grpc/grpc_security_constants.h)."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A client that has shown a certificate, which gRPC has verified.

    Attributes:
        names: the DNS names, in lower case, and the URIs of its subjectAltName (RFC 5280, section 4.2.1.6). No text is
            both. The subject's common name is no name of a client. One whose extensions cannot be read has no names.
        chain: its certificate, then those that it sent along.
    """

    names: tuple[str, ...]
    chain: tuple[x509.Certificate, ...]


def peer_of(context: grpc.aio.ServicerContext[Any, Any]) -> Peer | None:
    """The client of a call; ``None`` if it has shown no certificate, because the server asks for none."""
    properties: Any = context.auth_context()
    found = tuple(properties.get(_CERTIFICATE, ())[:1])
    try:
        return _parsed(found + tuple(properties.get(_CHAIN, ()))) if found else None
    except UNREADABLE:  # gRPC accepts forms that this library refuses to read
        return None


def peer_names(context: grpc.aio.ServicerContext[Any, Any]) -> tuple[str, ...]:
    """The names in the certificate of a call's client; none if it has shown no certificate."""
    peer = peer_of(context)
    return () if peer is None else peer.names


@lru_cache(4096)
def _parsed(pem: tuple[bytes, ...]) -> Peer:
    chain = tuple(dict.fromkeys(each for block in pem for each in x509.load_pem_x509_certificates(block)))
    given = [
        each.value for each in extensions_of(chain[0]) or () if isinstance(each.value, x509.SubjectAlternativeName)
    ]
    hosts = [host.lower() for names in given for host in names.get_values_for_type(x509.DNSName)]
    uris = [uri for names in given for uri in names.get_values_for_type(x509.UniformResourceIdentifier)]
    good = [each for each in hosts if HOST.fullmatch(each)] + [each for each in uris if URI.fullmatch(each)]
    return Peer(tuple(dict.fromkeys(good)), chain)


@lru_cache(4096)
def _good_until(peer: Peer, authorities: Authorities) -> float | None:
    return authorities.vouch_until(peer.chain)


class Clients:
    """The open calls of clients with certificates. Use it from one event loop.

    gRPC verifies a certificate at the handshake only. A connection may outlive its certificate, or the authority that
    signed it, and a client may resume a session with a certificate that has expired meanwhile.

    Args:
        certificates: the server's; ``None`` for a server without TLS, whose clients show no certificates.
    """

    def __init__(self, certificates: Certificates | None) -> None:
        self._certificates = certificates
        self._open = OpenCalls()

    @contextmanager
    def admitted(self, context: grpc.aio.ServicerContext[Any, Any]) -> Iterator[None]:
        """Run the body, a call of the current task, only as long as the client's certificate is good.

        Raises:
            Unauthenticated: it is not, or no longer.
        """
        if self._certificates is None or self._certificates.client_authorities is None:
            yield
            return
        peer = peer_of(context)
        if peer is None:
            raise Unauthenticated
        self._check(peer)
        with self._open.entered(partial(self._check, peer)):
            yield

    def review(self) -> None:
        """End the calls whose certificate is no longer good."""
        self._open.review()

    def _check(self, peer: Peer) -> None:
        if not self._is_good(peer):
            raise Unauthenticated

    def _is_good(self, peer: Peer) -> bool:
        if self._certificates is None or (authorities := self._certificates.client_authorities) is None:
            return True
        until = _good_until(peer, authorities)
        return until is not None and self._certificates.clock() < until
