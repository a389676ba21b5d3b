"""Which values of rows are sealed, and where.

A sealed text says so itself. A sealed template has :data:`SEALED_TEXT` as its picture's digest; the digest is then
sealed together with the embedding. Its crop and its second embedding are sealed if the template is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gallery.encryption.keyring import Keyring
from gallery.encryption.values import (
    SEALED_TEXT,
    CannotOpen,
    DataKey,
    bytes_of_text,
    open_text,
    open_value,
    open_values,
    place,
)

_SHA256_BYTES = 32
_IS_SHA256, _IS_TEXT = b"\1", b"\0"
"""The last byte of a sealed template: what is between the embedding and this byte."""

GALLERY_NAME, CALIBRATION = "galleries.display_name", "galleries.calibration"
ANSWER_KEY, OUTCOME_SOURCE = "galleries.answer_key", "outcomes.source"
SUBJECT_NAME, CONSENT_REFERENCE = "subjects.display_name", "subjects.consent_reference"
REQUEST_DIGEST = "requests.digest"
CHANGE = "changes.text"
MIGRATION = "galleries.migration"
_EMBEDDING, _CROP = "templates.embedding", "crops.png"
_SECOND = "second_embeddings.embedding"


class Opener:
    """Opens values of all galleries; those that are not sealed stay as they are.

    Args:
        keyring: the data keys; ``None`` if nothing is sealed.
    """

    def __init__(self, keyring: Keyring | None = None) -> None:
        self._keyring = keyring

    def text(self, value: str, column: str, *ids: str) -> str:
        """Open a text of a column, in the row with these ids.

        Raises:
            CannotOpen: it cannot be opened.
        """
        return open_text(value, self._keys, place(column, *ids)) if value.startswith(SEALED_TEXT) else value

    def template(self, embedding: bytes, picture: str, *ids: str) -> tuple[bytes, str]:
        """Open the embedding and the picture's digest of a template; ``ids`` are its subject's and its own.

        Raises:
            CannotOpen: they cannot be opened.
        """
        if picture != SEALED_TEXT:
            return embedding, picture
        return _split(open_value(embedding, self._keys, place(_EMBEDDING, *ids)))

    def second_embedding(self, sealed: bytes, *ids: str) -> bytes:
        """Open the second embedding of a sealed template; ``ids`` are its subject's and its own.

        Raises:
            CannotOpen: it cannot be opened.
        """
        return open_value(sealed, self._keys, place(_SECOND, *ids))

    def crop(self, png: bytes | None, picture: str, *ids: str) -> bytes | None:
        """Open the crop of a template with this digest as it is stored; ``ids`` are its subject's and its own.

        Raises:
            CannotOpen: it cannot be opened.
        """
        if png is None or picture != SEALED_TEXT:
            return png
        return open_value(png, self._keys, place(_CROP, *ids))

    def embeddings(
        self, blobs: Sequence[bytes], are_sealed: Sequence[bool], subjects: Sequence[str], templates: Sequence[str]
    ) -> Sequence[bytes]:
        """Open the embeddings of many templates.

        Raises:
            CannotOpen: one cannot be opened.
        """
        if not all(are_sealed):
            return [
                self.template(blob, SEALED_TEXT if is_sealed else "", *ids)[0]
                for blob, is_sealed, *ids in zip(blobs, are_sealed, subjects, templates, strict=True)
            ]
        ids = zip(subjects, templates, strict=True)
        places = [f"{_EMBEDDING}\0{subject}\0{template}".encode() for subject, template in ids]
        opened = open_values(blobs, self._keys, places)
        if all(each[-1:] == _IS_SHA256 for each in opened):
            return [each[: -1 - _SHA256_BYTES] for each in opened]
        return [_split(each)[0] for each in opened]

    def names(self, names: Sequence[str], subjects: Sequence[str]) -> Sequence[str]:
        """Open the names of many subjects.

        Raises:
            CannotOpen: one cannot be opened.
        """
        # Templates of one subject often follow each other.
        of_subjects = {
            subject: name for subject, name in zip(subjects, names, strict=True) if name.startswith(SEALED_TEXT)
        }
        places = [f"{SUBJECT_NAME}\0{subject}".encode() for subject in of_subjects]
        values = open_values([bytes_of_text(name) for name in of_subjects.values()], self._keys, places)
        opened = {subject: value.decode() for subject, value in zip(of_subjects, values, strict=True)}
        return [opened.get(subject, name) for subject, name in zip(subjects, names, strict=True)]

    @property
    def _keys(self) -> Mapping[bytes, DataKey]:
        return {} if self._keyring is None else self._keyring.keys


class Sealer:
    """Seals values of one gallery before they are stored.

    Args:
        uid: the gallery's id in the key file; empty if it is not encrypted.
        key: its newest data key; ``None`` to leave values as they are.

    Attributes:
        uid: see above.
        key: see above.
        key_id: the id of the data key, in hexadecimal digits; empty if there is none.
    """

    def __init__(self, uid: str = "", key: DataKey | None = None) -> None:
        self.uid = uid
        self.key_id = "" if key is None else key.key_id.hex()
        self.key = key

    def text(self, value: str, column: str, *ids: str) -> str:
        """Seal a text of a column, in the row with these ids; an empty one stays empty."""
        return value if self.key is None else self.key.seal_text(value, place(column, *ids))

    def template(self, embedding: bytes, picture: str, *ids: str) -> tuple[bytes, str]:
        """Seal the embedding and the picture's digest of a template; ``ids`` are its subject's and its own."""
        if self.key is None:
            return embedding, picture
        return self.key.seal(_joined(embedding, picture), place(_EMBEDDING, *ids)), SEALED_TEXT

    def second_embedding(self, embedding: bytes, *ids: str) -> bytes:
        """Seal the second embedding of a template; ``ids`` are its subject's and its own."""
        return embedding if self.key is None else self.key.seal(embedding, place(_SECOND, *ids))

    def crop(self, png: bytes, *ids: str) -> bytes:
        """Seal a crop; ``ids`` are those of its subject and its template."""
        return png if self.key is None else self.key.seal(png, place(_CROP, *ids))


def _joined(embedding: bytes, picture: str) -> bytes:
    """Put an embedding and a digest together; a SHA-256 takes half the space of its hexadecimal digits."""
    try:
        digest = bytes.fromhex(picture)
    except ValueError:
        digest = b""
    if len(digest) == _SHA256_BYTES and digest.hex() == picture:
        return embedding + digest + _IS_SHA256
    text = picture.encode()
    return embedding + text + len(text).to_bytes(4, "big") + _IS_TEXT


def _split(joined: bytes) -> tuple[bytes, str]:
    end = len(joined) - 1
    if joined[end:] == _IS_SHA256:
        start = end - _SHA256_BYTES
        return joined[:start], joined[start:end].hex()
    end -= 4
    start = end - int.from_bytes(joined[end : end + 4], "big")
    if start < 0:
        raise CannotOpen
    return joined[:start], joined[start:end].decode()
