"""The names in certificates by which callers can be known."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import ip_address

import typer

from facet.server.tls.names import HOST, URI

_KIND = re.compile(r"(?:DNS|URI|IP|email|dirName|RID):", re.IGNORECASE)
"""How OpenSSL writes a name of the subjectAltName."""


def certificate_name(text: str) -> str:
    """Check a DNS name or URI; the server takes no other names from a certificate.

    Raises:
        BadParameter: it is neither, so that the caller would never get in.
    """
    problem = ""
    with suppress(ValueError):
        problem = f"{ip_address(text)} is an IP address"
    if match := _KIND.match(text):
        problem = f"leave out {match[0]}"
    elif not (HOST.fullmatch(text.lower()) or URI.fullmatch(text)):
        problem = f"{text!r} is neither a DNS name nor a URI"
    if problem:
        raise typer.BadParameter(
            f"{problem}: callers are known by a DNS name such as door-7.example, or a URI such as "
            "spiffe://site.example/door-7, in the subjectAltName of their certificates",
            param_hint="--certificate",
        )
    return text
