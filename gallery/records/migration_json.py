"""A migration as JSON, for a store's row and for the manifest of an exported gallery."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from gallery import names
from gallery.records import calibration_json
from gallery.records.calibration_json import InvalidCalibration
from gallery.records.migrations import Migration, MigrationEnd, ModelVersion, ThresholdSettings
from gallery.records.thresholds import ThresholdSource, rounded_threshold

MAX_TEXT = calibration_json.MAX_TEXT + (1 << 13)
"""Maximum length of a migration as text, in bytes."""

_MAX_DIMENSION = 1 << 14


class InvalidMigration(Exception):
    """The JSON is not a migration in this format."""


def to_text(migration: Migration | None) -> str:
    """Write one line of JSON, at most :data:`MAX_TEXT` bytes in UTF-8; an empty string for ``None``."""
    return "" if migration is None else json.dumps(to_plain(migration), ensure_ascii=False, allow_nan=False)


def from_text(text: str) -> Migration | None:
    """Read the output of :func:`to_text`.

    Raises:
        InvalidMigration: the text is something else.
    """
    if not text:
        return None
    try:
        return from_plain(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InvalidMigration("it is not JSON") from error


def to_plain(migration: Migration) -> dict[str, Any]:
    """Convert a migration to JSON values."""
    calibration = migration.other.calibration
    return {
        "migration_id": migration.migration_id,
        "source": asdict(migration.source),
        "target": asdict(migration.target),
        "threshold": migration.other.threshold,
        "threshold_source": migration.other.source.value,
        "calibration": None if calibration is None else calibration_json.to_plain(calibration),
        "start_time": migration.start_time.isoformat(timespec="microseconds"),
        "switch_time": migration.switch_time and migration.switch_time.isoformat(timespec="microseconds"),
        "shadow_share": migration.shadow_share,
        "end": migration.end.value,
    }


def from_plain(plain: Any) -> Migration:
    """Read the output of :func:`to_plain`; unknown keys are ignored.

    Raises:
        InvalidMigration: a value is missing, has the wrong type or is out of range.
    """
    try:
        calibration = plain["calibration"]
        return Migration(
            names.identifier(_text(plain["migration_id"])),
            _model(plain["source"]),
            _model(plain["target"]),
            ThresholdSettings(
                rounded_threshold(_number(plain["threshold"], -1, 1)),
                ThresholdSource(plain["threshold_source"]),
                None if calibration is None else calibration_json.from_plain(calibration),
            ),
            _time(plain["start_time"]),
            None if plain["switch_time"] is None else _time(plain["switch_time"]),
            _number(plain["shadow_share"], 0, 1),
            MigrationEnd(plain["end"]),
        )
    except InvalidCalibration as error:
        raise InvalidMigration(f"its calibration: {error}") from error
    except (LookupError, TypeError, ValueError, OverflowError, names.InvalidName) as error:
        raise InvalidMigration(f"a value is missing or invalid: {error}") from error


def _model(plain: Any) -> ModelVersion:
    dimension = plain["dimension"]
    if type(dimension) is not int or not 1 <= dimension <= _MAX_DIMENSION:
        raise ValueError("dimension")
    contract = names.identifier(_text(plain["contract"]))
    return ModelVersion(contract, names.display_name(_text(plain["name"])), _text(plain["sha256"])[:64], dimension)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is expected")
    return value


def _number(value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("a number is expected")
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError("a number is out of range")
    return float(value)


def _time(value: Any) -> datetime:
    return datetime.fromisoformat(_text(value)).astimezone(UTC)
