"""A calibration as JSON, for a store's row and for the manifest of an exported gallery."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from gallery import names
from gallery.records.calibrations import MAX_CURVE_POINTS, Calibration, CalibrationSource, CurvePoint

MAX_TEXT = 1 << 14
"""Maximum length of a calibration as text, in bytes."""

_MAX_COUNT = 1 << 62


class InvalidCalibration(Exception):
    """The JSON is not a calibration in this format."""


def to_text(calibration: Calibration | None) -> str:
    """Write one line of JSON, at most :data:`MAX_TEXT` bytes in UTF-8; an empty string for ``None``."""
    return "" if calibration is None else json.dumps(to_plain(calibration), ensure_ascii=False, allow_nan=False)


def from_text(text: str) -> Calibration | None:
    """Read the output of :func:`to_text`.

    Raises:
        InvalidCalibration: the text is something else.
    """
    if not text:
        return None
    try:
        return from_plain(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InvalidCalibration("it is not JSON") from error


def to_plain(calibration: Calibration) -> dict[str, Any]:
    """Convert a calibration to JSON values."""
    return asdict(calibration) | {
        "source": calibration.source.name.lower(),
        "create_time": calibration.create_time.isoformat(timespec="microseconds"),
    }


def from_plain(plain: Any) -> Calibration:
    """Read the output of :func:`to_plain`; unknown keys are ignored.

    Raises:
        InvalidCalibration: a value is missing, has the wrong type or is out of range.
    """
    if not isinstance(plain, dict):
        raise InvalidCalibration("it is not an object")
    values = {}
    for name, read in _READERS.items():
        try:
            values[name] = read(plain[name])
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise InvalidCalibration(f"{name} is missing or invalid") from error
    return Calibration(**values)


def _number(low: float, high: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise ValueError
        return float(value)

    return read


def _count(least: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not least <= value < _MAX_COUNT:
            raise ValueError
        return value

    return read


def _text(rule: Callable[[str], str]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str) or rule(value) != value:
            raise ValueError
        return value

    return read


def _time(value: Any) -> datetime:
    time = datetime.fromisoformat(value)
    if time.utcoffset() is None:
        raise ValueError
    return time.astimezone(UTC)


def _curve(value: Any) -> tuple[CurvePoint, ...]:
    points = tuple((_similarity(similarity), _share(share)) for similarity, share in value)
    if not 1 <= len(points) <= MAX_CURVE_POINTS:
        raise ValueError
    if any(left >= right or more <= less for (left, more), (right, less) in pairwise(points)):
        raise ValueError
    return points


_similarity = _number(-1, 1)
_share = _number(0, 1)
_open_share = _number(math.ulp(0), math.nextafter(1, 0))

_READERS: dict[str, Callable[[Any], Any]] = {
    "target_fpir": _open_share,
    "threshold": _similarity,
    "fpir": _share,
    "fpir_low": _share,
    "fpir_high": _share,
    "model": _text(names.display_name),
    "source": lambda value: CalibrationSource[str(value).upper()],
    "data_set": _text(names.display_name),
    "data_set_sha256": _text(names.identifier),
    "searches": _count(1),
    "identities": _count(1),
    "failures": _count(0),
    "templates": _count(1),
    "for_templates": _count(1),
    "contract": _text(names.identifier),
    "mean_of_best": _count(1),
    "create_time": _time,
    "curve": _curve,
}
