"""What an exported file says of the gallery in it, as JSON that any language can read."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gallery import names
from gallery.calibration import serialization as calibration_json
from gallery.calibration.serialization import InvalidCalibration
from gallery.errors import InvalidImport
from gallery.records.calibrations import Calibration
from gallery.records.records import MAX_MEAN_OF_BEST

FORMAT = "facet-gallery"
VERSION = 1

MAX_BYTES = (1 << 16) + calibration_json.MAX_TEXT
"""Bytes of a manifest that is read."""

_MAX_DIMENSION = 1 << 14


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an exported file says of itself.

    Attributes:
        contract: the embedding contract of the gallery.
        dimension: how many values its embeddings have.
        gallery_id: the gallery's id.
        display_name: its name for people.
        threshold: see :class:`gallery.records.records.Gallery`.
        mean_of_best: see :class:`gallery.records.records.Gallery`.
        export_time: when the export was begun, ISO 8601 in UTC.
        lines: how many lines the file has.
        subjects: how many subjects are in them.
        templates: how many templates are in them.
        contents_sha256: hexadecimal digest of all values; see :class:`gallery.transfer.parquet_format.ContentsDigest`.
        calibration: see :class:`gallery.records.records.Gallery`; files that were made before there were any have none.
    """

    contract: str
    dimension: int
    gallery_id: str
    display_name: str
    threshold: float
    mean_of_best: int
    export_time: str
    lines: int
    subjects: int
    templates: int
    contents_sha256: str
    calibration: Calibration | None = None


def to_json(manifest: Manifest) -> bytes:
    """The manifest as it stands in a file, UTF-8."""
    plain = {"format": FORMAT, "version": VERSION} | {name: getattr(manifest, name) for name in _RULES}
    if manifest.calibration is not None:
        plain["calibration"] = calibration_json.to_plain(manifest.calibration)
    return json.dumps(plain, ensure_ascii=False, allow_nan=False).encode()


def from_json(text: bytes) -> Manifest:
    """Read a manifest; fields that this version does not know are passed over.

    Raises:
        InvalidImport: it is no manifest, one of another format or a newer version, or has a bad field.
    """
    if len(text) > MAX_BYTES:
        raise InvalidImport(f"the manifest has more than {MAX_BYTES} bytes")
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidImport("the manifest is not JSON") from error
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        raise InvalidImport(f"the manifest is not of the format {FORMAT!r}")
    version = plain.get("version")
    if version != VERSION:
        raise InvalidImport(
            f"the file is of version {str(version)[:20]}; this server reads version {VERSION}", field="version"
        )
    values = {name: _checked(plain, name, *rule) for name, rule in _RULES.items()}
    return Manifest(**values, calibration=_calibration(plain.get("calibration")))


def _checked(plain: dict[str, Any], name: str, kind: type, is_good: Callable[[Any], bool]) -> Any:
    value = plain.get(name)
    if kind is float and value in (-1, 0, 1):  # JSON of another hand may write them so
        value = float(value)
    if type(value) is not kind:
        raise InvalidImport(f"must be of type {kind.__name__}", field=f"manifest.{name}")
    try:
        good = is_good(value)
    except names.InvalidName as error:
        raise InvalidImport(str(error), field=f"manifest.{name}") from error
    if not good:
        raise InvalidImport(f"is out of range{names.shown(str(value))}", field=f"manifest.{name}")
    return value


def _calibration(plain: Any) -> Calibration | None:
    try:
        return None if plain is None else calibration_json.from_plain(plain)
    except InvalidCalibration as error:
        raise InvalidImport(str(error), field="manifest.calibration") from error


def _is_count(value: int) -> bool:
    return 0 <= value < 1 << 63


_RULES: dict[str, tuple[type, Callable[[Any], bool]]] = {
    "contract": (str, lambda value: names.identifier(value) == value),
    "dimension": (int, lambda value: 1 <= value <= _MAX_DIMENSION),
    "gallery_id": (str, lambda value: names.gallery_id(value) == value),
    "display_name": (str, lambda value: names.display_name(value) == value),
    "threshold": (float, lambda value: math.isfinite(value) and -1 <= value <= 1),
    "mean_of_best": (int, lambda value: 1 <= value <= MAX_MEAN_OF_BEST),
    "export_time": (str, lambda value: len(value) <= names.MAX_ID),
    "lines": (int, _is_count),
    "subjects": (int, _is_count),
    "templates": (int, _is_count),
    "contents_sha256": (str, lambda value: len(value) == 64),
}
