"""The rules for ids and names of galleries, subjects and templates.

Texts are checked in the form in which they are kept, Unicode normal form NFC: it can be longer or shorter than what was
sent. Lengths count code points.
"""

from __future__ import annotations

import re
import unicodedata

MAX_ID = 128
MAX_NAME = 256

_MOST_DECOMPOSED = 4
"""Code points that one code point of NFC stands for, at the most."""

_GALLERY_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_TEMPLATE_ID = re.compile(r"[!-~]{1,36}")
# Scripts such as Persian and Hindi need the (non-)joiner inside names.
_JOINERS = "\u200c\u200d"
_WITHOUT_JOINERS = str.maketrans("", "", _JOINERS)
# A space is the only printable blank. A joiner at either end joins nothing, and makes two ids that look the same.
_BLANKS = " " + _JOINERS


class InvalidName(ValueError):
    """An id or a name breaks a rule; the message says which."""


def gallery_id(value: str) -> str:
    """Check a gallery id, and return it.

    Raises:
        InvalidName: it is invalid.
    """
    if not _GALLERY_ID.fullmatch(value):
        raise InvalidName("must be 1 to 63 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit" + shown(value))
    return value


def template_id(value: str) -> str:
    """Check a template id, and return it: a UUID, or another text of at most that length.

    Raises:
        InvalidName: it is invalid.
    """
    if not _TEMPLATE_ID.fullmatch(value):
        raise InvalidName("must be 1 to 36 ASCII characters without blanks" + shown(value))
    return value


def identifier(value: str) -> str:
    """Check an id of a subject or one that a caller chose, and return it in Unicode normal form NFC.

    Raises:
        InvalidName: it is empty, longer than :data:`MAX_ID`, not printable, or begins or ends with a blank.
    """
    if not value:
        raise InvalidName("is missing")
    normal = _normalized(value, MAX_ID)
    if normal != normal.strip(_BLANKS):
        raise InvalidName("must not begin or end with a blank or a joiner" + shown(normal))
    return normal


def display_name(value: str) -> str:
    """Check a name for people, and return it in Unicode normal form NFC; it may be empty.

    Raises:
        InvalidName: it is longer than :data:`MAX_NAME`, or not printable.
    """
    return _normalized(value, MAX_NAME)


def shown(value: str) -> str:
    """Return the end of a message that quotes the invalid value, shortened if it is long."""
    return f"; is {value[:40]!r}{'...' if len(value) > 40 else ''}"


def _normalized(value: str, max_length: int) -> str:
    if len(value) > _MOST_DECOMPOSED * max_length:
        raise InvalidName(f"must be at most {max_length} characters, is {len(value)}")
    # What is not printable stays so under NFC, but is shown as it was sent.
    _check_printable(value)
    normal = unicodedata.normalize("NFC", value)
    if len(normal) > max_length:
        raise InvalidName(f"must be at most {max_length} characters, is {len(normal)} in Unicode normal form NFC")
    _check_printable(normal)
    return normal


def _check_printable(value: str) -> None:
    if not value.translate(_WITHOUT_JOINERS).isprintable():
        raise InvalidName("must not have control or other unprintable characters" + shown(value))
