"""Whether strangers could reach a server: it does not start then, unless it is told to."""

from __future__ import annotations

import shlex
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
        has_callers: whether callers must say who they are. A client CA alone does not make them: every certificate
            that it has signed, also that of another service, could do everything.
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
        command = f"facet keys create --callers {shlex.quote(str(callers))} --label NAME --scope admin"
        missing.append(f"No callers: run `{command}`.")
    if not has_tls:
        missing.append(
            "No TLS: set server.tls_certificate and server.tls_key; `facet certs` makes certificates for a trial."
        )
    if missing:
        needed = "TLS" if may_lack_callers else "callers and TLS"
        raise Exposed(
            f"{host} can be reached from other machines, so the server needs {needed}. {' '.join(missing)} "
            "On a trusted network, `facet serve --insecure` starts without them."
        )
