"""Keys of callers: ``facet_ID_SECRET``, of which the server keeps the id and the SHA-256 of the secret."""

from __future__ import annotations

import hashlib
import secrets

_PREFIX = "facet"
_ID_BYTES, _SECRET_BYTES = 5, 32


def new_id() -> str:
    """An id for a caller: 10 hexadecimal digits."""
    return secrets.token_hex(_ID_BYTES)


def new_secret() -> str:
    """256 random bits, as 64 hexadecimal digits, which a double click selects together with the rest of the key."""
    return secrets.token_hex(_SECRET_BYTES)


def sha256(secret: str) -> str:
    """What the server keeps of a secret. It is random, so that no slow hash is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def key_of(caller_id: str, secret: str) -> str:
    """The key of a caller."""
    return f"{_PREFIX}_{caller_id}_{secret}"


def parts_of(key: str) -> tuple[str, str]:
    """The id and the secret of a key. What is no key has the id "", which nobody has, and is itself the secret."""
    prefix, _, rest = key.partition("_")
    caller_id, _, secret = rest.partition("_")
    return (caller_id, secret) if prefix == _PREFIX and secret else ("", key)
