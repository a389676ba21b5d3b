"""What a request's fields must be like; checked before any work is done."""

from __future__ import annotations

import math
from collections.abc import Callable, Sized
from typing import TYPE_CHECKING

from facet.server.errors import InvalidField
from gallery import names
from gallery.names import MAX_NAME
from gallery.records.records import MAX_MEAN_OF_BEST

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
"""Of a calibration; the highest is :data:`gallery.calibration.thresholds.MOST_PASSED`."""
MAX_TEMPLATES = 1 << 40
LEAST_SCORE = 0.001
"""Below it detectors answer every place that they look at."""


_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999, as google.protobuf.Timestamp has them."""


def gallery_id(value: str, field: str = "gallery_id") -> str:
    """A gallery's id."""
    return _named(names.gallery_id, value, field)


def subject_id(value: str, field: str = "subject_id") -> str:
    """A subject's id, in Unicode's normal form NFC."""
    return _named(names.identifier, value, field)


def template_id(value: str) -> str:
    """A template's id."""
    return _named(names.identifier, value, "template_id")


def contract(value: str, field: str) -> str:
    """An embedding contract, this server's or another's."""
    return _named(names.identifier, value, field)


def caller_id(value: str, field: str) -> str:
    """An id that the caller chose for a request or an item, or none."""
    return _named(names.identifier, value, field) if value else ""


def display_name(value: str, field: str = "display_name") -> str:
    """A name for people, in Unicode's normal form NFC; may be empty."""
    return _named(names.display_name, value, field)


def similarity(value: float, field: str = "threshold") -> float:
    """A cosine."""
    if not -1 <= value <= 1:
        raise InvalidField(field, f"must be a cosine in [-1, 1], is {value}")
    return value


def mean_of_best(value: int, field: str = "mean_of_best") -> int:
    """Over how many of a subject's templates its similarity is the mean."""
    if not 1 <= value <= MAX_MEAN_OF_BEST:
        raise InvalidField(field, f"must be 1 to {MAX_MEAN_OF_BEST}, is {value}")
    return value


def min_score(value: float, field: str = "min_score") -> float:
    """The least score of a detector's findings; :data:`LEAST_SCORE` where it is lower."""
    if not 0 < value <= 1:
        raise InvalidField(field, f"must be in (0, 1], is {value}")
    return max(value, LEAST_SCORE)


def top_k(value: int | None) -> int:
    """How many subjects to name."""
    if value is None:
        return DEFAULT_TOP_K
    if not 1 <= value <= MAX_TOP_K:
        raise InvalidField("top_k", f"must be 1 to {MAX_TOP_K}, is {value}")
    return value


def detection_interval(value: int | None, field: str) -> int:
    """Objects and faces are looked for in every so manyth frame."""
    if value is None:
        return 1
    if not 1 <= value <= MAX_DETECTION_INTERVAL:
        raise InvalidField(field, f"must be 1 to {MAX_DETECTION_INTERVAL}, is {value}")
    return value


def moment(value: Timestamp, field: str) -> float:
    """Seconds since 1970."""
    if not _FIRST_SECOND <= value.seconds <= _LAST_SECOND or not 0 <= value.nanos < 1_000_000_000:
        raise InvalidField(field, "must be of the years 1 to 9999, with 0 to 999999999 nanoseconds")
    return value.seconds + value.nanos / 1e9


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


def _named(rule: Callable[[str], str], value: str, field: str) -> str:
    try:
        return rule(value)
    except names.InvalidName as error:
        raise InvalidField(field, str(error)) from None
