"""Authenticates calls by a bearer token in the metadata ``authorization``."""

from __future__ import annotations

import hmac
from typing import Any

from pydantic import SecretStr

from facet.server.errors import Unauthenticated


class Authenticator:
    """Compares the bearer token of a call with the server's in constant time.

    Args:
        token: the token; ``None`` accepts every call.
    """

    def __init__(self, token: SecretStr | None) -> None:
        self._expected = None if token is None else f"Bearer {token.get_secret_value()}".encode()

    def authenticate(self, metadata: Any) -> None:
        """Check the metadata of a call: pairs of key and value, or ``None``.

        Raises:
            Unauthenticated: there is no token, more than one, or the wrong one.
        """
        if self._expected is None:
            return
        values = [value for key, value in metadata or () if key == "authorization"]
        given = values[0] if len(values) == 1 else b""
        if not hmac.compare_digest(given.encode() if isinstance(given, str) else given, self._expected):
            raise Unauthenticated
