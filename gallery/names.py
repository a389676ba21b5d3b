"""The rules for ids and names of galleries, subjects and templates.

Texts are checked in the form in which they are kept, Unicode normal form NFC: it can be longer or shorter than what was
sent. Lengths count code points.

A name may have any character that people write, in any script: blanks of every width, joiners, marks of direction,
emoji, and characters of a newer Unicode than Python's. A name must not have what changes the text around it in a log or
on a terminal, and what is no character.
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
_REFUSED = {
    "control characters": r"\x00-\x1f\x7f-\x9f",
    "line or paragraph separators": r"\u2028\u2029",
    # An embedding, override or isolate that is not closed reorders the text after the name (Unicode TR 36, 3.2).
    "embeddings, overrides or isolates of direction": r"\u202a-\u202e\u2066-\u2069",
    "surrogates": r"\ud800-\udfff",
    "noncharacters": r"\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF)),
}
_KINDS = {kind: re.compile(f"[{characters}]") for kind, characters in _REFUSED.items()}
_ANY_REFUSED = re.compile(f"[{''.join(_REFUSED.values())}]")

_DIRECTION_MARKS = "\u061c\u200e\u200f"
_JOINERS = "\u200c\u200d"
# Blanks, and what has no shape of its own: Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties.txt.
_BLANK = (
    r"\s\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0"
    r"\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_ONLY_BLANK = re.compile(f"[{_BLANK}{_JOINERS}{_DIRECTION_MARKS}]+")
_OUTER_BLANK = re.compile(rf"[\s\u00ad\u200b\u2060\u2800\u3164\ufeff\uffa0{_JOINERS}]")
_VIRAMA = 9
"""The combining class of a virama. A joiner after one changes its shape, also at the end of a word, as in Malayalam."""


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
        InvalidName: it is empty, longer than :data:`MAX_ID`, has characters that are refused or only invisible ones, or
            begins or ends with a blank.
    """
    if not value:
        raise InvalidName("is missing")
    normal = _normalized(value, MAX_ID)
    # There, a blank or a joiner only makes two ids that look the same.
    if _OUTER_BLANK.match(normal) or _ends_blank(normal):
        raise InvalidName("must not begin or end with a blank or a joiner" + shown(normal))
    return normal


def display_name(value: str) -> str:
    """Check a name for people, and return it in Unicode normal form NFC; it may be empty.

    Raises:
        InvalidName: it is longer than :data:`MAX_NAME`, or has characters that are refused or only invisible ones.
    """
    return _normalized(value, MAX_NAME)


def shown(value: str) -> str:
    """Return the end of a message that quotes the invalid value, shortened if it is long."""
    return f"; is {value[:40]!r}{'...' if len(value) > 40 else ''}"


def without_refused(value: str) -> str:
    """Return the value without the characters that no name may have."""
    return _ANY_REFUSED.sub("", value)


def is_storable(text: str) -> bool:
    """Tell whether every store can be asked for a text: it has neither lone surrogates nor a NUL."""
    return not re.search("[\x00\ud800-\udfff]", text)


def _normalized(value: str, max_length: int) -> str:
    if len(value) > _MOST_DECOMPOSED * max_length:
        raise InvalidName(f"must be at most {max_length} characters, is {len(value)}")
    # NFC neither makes nor removes what is refused, so that the message shows what was sent.
    if _ANY_REFUSED.search(value):
        kinds = " or ".join(kind for kind, pattern in _KINDS.items() if pattern.search(value))
        raise InvalidName(f"must not have {kinds}" + shown(value))
    normal = unicodedata.normalize("NFC", value)
    if len(normal) > max_length:
        raise InvalidName(f"must be at most {max_length} characters, is {len(normal)} in Unicode normal form NFC")
    if _ONLY_BLANK.fullmatch(normal):
        raise InvalidName("must have a visible character" + shown(value))
    return normal


def _ends_blank(value: str) -> bool:
    if not _OUTER_BLANK.match(value, len(value) - 1):
        return False
    return value[-1] not in _JOINERS or unicodedata.combining(value[-2:-1] or " ") != _VIRAMA
