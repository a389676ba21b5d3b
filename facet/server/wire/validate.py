"""Checks the fields of requests before any work is done. A violation raises :class:`InvalidField`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sized
from typing import TYPE_CHECKING

from facet.server.errors import InvalidField
from gallery import names
from gallery.names import MAX_NAME
from gallery.records.galleries import MAX_MEAN_OF_BEST

if TYPE_CHECKING:
    from google.protobuf.field_mask_pb2 import FieldMask
    from google.protobuf.timestamp_pb2 import Timestamp

MAX_PAGE = 1000
DEFAULT_PAGE = 100
MAX_TOP_K = 100
DEFAULT_TOP_K = 5
MAX_PATHS = 16
MAX_CLASSES = 1000
MAX_DETECTION_INTERVAL = 100
MIN_FPIR = 1e-9
"""Minimum target FPIR of a calibration; the maximum is :data:`gallery.calibration.thresholds.MAX_TARGET_FPIR`."""
MAX_TEMPLATES = 1 << 40
MIN_SCORE = 0.001
"""Below this score, detectors return every location."""


_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999, the range of google.protobuf.Timestamp."""
_LAST_MOMENT = math.nextafter(_LAST_SECOND + 1, 0)
"""The sum of seconds and nanoseconds would be rounded up into the year 10000."""


def gallery_id(value: str, field: str = "gallery_id") -> str:
    """Check the id of a gallery."""
    return _named(names.gallery_id, value, field)


def subject_id(value: str, field: str = "subject_id") -> str:
    """Check the id of a subject; returns it in Unicode normal form NFC."""
    return _named(names.identifier, value, field)


def template_id(value: str) -> str:
    """Check the id of a template."""
    return _named(names.identifier, value, "template_id")


def change_id(value: str) -> str:
    """Check the id of a change."""
    return _named(names.identifier, value, "change_id")


def contract(value: str, field: str) -> str:
    """Check the form of an embedding contract, which may be another server's."""
    return _named(names.identifier, value, field)


def caller_id(value: str, field: str) -> str:
    """Check an optional id that the caller chose for a request, an item or a camera."""
    return _named(names.identifier, value, field) if value else ""


def display_name(value: str, field: str = "display_name") -> str:
    """Check an optional display name; returns it in Unicode normal form NFC."""
    return _named(names.display_name, value, field)


def similarity(value: float, field: str = "threshold") -> float:
    """Check a cosine similarity."""
    if not -1 <= value <= 1:
        raise InvalidField(field, f"must be a cosine in [-1, 1], is {value}")
    return value


def mean_of_best(value: int, field: str = "mean_of_best") -> int:
    """Check the number of templates whose mean similarity is that of a subject."""
    if not 1 <= value <= MAX_MEAN_OF_BEST:
        raise InvalidField(field, f"must be 1 to {MAX_MEAN_OF_BEST}, is {value}")
    return value


def min_score(value: float, field: str = "min_score") -> float:
    """Check a minimum detection score; returns at least :data:`MIN_SCORE`."""
    if not 0 < value <= 1:
        raise InvalidField(field, f"must be in (0, 1], is {value}")
    return max(value, MIN_SCORE)


def top_k(value: int | None) -> int:
    """Check the maximum number of candidates; the default is :data:`DEFAULT_TOP_K`."""
    if value is None:
        return DEFAULT_TOP_K
    if not 1 <= value <= MAX_TOP_K:
        raise InvalidField("top_k", f"must be 1 to {MAX_TOP_K}, is {value}")
    return value


def detection_interval(value: int | None, field: str) -> int:
    """Check N, if detection runs every N frames; the default is 1."""
    if value is None:
        return 1
    if not 1 <= value <= MAX_DETECTION_INTERVAL:
        raise InvalidField(field, f"must be 1 to {MAX_DETECTION_INTERVAL}, is {value}")
    return value


def moment(value: Timestamp, field: str) -> float:
    """Check a time; returns seconds since 1970."""
    if not _FIRST_SECOND <= value.seconds <= _LAST_SECOND or not 0 <= value.nanos < 1_000_000_000:
        raise InvalidField(field, "must be of the years 1 to 9999, with 0 to 999999999 nanoseconds")
    return min(value.seconds + value.nanos / 1e9, _LAST_MOMENT)


def page_size(value: int) -> int:
    """Check the size of a page; 0 means :data:`DEFAULT_PAGE`."""
    if not 0 <= value <= MAX_PAGE:
        raise InvalidField("page_size", f"must be 1 to {MAX_PAGE}, or 0 for {DEFAULT_PAGE}, is {value}")
    return value or DEFAULT_PAGE


def update_mask(mask: FieldMask, allowed: frozenset[str]) -> frozenset[str]:
    """Check which fields an update changes."""
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
    """Check the length of a list."""
    if len(values) > most:
        raise InvalidField(field, f"must have at most {most} entries, has {len(values)}")


def box(x1: float, y1: float, x2: float, y2: float, field: str) -> tuple[float, float, float, float]:
    """Check that a box is finite and has an area."""
    if not all(map(math.isfinite, (x1, y1, x2, y2))) or x2 <= x1 or y2 <= y1:
        raise InvalidField(field, f"must be finite with x1 < x2 and y1 < y2, is ({x1}, {y1}, {x2}, {y2})")
    return x1, y1, x2, y2


def _named(rule: Callable[[str], str], value: str, field: str) -> str:
    try:
        return rule(value)
    except names.InvalidName as error:
        raise InvalidField(field, str(error)) from None
