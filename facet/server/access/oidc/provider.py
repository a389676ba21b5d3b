"""What an operator says of an identity provider."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provider:
    """An identity provider whose tokens the server accepts.

    Attributes:
        issuer: what ``iss`` of a token must be.
        audience: what ``aud`` must be or contain.
        keys: https or http URL of a JWK set, or the path of a file with one.
        galleries_claim: the claim with ids of galleries, and prefixes such as ``site-a-*``.
    """

    issuer: str
    audience: str
    keys: str
    galleries_claim: str
