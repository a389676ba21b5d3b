"""What a request's fields must be like; checked before any work is done."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sized
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf.field_mask_pb2 import FieldMask

MAX_ID = 128
MAX_NAME = 256
MAX_PAGE = 1000
DEFAULT_PAGE = 100
MAX_TOP_K = 100
DEFAULT_TOP_K = 5
MAX_PATHS = 16
MAX_CLASSES = 1000

_GALLERY_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
# Scripts such as Persian and Hindi need the (non-)joiner inside names.
_JOINERS = "\u200c\u200d"
_WITHOUT_JOINERS = str.maketrans("", "", _JOINERS)
# Printable are no other blanks; a joiner at an end joins nothing, and makes two ids that look the same.
_BLANKS = " " + _JOINERS


class InvalidField(Exception):
    """A field of a request is missing or out of range.

    Attributes:
        field: its path in the request.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def gallery_id(value: str, field: str = "gallery_id") -> str:
    """A gallery's id."""
    if not _GALLERY_ID.fullmatch(value):
        raise InvalidField(
            field, "must be 1 to 63 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit" + _shown(value)
        )
    return value


def subject_id(value: str, field: str = "subject_id") -> str:
    """A subject's id, in Unicode's normal form NFC."""
    return _identifier(value, field)


def template_id(value: str) -> str:
    """A template's id."""
    return _identifier(value, "template_id")


def contract(value: str, field: str) -> str:
    """An embedding contract, this server's or another's."""
    return _identifier(value, field)


def caller_id(value: str, field: str) -> str:
    """An id that the caller chose for a request or an item, or none."""
    return _identifier(value, field) if value else ""


def display_name(value: str, field: str = "display_name") -> str:
    """A name for people, in Unicode's normal form NFC; may be empty."""
    _need_printable(value, field, MAX_NAME)
    return unicodedata.normalize("NFC", value)


def similarity(value: float, field: str = "threshold") -> float:
    """A cosine."""
    if not -1 <= value <= 1:
        raise InvalidField(field, f"must be a cosine in [-1, 1], is {value}")
    return value


def score(value: float, field: str) -> float:
    """A detector's score."""
    if not 0 < value <= 1:
        raise InvalidField(field, f"must be in (0, 1], is {value}")
    return value


def top_k(value: int | None) -> int:
    """How many subjects to name."""
    if value is None:
        return DEFAULT_TOP_K
    if not 1 <= value <= MAX_TOP_K:
        raise InvalidField("top_k", f"must be 1 to {MAX_TOP_K}, is {value}")
    return value


def page_size(value: int) -> int:
    """How long a page is."""
    if not 0 <= value <= MAX_PAGE:
        raise InvalidField("page_size", f"must be 1 to {MAX_PAGE}, or 0 for {DEFAULT_PAGE}, is {value}")
    return value or DEFAULT_PAGE


def update_mask(mask: FieldMask, allowed: frozenset[str]) -> frozenset[str]:
    """The fields that an update changes."""
    at_most(mask.paths, MAX_PATHS, "update_mask")
    paths = frozenset(mask.paths)
    if not paths:
        raise InvalidField("update_mask", f"must name what to change: {', '.join(sorted(allowed))}")
    if unknown := paths - allowed:
        raise InvalidField(
            "update_mask",
            f"{', '.join(map(repr, sorted(unknown)))[:MAX_NAME]} cannot be changed, only {', '.join(sorted(allowed))}",
        )
    return paths


def at_most(values: Sized, most: int, field: str) -> None:
    """A list that is short enough to be looked at."""
    if len(values) > most:
        raise InvalidField(field, f"must have at most {most} entries, has {len(values)}")


def box(x1: float, y1: float, x2: float, y2: float, field: str) -> tuple[float, float, float, float]:
    """A rectangle with an area."""
    if not all(map(math.isfinite, (x1, y1, x2, y2))) or x2 <= x1 or y2 <= y1:
        raise InvalidField(field, f"must be finite with x1 < x2 and y1 < y2, is ({x1}, {y1}, {x2}, {y2})")
    return x1, y1, x2, y2


def _identifier(value: str, field: str) -> str:
    if not value:
        raise InvalidField(field, "is missing")
    _need_printable(value, field, MAX_ID)
    if value != value.strip(_BLANKS):
        raise InvalidField(field, "must not begin or end with a blank or a joiner" + _shown(value))
    normal = unicodedata.normalize("NFC", value)
    if len(normal) > MAX_ID:
        raise InvalidField(field, f"must be at most {MAX_ID} characters, is {len(normal)}")
    return normal


def _need_printable(value: str, field: str, longest: int) -> None:
    if len(value) > longest:
        raise InvalidField(field, f"must be at most {longest} characters, is {len(value)}")
    if not value.translate(_WITHOUT_JOINERS).isprintable():
        raise InvalidField(field, "must not have control or other unprintable characters" + _shown(value))


def _shown(value: str) -> str:
    return f"; is {value[:40]!r}{'...' if len(value) > 40 else ''}"
