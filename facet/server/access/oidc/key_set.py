"""The public keys of an identity provider, and the algorithms that each of them may verify."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK

MAX_BYTES = 1 << 20
"""Maximum size of a key set."""
_MAX_KEYS = 256
_MIN_RSA_BITS, _MAX_RSA_BITS = 2048, 8192
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_BY_CURVE = {
    "secp256r1": frozenset({"ES256"}),
    "secp384r1": frozenset({"ES384"}),
    "secp521r1": frozenset({"ES512"}),
}
_EDWARDS = frozenset({"EdDSA"})
_ALL = _RSA.union(_EDWARDS, *_BY_CURVE.values())
"""All are asymmetric: with HS256, everybody who knows a public key could sign."""


class InvalidKeySet(ValueError):
    """A file or an answer is no JWK set, or has no key that can verify a token."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key.

    Attributes:
        kid: its id; empty if it has none.
        public: the key, of ``cryptography``.
        algorithms: the names of the signature algorithms that it may verify (RFC 7518, section 3.1). They follow from
            the key and never from a token (RFC 8725, section 3.1).
    """

    kid: str
    public: Any
    algorithms: frozenset[str]


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys that verify tokens."""

    keys: tuple[VerificationKey, ...] = ()

    def find(self, kid: str, algorithm: str) -> tuple[VerificationKey, ...]:
        """The keys that may have signed a token.

        Args:
            kid: the key id of the token; empty if it has none. Then the set must have only one key for the algorithm.
            algorithm: the algorithm that the token names.
        """
        fitting = tuple(key for key in self.keys if algorithm in key.algorithms and (not kid or key.kid == kid))
        return fitting if kid or len(fitting) == 1 else ()

    def knows(self, kid: str) -> bool:
        """Whether a key has this id."""
        return any(key.kid == kid for key in self.keys)


def parse_key_set(data: bytes) -> KeySet:
    """Read a JWK set (RFC 7517).

    Keys for encryption, symmetric and private keys, RSA keys below 2048 bits and unknown kinds are left out.

    Raises:
        InvalidKeySet: it is no JWK set, or no key is left.
    """
    if len(data) > MAX_BYTES:
        raise InvalidKeySet(f"it has more than {MAX_BYTES} bytes")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise InvalidKeySet("it is not JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("keys"), list):
        raise InvalidKeySet('it is not a JWK set: {"keys": [...]}')
    keys = tuple(key for each in found["keys"][:_MAX_KEYS] if (key := _verification_key(each)) is not None)
    if not keys:
        raise InvalidKeySet("it has no public key for signatures")
    return KeySet(keys)


def _verification_key(jwk: Any) -> VerificationKey | None:
    try:
        # A private key among public ones is a mistake: whoever has read the set can sign tokens with it.
        if jwk["kty"] not in ("RSA", "EC", "OKP") or "d" in jwk:
            return None
        if jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ["verify"]):
            return None
        kid, public = jwk.get("kid", ""), PyJWK(jwk).key
        algorithms = _algorithms(public) & ({jwk["alg"]} if "alg" in jwk else _ALL)
    except Exception:  # whatever one key breaks in the library, the others count
        return None
    return VerificationKey(kid, public, algorithms) if algorithms and isinstance(kid, str) else None


def _algorithms(public: Any) -> frozenset[str]:
    match public:
        case RSAPublicKey() if _MIN_RSA_BITS <= public.key_size <= _MAX_RSA_BITS:
            return _RSA
        case EllipticCurvePublicKey():
            return _BY_CURVE.get(public.curve.name, frozenset())
        case Ed25519PublicKey() | Ed448PublicKey():
            return _EDWARDS
        case _:
            return frozenset()
