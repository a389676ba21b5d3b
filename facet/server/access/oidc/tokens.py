"""Verifies bearer tokens: JSON Web Tokens (RFC 7519) that an identity provider has signed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jwt

from facet.server.access.oidc.key_set import KeySet

MAX_TOKEN_BYTES = 16 * 2**10
LEEWAY_SECONDS = 30
"""How far the clocks of the provider and of this machine may be apart."""
_REQUIRED = ["exp", "iss", "aud", "sub"]


class InvalidToken(Exception):
    """A token gives no rights. The text says why, for tests and the debugger: no client and no log gets it."""


def looks_like_token(text: str) -> bool:
    """Whether a bearer token has the three parts of a signed JWT, and so is neither an API key nor a shared token."""
    return text.count(".") == 2 and text.startswith("ey")


def names_unknown_key(token: str, keys: KeySet) -> bool:
    """Whether a token names a key that is not in the set: it may have been added to the provider's since."""
    try:
        kid, _ = _key_of(token)
    except InvalidToken:
        return False
    return bool(kid) and not keys.knows(kid)


def verify(token: str, keys: KeySet, *, issuer: str, audience: str) -> Mapping[str, Any]:
    """Check a token's signature, times, issuer and audience; returns its claims.

    Args:
        token: header, claims and signature, as sent.
        keys: the keys of the issuer.
        issuer: what ``iss`` must be.
        audience: what ``aud`` must be or contain.

    Raises:
        InvalidToken: the token is refused.
    """
    for key in keys.find(*_key_of(token)):
        try:
            return jwt.decode(
                token,
                key.public,
                algorithms=sorted(key.algorithms),
                issuer=issuer,
                audience=audience,
                leeway=LEEWAY_SECONDS,
                options={"require": _REQUIRED},
            )
        except jwt.InvalidSignatureError:  # another key of the same id may have signed it
            continue
        except Exception as error:  # a stranger wrote it: whatever it breaks, it is refused
            raise InvalidToken(type(error).__name__) from None
    raise InvalidToken("no key has signed it")


def expiry_of(claims: Mapping[str, Any]) -> float:
    """When verified claims expire, seconds since 1970; see :data:`LEEWAY_SECONDS`."""
    return float(min(int(claims["exp"]), 2**53)) + LEEWAY_SECONDS


def _key_of(token: str) -> tuple[str, str]:
    """The key id that a token names, or empty, and its algorithm: only to find a key, and not to be believed."""
    if len(token) > MAX_TOKEN_BYTES:
        raise InvalidToken("too long")
    try:
        header = jwt.get_unverified_header(token)
    except Exception as error:
        raise InvalidToken(type(error).__name__) from None
    kid, algorithm = header.get("kid", ""), header.get("alg")
    if not isinstance(algorithm, str):
        raise InvalidToken("alg")
    return kid, algorithm
