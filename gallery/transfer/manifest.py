"""The manifest of an exported file: what it says about its gallery, as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gallery import names
from gallery.errors import InvalidImport
from gallery.records import calibration_json, migration_json
from gallery.records.calibration_json import InvalidCalibration
from gallery.records.calibrations import Calibration
from gallery.records.distinct_pairs import MAX_DISTINCT_PAIRS
from gallery.records.galleries import MAX_MEAN_OF_BEST
from gallery.records.migration_json import InvalidMigration
from gallery.records.migrations import Migration
from gallery.records.policies import MAX_RETENTION, MIN_RETENTION, NO_POLICY, GalleryPolicy
from gallery.records.thresholds import ThresholdSource
from gallery.times import microseconds_of

FORMAT = "facet-gallery"
VERSION = 1
WITH_TERMS = 2
"""The version of files with consents, expiries and a policy. Galleries without any are written in version 1, which
earlier versions of this program read."""
WITH_PAIRS = 3
"""The version of files with pairs of subjects that were told apart; it has everything of :data:`WITH_TERMS`, too.
Galleries without any are written in an earlier version, which earlier versions of this program read."""
WITH_MIGRATION = 4
"""The version of files with the embeddings of both models of a migration; it has everything of :data:`WITH_PAIRS`, too.
Galleries that are not being migrated are written in an earlier version, which earlier versions of this program read."""
_VERSIONS = (VERSION, WITH_TERMS, WITH_PAIRS, WITH_MIGRATION)

_PAIR_BYTES = 32
MAX_BYTES = (1 << 16) + calibration_json.MAX_TEXT + migration_json.MAX_TEXT + _PAIR_BYTES * MAX_DISTINCT_PAIRS
"""Maximum length of a manifest that is read."""

_MAX_DIMENSION = 1 << 14
_RETENTIONS = ("subject_retention_microseconds", "template_retention_microseconds")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an exported file says about itself.

    Attributes:
        contract: the embedding contract of the gallery.
        dimension: values of an embedding.
        gallery_id: the gallery's id.
        display_name: its name for people.
        threshold: see :class:`gallery.records.galleries.Gallery`.
        mean_of_best: see :class:`gallery.records.galleries.Gallery`.
        export_time: when the export began, ISO 8601 in UTC.
        lines: the number of lines.
        subjects: the number of subjects in them.
        templates: the number of templates in them.
        contents_sha256: hexadecimal digest of all values; see :class:`gallery.transfer.parquet.schema.ContentsDigest`.
        calibration: see :class:`gallery.records.galleries.Gallery`; ``None`` in files of versions that had none.
        threshold_source: see :class:`gallery.records.galleries.Gallery`; ``None`` in files of versions that had none.
        version: of the file's format: :data:`VERSION`, :data:`WITH_TERMS`, :data:`WITH_PAIRS` or
            :data:`WITH_MIGRATION`.
        policy: see :class:`gallery.records.galleries.Gallery`; none in version 1.
        distinct_pairs: subjects that were told apart, by their places among the subjects of the file, from 0 on; both
            the pairs and the places of a pair ascend. None before version 3.
        migration: the gallery's migration, which does not end; ``None`` before version 4, and only then.
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
    threshold_source: ThresholdSource | None = None
    version: int = VERSION
    policy: GalleryPolicy = NO_POLICY
    distinct_pairs: tuple[tuple[int, int], ...] = ()
    migration: Migration | None = None

    @property
    def has_terms(self) -> bool:
        """Whether the lines have the columns of consents and expiries."""
        return self.version >= WITH_TERMS

    @property
    def other_dimension(self) -> int | None:
        """Values of an embedding of the model that does not search; ``None`` without a migration."""
        return None if self.migration is None else self.migration.other_model(self.contract).dimension


def to_json(manifest: Manifest) -> bytes:
    """Write a manifest as it is in a file, UTF-8."""
    plain = {"format": FORMAT, "version": manifest.version} | {name: getattr(manifest, name) for name in _RULES}
    if manifest.calibration is not None:
        plain["calibration"] = calibration_json.to_plain(manifest.calibration)
    if manifest.threshold_source is not None:
        plain["threshold_source"] = manifest.threshold_source.value
    if manifest.has_terms:
        plain["policy"] = _plain_policy(manifest.policy)
    if manifest.version >= WITH_PAIRS:
        plain["distinct_pairs"] = manifest.distinct_pairs
    if manifest.migration is not None:
        plain["migration"] = migration_json.to_plain(manifest.migration)
    return json.dumps(plain, ensure_ascii=False, allow_nan=False).encode()


def from_json(text: bytes) -> Manifest:
    """Read a manifest; unknown fields are ignored.

    Raises:
        InvalidImport: it is not a manifest, has another format or a newer version, or has an invalid field.
    """
    if len(text) > MAX_BYTES:
        raise InvalidImport(f"the manifest has more than {MAX_BYTES} bytes")
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidImport("the manifest is not JSON") from error
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        raise InvalidImport(f"the format of the manifest is not {FORMAT!r}")
    version = plain.get("version")
    if type(version) is not int or version not in _VERSIONS:
        said = f"the file has version {str(version)[:20]}; this server reads versions {VERSION} to {WITH_MIGRATION}"
        if type(version) is int and version > WITH_MIGRATION:
            said += ": a newer Facet has exported it, update this server to import it"
        raise InvalidImport(said, field="version")
    checked = {name: _checked(plain, name, *rule) for name, rule in _RULES.items()}
    return Manifest(
        **checked,
        calibration=_calibration(plain.get("calibration")),
        threshold_source=_threshold_source(plain.get("threshold_source")),
        version=version,
        policy=NO_POLICY if version < WITH_TERMS else _policy(plain.get("policy")),
        distinct_pairs=() if version < WITH_PAIRS else _pairs(plain.get("distinct_pairs"), checked["subjects"]),
        migration=None
        if version < WITH_MIGRATION
        else _migration(plain.get("migration"), checked["contract"], checked["dimension"]),
    )


def _checked(plain: dict[str, Any], name: str, kind: type, is_valid: Callable[[Any], bool]) -> Any:
    value = plain.get(name)
    if kind is float and value in (-1, 0, 1):  # other JSON writers may write these without a decimal point
        value = float(value)
    if type(value) is not kind:
        raise InvalidImport(f"must be of type {kind.__name__}", field=f"manifest.{name}")
    try:
        valid = is_valid(value)
    except names.InvalidName as error:
        raise InvalidImport(str(error), field=f"manifest.{name}") from error
    if not valid:
        raise InvalidImport(f"is out of range{names.shown(str(value))}", field=f"manifest.{name}")
    return value


def _calibration(plain: Any) -> Calibration | None:
    try:
        return None if plain is None else calibration_json.from_plain(plain)
    except InvalidCalibration as error:
        raise InvalidImport(str(error), field="manifest.calibration") from error


def _threshold_source(plain: Any) -> ThresholdSource | None:
    if plain is None:
        return None
    try:
        return ThresholdSource(plain)
    except ValueError as error:
        known = ", ".join(source.value for source in ThresholdSource)
        raise InvalidImport(f"must be one of {known}", field="manifest.threshold_source") from error


def _plain_policy(policy: GalleryPolicy) -> dict[str, Any]:
    retentions = (policy.subject_retention, policy.template_retention)
    values = [None if each is None else microseconds_of(each) for each in retentions]
    return {"require_consent": policy.require_consent} | dict(zip(_RETENTIONS, values, strict=True))


def _policy(plain: Any) -> GalleryPolicy:
    if not isinstance(plain, dict) or type(plain.get("require_consent")) is not bool:
        raise InvalidImport("must be an object with require_consent", field="manifest.policy")
    return GalleryPolicy(plain["require_consent"], *(_retention(plain, name) for name in _RETENTIONS))


def _retention(plain: dict[str, Any], name: str) -> timedelta | None:
    value = plain.get(name)
    if value is None:
        return None
    least, most = microseconds_of(MIN_RETENTION), microseconds_of(MAX_RETENTION)
    if type(value) is not int or not least <= value <= most:
        raise InvalidImport(f"must be {least} to {most} microseconds, or null", field=f"manifest.policy.{name}")
    return timedelta(microseconds=value)


def _pairs(plain: Any, subjects: int) -> tuple[tuple[int, int], ...]:
    if not isinstance(plain, list) or len(plain) > MAX_DISTINCT_PAIRS:
        raise InvalidImport(f"must be a list of at most {MAX_DISTINCT_PAIRS} pairs", field="manifest.distinct_pairs")
    pairs: list[tuple[int, int]] = []
    for each in plain:
        is_pair = isinstance(each, list) and len(each) == 2 and all(type(place) is int for place in each)
        if not (is_pair and 0 <= each[0] < each[1] < subjects) or (pairs and tuple(each) <= pairs[-1]):
            raise InvalidImport(
                "must be pairs of the places of two subjects of the file, all in ascending order",
                field="manifest.distinct_pairs",
            )
        pairs.append((each[0], each[1]))
    return tuple(pairs)


def _migration(plain: Any, contract: str, dimension: int) -> Migration:
    try:
        migration = migration_json.from_plain(plain)
    except InvalidMigration as error:
        raise InvalidImport(str(error), field="manifest.migration") from error
    models = {each.contract: each.dimension for each in (migration.source, migration.target)}
    if len(models) != 2 or models.get(contract) != dimension:
        raise InvalidImport(
            "must be between two contracts, one of them that of the manifest with its dimension",
            field="manifest.migration",
        )
    if migration.is_ending:
        raise InvalidImport("must not be ending", field="manifest.migration")
    return migration


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
