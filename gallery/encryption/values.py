"""Values of a gallery, sealed by AES-256-GCM under the gallery's data key."""

from __future__ import annotations

import base64
import binascii
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = 1
_NONCE_BYTES = 12
_HEADER_BYTES = 1 + _NONCE_BYTES
_TAG_BYTES = 16

OVERHEAD_BYTES = _HEADER_BYTES + _TAG_BYTES
"""How much longer a sealed value is."""


class CannotOpen(Exception):
    """A sealed value was changed, moved from another place, or sealed under another key."""


class GalleryCipher:
    """Seals and opens values of one gallery.

    A sealed value is a version byte, a random nonce of 96 bits, the ciphertext, and the tag of 128 bits. The row that
    it is in says which of the gallery's data keys seals it. The gallery, the column and the row are its associated
    data, so that a value opens only in its own place. NIST SP 800-38D allows 2^32 random nonces under one key: that is
    a thousand million enrolments in one gallery.

    Args:
        uid: the gallery's id in the key file.
        keys: its data keys, 256 bits each, by number from 1; the highest number seals.
    """

    def __init__(self, uid: str, keys: dict[int, bytes]) -> None:
        self.uid = uid
        self.number = max(keys)
        self._aeads = {number: AESGCM(key) for number, key in keys.items()}
        self._context = uid.encode()

    def place(self, column: str, *ids: str) -> bytes:
        """Return the associated data of a column and the ids of its row; ids have no control characters."""
        return b"\0".join((self._context, column.encode(), *(each.encode() for each in ids)))

    def seal(self, value: bytes, place: bytes) -> bytes:
        """Encrypt a value under the newest key."""
        nonce = os.urandom(_NONCE_BYTES)
        return bytes((_VERSION,)) + nonce + self._aeads[self.number].encrypt(nonce, value, place)

    def open(self, sealed: bytes, number: int, place: bytes) -> bytes:
        """Decrypt a value that was sealed under the key with a number.

        Raises:
            CannotOpen: it is not as it was sealed, is from another place, or there is no such key.
        """
        aead = self._aeads.get(number)
        if aead is None or not sealed or sealed[0] != _VERSION or len(sealed) < OVERHEAD_BYTES:
            raise CannotOpen
        try:
            return aead.decrypt(sealed[1:_HEADER_BYTES], sealed[_HEADER_BYTES:], place)
        except InvalidTag as error:
            raise CannotOpen from error

    def seal_text(self, value: str, place: bytes) -> str:
        """Encrypt a text, as base64; an empty one stays empty."""
        return base64.b64encode(self.seal(value.encode(), place)).decode() if value else ""

    def open_text(self, sealed: str, number: int, place: bytes) -> str:
        """Decrypt a text.

        Raises:
            CannotOpen: see :meth:`open`.
        """
        if not sealed:
            return ""
        try:
            return self.open(binascii.a2b_base64(sealed), number, place).decode()
        except ValueError as error:
            raise CannotOpen from error
