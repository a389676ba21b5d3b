"""Which tokens the server accepts as its own, and what the operator is told about access when it starts."""

from __future__ import annotations

import structlog
from pydantic import SecretStr

SHORTEST = 16
"""A token with fewer characters can be guessed."""
_FEWEST_DIFFERENT = 6
"""A token with fewer different characters can be guessed, however long it is."""

_log = structlog.get_logger("facet.server.access")


def problem_of(token: SecretStr) -> str:
    """Why a token cannot be used, in one line without the token; empty if it can.

    An empty token is refused rather than taken for none: it is usually a variable that was never filled, and the server
    would start open.
    """
    text = token.get_secret_value()
    if not text.strip():
        return "token is set but empty: set one, or remove the setting to run without a token"
    if not (text.isascii() and text.isprintable()):
        return "token must be printable ASCII, because gRPC metadata is limited to it"
    if text != text.strip():
        return "token begins or ends with a space, which gRPC removes from what clients send"
    return ""


def weakness_of(token: SecretStr) -> str:
    """What makes a token easy to guess, in a few words; empty if nothing does."""
    text = token.get_secret_value()
    if len(text) < SHORTEST:
        return f"fewer than {SHORTEST} characters"
    if len(set(text)) < _FEWEST_DIFFERENT:
        return f"fewer than {_FEWEST_DIFFERENT} different characters"
    return ""


def log_access(token: SecretStr | None, *, is_open: bool, is_loopback: bool, has_client_ca: bool = False) -> None:
    """Log who may call a server without callers, or that its token is easy to guess."""
    hint = "make a caller with: facet keys create, see docs/security.md"
    if is_open and has_client_ca:
        _log.info("no callers", may_do_everything="every client with a certificate of server.tls_client_ca", hint=hint)
    elif is_open and is_loopback:
        _log.info("no callers", may_do_everything="every program on this machine", hint=hint)
    elif is_open:
        _log.warning("no callers", may_do_everything="everybody who reaches this address", hint=hint)
    elif token is not None and (weakness := weakness_of(token)):
        _log.warning("weak token", weakness=weakness, hint="make one with: openssl rand -hex 32")
