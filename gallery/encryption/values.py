"""Values of a gallery, sealed by AES-256-GCM under a data key of the gallery."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_ID_BYTES = 8
_VERSION = b"\1"
_NONCE_BYTES = 12
_NONCE_AT = len(_VERSION) + KEY_ID_BYTES
_SEALED_AT = _NONCE_AT + _NONCE_BYTES
_TAG_BYTES = 16

SEALED_TEXT = "\1"
"""How a sealed text begins, and no other: texts of people have no control characters, see :mod:`gallery.names`."""


class CannotOpen(Exception):
    """A sealed value was changed, was moved from another place, or was sealed under a key that is not there."""

    def __init__(self) -> None:
        super().__init__("a value cannot be decrypted: it was changed, or moved from another row")


class DataKey:
    """A 256-bit key that seals values of one gallery.

    A sealed value is a version byte, the id of the data key, a random nonce of 96 bits, the ciphertext, and the tag of
    128 bits. Its column and the ids of its row are its associated data, so that it opens only in its own place. NIST
    SP 800-38D allows 2^32 random nonces under one key: more than a thousand million enrolments in one gallery.

    Args:
        key_id: 8 bytes that are unique in the key file.
        key: 32 bytes.
    """

    def __init__(self, key_id: bytes, key: bytes) -> None:
        self.key_id = key_id
        self.key = key
        self._header = _VERSION + key_id
        aead = AESGCM(key)
        self._encrypt = aead.encrypt
        self.decrypt: Callable[[bytes, bytes, bytes], bytes] = aead.decrypt

    def seal(self, value: bytes, place: bytes) -> bytes:
        """Encrypt a value for a place; see :func:`place`."""
        nonce = os.urandom(_NONCE_BYTES)
        return self._header + nonce + self._encrypt(nonce, value, place)

    def seal_text(self, value: str, place: bytes) -> str:
        """Encrypt a text, as base64 after :data:`SEALED_TEXT`; an empty one stays empty."""
        return SEALED_TEXT + base64.b64encode(self.seal(value.encode(), place)).decode() if value else ""


def place(column: str, *ids: str) -> bytes:
    """Return the associated data of a column and the ids of its row; these have no control characters."""
    return "\0".join((column, *ids)).encode()


def open_value(sealed: bytes, keys: Mapping[bytes, DataKey], place: bytes) -> bytes:
    """Decrypt a value.

    Args:
        sealed: the sealed value.
        keys: data keys by their ids.
        place: where it is.

    Raises:
        CannotOpen: it is not as it was sealed, it is from another place, or its key is not there.
    """
    key = keys.get(sealed[len(_VERSION) : _NONCE_AT])
    if key is None or sealed[:1] != _VERSION or len(sealed) < _SEALED_AT + _TAG_BYTES:
        raise CannotOpen
    try:
        return key.decrypt(sealed[_NONCE_AT:_SEALED_AT], sealed[_SEALED_AT:], place)
    except InvalidTag as error:
        raise CannotOpen from error


def open_values(sealed: Sequence[bytes], keys: Mapping[bytes, DataKey], places: Iterable[bytes]) -> list[bytes]:
    """Decrypt many values; several times as fast as :func:`open_value` for each.

    Raises:
        CannotOpen: see :func:`open_value`.
    """
    header, decrypt, opened = b"", None, []
    try:
        for value, where in zip(sealed, places, strict=True):
            if decrypt is None or value[:_NONCE_AT] != header:
                header = value[:_NONCE_AT]
                decrypt = keys[key_id_of(value)].decrypt if header[:1] == _VERSION else None
            if decrypt is None:
                raise CannotOpen
            opened.append(decrypt(value[_NONCE_AT:_SEALED_AT], value[_SEALED_AT:], where))
    except (InvalidTag, KeyError, ValueError) as error:
        raise CannotOpen from error
    return opened


def open_text(sealed: str, keys: Mapping[bytes, DataKey], place: bytes) -> str:
    """Decrypt a text that begins with :data:`SEALED_TEXT`.

    Raises:
        CannotOpen: see :func:`open_value`.
    """
    return open_value(bytes_of_text(sealed), keys, place).decode()


def bytes_of_text(sealed: str) -> bytes:
    """Return the sealed value of a text that begins with :data:`SEALED_TEXT`.

    Raises:
        CannotOpen: it is not base64.
    """
    try:
        return binascii.a2b_base64(sealed[len(SEALED_TEXT) :], strict_mode=True)
    except ValueError as error:
        raise CannotOpen from error


def key_id_of(sealed: bytes) -> bytes:
    """Return the id of the key that a value is sealed under."""
    return sealed[len(_VERSION) : _NONCE_AT]


def key_id_of_text(sealed: str) -> bytes:
    """Return the id of the key that a text is sealed under; empty if it is no sealed text.

    Raises:
        CannotOpen: it is not base64.
    """
    return key_id_of(bytes_of_text(sealed)) if sealed.startswith(SEALED_TEXT) else b""
