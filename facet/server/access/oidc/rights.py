"""What the claims of a verified token permit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from facet.server.access.callers.callers_file import gallery_pattern
from facet.server.access.identity import SCOPES, Identity, PermittedGalleries
from facet.server.access.oidc.tokens import expiry_of

_PREFIX = "facet:"
_MAX_GALLERIES = 1000
_SCOPE_CLAIMS = ("scope", "scp")
"""RFC 8693, section 4.2, and what Microsoft Entra ID and Okta call the same."""


def identity_of(claims: Mapping[str, Any], galleries_claim: str) -> Identity | None:
    """The identity of a caller who has no entry in the callers file; ``None`` if the token gives no right to anything.

    Args:
        claims: the claims. ``scope`` holds words such as ``facet:recognize``.
        galleries_claim: the name of the claim with ids of galleries, and prefixes such as ``site-a-*``. Without it, the
            caller may use no gallery.
    """
    given = {word for claim in _SCOPE_CLAIMS for word in _words(claims.get(claim))}
    scopes = frozenset(scope for scope in SCOPES if _PREFIX + scope in given)
    if not scopes:
        return None
    return Identity(
        id=f"oidc:{_pseudonym(claims['iss'], claims['sub'])}",
        scopes=scopes,
        galleries=PermittedGalleries.of(filter(_names_galleries, _words(claims.get(galleries_claim)))),
        expires=expiry_of(claims),
    )


def _words(claim: Any) -> Iterable[str]:
    """The words of a claim: a list of texts, or one text with spaces between them."""
    words = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    return [word for word in words[:_MAX_GALLERIES] if isinstance(word, str) and word]


def _names_galleries(word: str) -> bool:
    try:
        gallery_pattern(word)
    except ValueError:
        return False
    return True


def _pseudonym(issuer: str, subject: str) -> str:
    """Stands for a subject in logs, where it must not be read: it may be a name or an address."""
    return hashlib.sha256(f"{issuer}\0{subject}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
