"""Authenticates calls by a bearer token in the metadata ``authorization`` (RFC 6750)."""

from __future__ import annotations

import hmac
from typing import Any, NoReturn

from pydantic import SecretStr

from facet.server.access.grants import Claim
from facet.server.access.identity import ANONYMOUS, TOKEN, Identity
from facet.server.errors import Unauthenticated


class Authenticator:
    """Tells who a call comes from. Secrets are compared in constant time.

    Args:
        token: the server's own token; ``None`` if there is none, and every call is accepted.
    """

    def __init__(self, token: SecretStr | None) -> None:
        self._expected = None if token is None else f"Bearer {token.get_secret_value()}".encode()

    def claim(self, metadata: Any) -> Claim:
        """What a call claims to be, by its metadata: pairs of key and value, or ``None``."""
        if self._expected is None:
            return _anonymous
        values = [value for key, value in metadata or () if key == "authorization"]
        given = values[0] if len(values) == 1 else b""
        is_token = hmac.compare_digest(given.encode() if isinstance(given, str) else given, self._expected)
        return _token if is_token else _nobody


def _anonymous() -> Identity:
    return ANONYMOUS


def _token() -> Identity:
    return TOKEN


def _nobody() -> NoReturn:
    raise Unauthenticated
