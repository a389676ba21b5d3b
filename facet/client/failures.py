"""Why there is no connection to a server, by what gRPC says of it."""

from __future__ import annotations

_NO_CONNECTION = "failed to connect to all addresses"
CLOSED = (
    "the server closes the connection: if it uses TLS, the client needs its CA; if it asks for a client certificate, "
    "the client has none, or one that has expired or that another CA has signed"
)
_HINTS = (
    ("certificate has expired", "the server's certificate, or the CA that signed it, has expired"),
    ("certificate is not yet valid", "the server's certificate is not valid yet, or the client's clock is slow"),
    ("CERTIFICATE_VERIFY_FAILED", "the CA that the client trusts has not signed the server's certificate"),
    ("Hostname Verification", "the server's certificate is for other names than the one in the address"),
    ("WRONG_VERSION_NUMBER", "the server does not use TLS: connect without a CA and without a client certificate"),
    (
        "create security handshaker",
        "the client's CA, certificate or key is not PEM, or the key is of another certificate",
    ),
    ("Socket closed", CLOSED),
)
"""Texts of gRPC, and what they mean for a client."""


def hint_of(details: str) -> str:
    """Why there is no connection, and what to do; empty if the client cannot tell.

    Args:
        details: of a status UNAVAILABLE that gRPC itself has made.
    """
    if not details.startswith(_NO_CONNECTION):
        return ""
    return next((hint for text, hint in _HINTS if text in details), "")
