"""What ids and names of galleries, subjects and templates must be like, wherever they come from."""

from __future__ import annotations

import re
import unicodedata

MAX_ID = 128
MAX_NAME = 256

_GALLERY_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_TEMPLATE_ID = re.compile(r"[!-~]{1,36}")
# Scripts such as Persian and Hindi need the (non-)joiner inside names.
_JOINERS = "\u200c\u200d"
_WITHOUT_JOINERS = str.maketrans("", "", _JOINERS)
# Printable are no other blanks; a joiner at an end joins nothing, and makes two ids that look the same.
_BLANKS = " " + _JOINERS


class InvalidName(ValueError):
    """An id or a name is not as it must be; the message says how."""


def gallery_id(value: str) -> str:
    """A gallery's id.

    Raises:
        InvalidName: it is none.
    """
    if not _GALLERY_ID.fullmatch(value):
        raise InvalidName("must be 1 to 63 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit" + shown(value))
    return value


def template_id(value: str) -> str:
    """A template's id: a UUID, or another text that is no longer.

    Raises:
        InvalidName: it is none.
    """
    if not _TEMPLATE_ID.fullmatch(value):
        raise InvalidName("must be 1 to 36 ASCII characters without blanks" + shown(value))
    return value


def identifier(value: str) -> str:
    """An id of a subject, or one that a caller chose, in Unicode's normal form NFC.

    Raises:
        InvalidName: it is empty, longer than :data:`MAX_ID`, not printable, or begins or ends with a blank.
    """
    if not value:
        raise InvalidName("is missing")
    _need_printable(value, MAX_ID)
    if value != value.strip(_BLANKS):
        raise InvalidName("must not begin or end with a blank or a joiner" + shown(value))
    normal = unicodedata.normalize("NFC", value)
    if len(normal) > MAX_ID:
        raise InvalidName(f"must be at most {MAX_ID} characters, is {len(normal)}")
    return normal


def display_name(value: str) -> str:
    """A name for people, in Unicode's normal form NFC; may be empty.

    Raises:
        InvalidName: it is longer than :data:`MAX_NAME`, or not printable.
    """
    _need_printable(value, MAX_NAME)
    return unicodedata.normalize("NFC", value)


def shown(value: str) -> str:
    """The end of a message, with the value that it is about, cut where it is long."""
    return f"; is {value[:40]!r}{'...' if len(value) > 40 else ''}"


def _need_printable(value: str, longest: int) -> None:
    if len(value) > longest:
        raise InvalidName(f"must be at most {longest} characters, is {len(value)}")
    if not value.translate(_WITHOUT_JOINERS).isprintable():
        raise InvalidName("must not have control or other unprintable characters" + shown(value))
