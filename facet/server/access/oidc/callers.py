"""Callers with tokens of an identity provider (OpenID Connect, OAuth 2.0)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

from facet.server.access.grants import Claim
from facet.server.access.identity import Identity
from facet.server.access.oidc.key_set import KeySet
from facet.server.access.oidc.provider import Provider
from facet.server.access.oidc.rights import identity_of
from facet.server.access.oidc.signing_keys import SigningKeys
from facet.server.access.oidc.tokens import InvalidToken, expiry_of, names_unknown_key, verify
from facet.server.errors import Unauthenticated

EntryOf: TypeAlias = Callable[[str, str], Identity | None]
"""The caller of an issuer and a subject by the callers file; ``None`` if it names none.

Raises:
    Unauthenticated: it names one whose access has ended.
"""

_MAX_VERIFIED = 512
"""Tokens whose signature is not checked again, because that takes up to 1 ms."""
_NEVER: tuple[KeySet | None, Mapping[str, Any]] = (None, {})


class TokenCallers:
    """Tells who a bearer token stands for.

    The callers file decides, if it has an entry for the token's issuer and subject. Else the token's claims do.

    Args:
        provider: the identity provider.
        entry_of: looks a caller up in the callers file.
        now: seconds since 1970.

    Attributes:
        keys: the provider's keys.

    Raises:
        KeysUnavailable: the file of the keys cannot be used.
    """

    def __init__(self, provider: Provider, entry_of: EntryOf, now: Callable[[], float] = time.time) -> None:
        self.keys = SigningKeys(provider.keys)
        self._provider = provider
        self._entry_of = entry_of
        self._now = now
        self._verified: dict[bytes, tuple[KeySet, Mapping[str, Any]]] = {}

    async def wait_for_key(self, token: str) -> None:
        """Wait for newer keys, if a token names one that is unknown; see :meth:`SigningKeys.newer`."""
        if names_unknown_key(token, self.keys.current):
            await self.keys.newer()

    def claim(self, token: str) -> Claim:
        """What a token claims its bearer to be. Each look at it checks all of it: the provider withdraws keys, too."""
        return partial(self._identity, token)

    def _claims(self, token: str) -> Mapping[str, Any]:
        """The claims of a token whose signature the current keys verify."""
        digest, keys = hashlib.sha256(token.encode()).digest(), self.keys.current
        by_keys, claims = self._verified.get(digest, _NEVER)
        if by_keys is keys:
            return claims
        try:
            claims = verify(token, keys, issuer=self._provider.issuer, audience=self._provider.audience)
        except InvalidToken:
            raise Unauthenticated from None
        while len(self._verified) >= _MAX_VERIFIED:
            del self._verified[next(iter(self._verified))]
        self._verified[digest] = keys, claims
        return claims

    def _identity(self, token: str) -> Identity:
        claims = self._claims(token)
        identity = self._entry_of(claims["iss"], claims["sub"]) or identity_of(claims, self._provider.galleries_claim)
        expires = expiry_of(claims)
        if identity is None or not claims["sub"] or self._now() >= expires:
            raise Unauthenticated
        return replace(identity, expires=expires if identity.expires is None else min(expires, identity.expires))
