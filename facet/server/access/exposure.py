"""Whether strangers could reach a server: it does not start then, unless it is told to."""

from __future__ import annotations

from pathlib import Path


class Exposed(Exception):
    """The server would serve other machines without callers or without TLS. The message says what to do."""


def check_exposure(
    host: str,
    callers: Path,
    *,
    is_loopback: bool,
    has_callers: bool,
    has_tls: bool,
    may_lack_callers: bool,
    insecure: bool,
) -> None:
    """Refuse to serve other machines without callers or without TLS.

    Args:
        host: the address that the server listens on.
        callers: the callers file, for the message.
        is_loopback: whether only programs of this machine reach it.
        has_callers: whether callers must say who they are.
        has_tls: whether connections are encrypted.
        may_lack_callers: ``server.allow_unauthenticated``.
        insecure: ``server.insecure``.

    Raises:
        Exposed: it would.
    """
    if is_loopback or insecure:
        return
    missing = []
    if not (has_callers or may_lack_callers):
        missing.append(
            f"it has no callers: make one with: facet keys create --callers {callers} --label NAME --scope admin"
        )
    if not has_tls:
        missing.append(
            "it has no TLS: set server.tls_certificate and server.tls_key; facet certs makes them for a trial"
        )
    if missing:
        raise Exposed(
            f"other machines reach host {host}, and " + "; ".join([*missing, "or say --insecure on a trusted network"])
        )
