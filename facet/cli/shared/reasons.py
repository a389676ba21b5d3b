"""The reasons of errors about pictures, in words for people."""

from __future__ import annotations

LOW_QUALITY = {
    "FACE_TOO_SMALL": "too small",
    "FACE_TOO_BLURRED": "too blurred",
    "FACE_TOO_TURNED": "too turned",
    "FACE_TOO_NOISY": "too noisy",
    "FACE_TOO_DARK": "too dark",
    "FACE_OVEREXPOSED": "overexposed",
    "FACE_NEGATIVE": "a photographic negative",
    "FACE_OCCLUDED": "an eye or the mouth is covered",
}
"""Reasons that ``--accept-low-quality`` overrides."""
_WORDS = LOW_QUALITY | {
    "FACE_NOT_FOUND": "no face",
    "SEVERAL_FACES": "several faces",
    "LOOKS_LIKE_ANOTHER_SUBJECT": "looks like another person in the gallery",
    "LOOKS_UNLIKE_SUBJECT": "looks unlike the person's other pictures",
    "TOO_MANY_TEMPLATES": "the person has the maximum number of templates",
    "INVALID_PICTURE": "not a readable picture",
    "PICTURE_TOO_LARGE": "too large to decode",
    "PICTURE_TOO_SLOW": "takes too long to decode",
    "CANNOT_READ": "the file cannot be read",
    "INVALID_FIELD": "not a valid id or name: rename the file or folder, or use --subject",
    "NO_PICTURE": "the person has no picture that is read",
    "NO_NAME": "the file's name does not say whom it shows",
    "AMBIGUOUS_NAME": "the file's name may mean two people",
    "FILE_TOO_LARGE": "the file exceeds the server's size limit",
}


def in_words(reason: str) -> str:
    """Describe a reason; an unknown one is returned as it is."""
    return _WORDS.get(reason, reason)
