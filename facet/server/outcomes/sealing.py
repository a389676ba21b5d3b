"""Answers as short sealed texts: only a server of the same store can make or read them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import struct
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gallery.records.identifications import Decision
from gallery.records.outcomes import NONCE_BYTES, GivenAnswer
from gallery.times import from_microseconds, to_microseconds

MOST_CHARACTERS = 2048
"""Longer than any id, whose longest parts are the ids of a subject and of a camera."""

_VERSION = b"\1"
_PERIOD = timedelta(days=32)
_PERIODS_BACK = 12
"""Expired ids of about this many periods are told from forged ones."""
_BLOCK = 16
"""Contents are filled up to a multiple of this, so that an id tells little about the lengths of its parts."""
_TAG_BYTES = 16
_FIXED = struct.Struct(">Bqffff")
_MATCH, _HAS_SIMILARITY, _HAS_MARGIN, _HAS_REVIEW = 1, 2, 4, 8
_END = b"\0"


class CannotOpenAnswer(Exception):
    """A text is not the id of an answer of this gallery: it is another text, another gallery's, forged, or very old."""


class AnswerSeal:
    """Seals and opens the answers of one gallery.

    An id is a version byte, a random nonce of 96 bits and the answer, encrypted and authenticated by AES-256-GCM, as
    base64url without padding. The key is HMAC-SHA-256 of the period of 32 days under the gallery's key: NIST SP 800-38D
    allows 2^32 random nonces under one key, which is more than 1,500 answers a second.

    Args:
        key: the gallery's key, 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self.key = key
        self._cipher: tuple[int, AESGCM] = (-1, AESGCM(key))

    def seal(self, answer: GivenAnswer) -> str:
        """Return the id of an answer; it has the answer's nonce."""
        microseconds = to_microseconds(answer.time)
        period = _period(microseconds)
        if self._cipher[0] != period:
            self._cipher = period, self._of(period)
        sealed = self._cipher[1].encrypt(answer.nonce, _packed(answer, microseconds), _VERSION)
        return base64.urlsafe_b64encode(_VERSION + answer.nonce + sealed).rstrip(b"=").decode()

    def open(self, answer_id: str, now: datetime) -> GivenAnswer:
        """Return the answer of an id.

        Args:
            answer_id: the id.
            now: the time now; ids of the period after it are opened, too, because the clocks of servers differ.

        Raises:
            CannotOpenAnswer: it is no id of this gallery.
        """
        if len(answer_id) > MOST_CHARACTERS:
            raise CannotOpenAnswer
        try:
            content = base64.b64decode(answer_id + "=" * (-len(answer_id) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise CannotOpenAnswer from error
        nonce, sealed = content[1 : 1 + NONCE_BYTES], content[1 + NONCE_BYTES :]
        if content[:1] != _VERSION or len(sealed) < _TAG_BYTES + _FIXED.size:
            raise CannotOpenAnswer
        newest = _period(to_microseconds(now)) + 1
        for period in range(newest, newest - 2 - _PERIODS_BACK, -1):
            try:
                return _unpacked(self._of(period).decrypt(nonce, sealed, _VERSION), nonce)
            except InvalidTag:
                continue
        raise CannotOpenAnswer

    def _of(self, period: int) -> AESGCM:
        return AESGCM(hmac.digest(self.key, b"facet answers %d" % period, hashlib.sha256))


def new_nonce() -> bytes:
    """Return random bytes that no other answer has."""
    return os.urandom(NONCE_BYTES)


def _period(microseconds: int) -> int:
    return microseconds // (_PERIOD // timedelta(microseconds=1))


def _packed(answer: GivenAnswer, microseconds: int) -> bytes:
    flags = (
        (answer.decision is Decision.MATCH) * _MATCH
        | (answer.similarity is not None) * _HAS_SIMILARITY
        | (answer.margin is not None) * _HAS_MARGIN
        | (answer.review_share is not None) * _HAS_REVIEW
    )
    content = (
        _FIXED.pack(
            flags,
            microseconds,
            answer.similarity or 0.0,
            answer.margin or 0.0,
            answer.threshold,
            answer.review_share or 0.0,
        )
        + answer.subject_id.encode()
        + _END
        + answer.source.encode()
        + _END
        + answer.contract.encode()
        + _END
    )
    return content + bytes(-len(content) % _BLOCK)


def _unpacked(content: bytes, nonce: bytes) -> GivenAnswer:
    flags, microseconds, similarity, margin, threshold, share = _FIXED.unpack_from(content)
    subject, source, rest = content[_FIXED.size :].split(_END, 2)
    contract = rest.split(_END, 1)[0]  # empty in the ids of versions that did not tell it
    return GivenAnswer(
        nonce,
        from_microseconds(microseconds),
        Decision.MATCH if flags & _MATCH else Decision.UNKNOWN,
        subject.decode(),
        similarity if flags & _HAS_SIMILARITY else None,
        margin if flags & _HAS_MARGIN else None,
        threshold,
        source.decode(),
        share if flags & _HAS_REVIEW else None,
        contract.decode(),
    )
