"""Checks of the lines of an exported gallery, column by column; an error names the line and the field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gallery import names
from gallery.embeddings import has_unit_length
from gallery.errors import InvalidImport
from gallery.records.consents import ConsentBasis
from gallery.times import EARLIEST, LATEST, to_microseconds
from gallery.transfer.manifest import Manifest
from gallery.transfer.parquet.schema import (
    CONSENT_COLUMNS,
    EMBEDDING,
    OTHER_EMBEDDING,
    PNG_SIGNATURE,
    TEMPLATE_COLUMNS,
)

_SHA256 = "^[0-9a-f]{64}$"
_SHA256_OR_EMPTY = "^([0-9a-f]{64})?$"

_COMPARED = ["subject_id", "display_name", "subject_create_time", "subject_update_time", "template_id"]
"""The columns in which a line is compared with the line before."""
_COMPARED_TERMS = [*CONSENT_COLUMNS, "subject_expire_time"]

_ONLY_WITH_TEMPLATE = "must be set if and only if there is a template"

_Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class EmbeddedLines:
    """The embeddings of lines by one model.

    Attributes:
        has_embedding: which lines have one, shape ``(n,)``.
        embeddings: of those lines, float32, shape ``(embeddings, dimension)``, unit length.
    """

    has_embedding: _Mask
    embeddings: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CheckedLines:
    """Lines that passed all checks.

    Attributes:
        batch: their columns.
        embedded: their embeddings under the contract that searches.
        other_embedded: those under the other contract of a migration.
    """

    batch: pa.RecordBatch
    embedded: EmbeddedLines
    other_embedded: EmbeddedLines


class LineChecker:
    """Checks and counts lines in the order of the file.

    Args:
        manifest: the file's manifest.

    Attributes:
        lines: the number of lines checked.
        subjects: the number of subjects in them.
        templates: the number of templates in them.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._dimensions = {EMBEDDING: manifest.dimension, OTHER_EMBEDDING: manifest.other_dimension}
        self._has_terms = manifest.has_terms
        self._require_consent = manifest.policy.require_consent
        self._compared = [*_COMPARED, *(_COMPARED_TERMS if manifest.has_terms else ())]
        self._template_ids: set[str] = set()
        self._last: pa.RecordBatch | None = None
        self.lines = 0
        self.subjects = 0
        self.templates = 0

    def check(self, batch: pa.RecordBatch) -> CheckedLines:
        """Check the next lines.

        Args:
            batch: at least one line, with the columns of :func:`gallery.transfer.parquet.schema.schema`.

        Raises:
            InvalidImport: names the first line with an invalid field, for the first field that has such a line.
        """
        self._check_encoding(batch)
        has_template = np.asarray(batch["template_id"].is_valid())
        for name in TEMPLATE_COLUMNS:
            self._refuse(
                np.asarray(batch[name].is_valid()) != has_template,
                name,
                _ONLY_WITH_TEMPLATE,
            )
        is_new = self._check_order(batch, has_template)
        self._check_subjects(batch, is_new)
        self._check_templates(batch, has_template)
        embedded, other_embedded = self._check_embeddings(batch, has_template)
        self._check_crops(batch, has_template)
        if self._has_terms:
            self._check_terms(batch, is_new, has_template)
        self.lines += len(batch)
        self.subjects += int(is_new.sum())
        self.templates += int(has_template.sum())
        self._last = batch.select(self._compared).slice(len(batch) - 1)
        return CheckedLines(batch, embedded, other_embedded)

    def _check_encoding(self, batch: pa.RecordBatch) -> None:
        try:
            batch.validate(full=True)
        except pa.ArrowInvalid:
            for name in batch.schema.names:
                for row in range(len(batch)):
                    try:
                        batch[name].slice(row, 1).validate(full=True)
                    except pa.ArrowInvalid as error:
                        raise self._invalid(row, name, "is not UTF-8") from error
            raise InvalidImport(f"the file is damaged after line {self.lines}") from None

    def _check_order(self, batch: pa.RecordBatch, has_template: _Mask) -> _Mask:
        """Check the order by subject id, then template id; return which lines begin another subject."""
        before = self._shifted(batch)
        same_subject = pc.equal(before["subject_id"], batch["subject_id"])
        subject_follows = pc.less(before["subject_id"], batch["subject_id"])
        if self._last is None:
            first = pa.array(np.arange(len(batch)) == 0)
            same_subject = pc.and_not(same_subject, first)
            subject_follows = pc.or_(subject_follows, first)
        is_same = np.asarray(same_subject)
        self._refuse(
            ~np.asarray(pc.or_(same_subject, subject_follows)), "subject_id", "must not be less than in the line before"
        )
        alone = is_same & ~(has_template & np.asarray(before["template_id"].is_valid()))
        self._refuse(alone, "template_id", "must not be null if the subject has several lines")
        template_follows = pc.less(before["template_id"], batch["template_id"]).fill_null(True)
        self._refuse(is_same & ~np.asarray(template_follows), "template_id", "must be greater than in the line before")
        for name in self._compared:
            if name in ("subject_id", "template_id"):
                continue
            both_null = pc.and_(before[name].is_null(), batch[name].is_null())
            equal = pc.or_(pc.equal(before[name], batch[name]).fill_null(False), both_null)
            differs = is_same & ~np.asarray(equal)
            self._refuse(differs, name, "must be the same in all lines of the subject")
        return ~is_same

    def _shifted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the line before each line; for the very first line itself."""
        compared = batch.select(self._compared)
        last = compared.slice(0, 1) if self._last is None else self._last
        shifted = pa.Table.from_batches([last, compared.slice(0, len(batch) - 1)])
        return shifted.combine_chunks().to_batches()[0]

    def _check_subjects(self, batch: pa.RecordBatch, is_new: _Mask) -> None:
        rows = np.flatnonzero(is_new)
        self._check_names(batch, "subject_id", names.identifier, rows)
        self._check_names(batch, "display_name", names.display_name, rows)
        self._check_times(batch, "subject_create_time", rows)
        self._check_times(batch, "subject_update_time", rows)

    def _check_templates(self, batch: pa.RecordBatch, has_template: _Mask) -> None:
        rows = np.flatnonzero(has_template)
        self._check_names(batch, "template_id", names.template_id, rows)
        self._check_unique(batch, rows)
        self._check_pattern(batch, "picture_sha256", _SHA256, "must be 64 hexadecimal digits in lower case")
        for name in ("face_model", "embedding_model"):
            self._check_pattern(batch, name, _SHA256_OR_EMPTY, "must be 64 hexadecimal digits in lower case, or empty")
        x1, y1, x2, y2 = (_numbers(batch, name) for name in ("x1", "y1", "x2", "y2"))
        for name, low, high in (("x2", x1, x2), ("y2", y1, y2)):
            is_valid = np.isfinite(low) & np.isfinite(high) & (low < high)
            self._refuse_rows(rows, ~is_valid, name, "the box must be finite with x1 < x2 and y1 < y2")
        quality = _numbers(batch, "quality")
        self._refuse_rows(rows, ~((quality >= 0) & (quality <= 1)), "quality", "must be in [0, 1]")
        self._check_times(batch, "create_time", rows)

    def _check_embeddings(self, batch: pa.RecordBatch, has_template: _Mask) -> tuple[EmbeddedLines, EmbeddedLines]:
        """Check the embeddings, and return them under the contract that searches, and under the other one."""
        own, other = (self._embedded(batch, name) for name in (EMBEDDING, OTHER_EMBEDDING))
        for name, each in ((EMBEDDING, own), (OTHER_EMBEDDING, other)):
            self._refuse(each.has_embedding & ~has_template, name, "must be null without a template")
            is_unit = has_unit_length(each.embeddings)
            rows = np.flatnonzero(each.has_embedding)
            self._refuse_rows(rows, ~is_unit, name, "must be finite and of unit length")
        is_missing = has_template & ~own.has_embedding & ~other.has_embedding
        is_migrating = self._dimensions[OTHER_EMBEDDING] is not None
        reason = "must be set, or other_embedding, if there is a template" if is_migrating else _ONLY_WITH_TEMPLATE
        self._refuse(is_missing, EMBEDDING, reason)
        return own, other

    def _embedded(self, batch: pa.RecordBatch, name: str) -> EmbeddedLines:
        dimension = self._dimensions[name]
        if dimension is None:
            return EmbeddedLines(np.zeros(len(batch), np.bool_), np.empty((0, 0), np.float32))
        column = batch[name]
        values = np.asarray(column.drop_null().flatten())
        return EmbeddedLines(np.asarray(column.is_valid()), values.reshape(-1, dimension))

    def _check_crops(self, batch: pa.RecordBatch, has_template: _Mask) -> None:
        crops = batch["crop"]
        has_crop = np.asarray(crops.is_valid())
        self._refuse(has_crop & ~has_template, "crop", "must be null without a template")
        if not has_crop.any():
            return
        is_png = np.asarray(pc.starts_with(crops, PNG_SIGNATURE).fill_null(True))
        self._refuse(~is_png, "crop", "must be a PNG")

    def _check_terms(self, batch: pa.RecordBatch, is_new: _Mask, has_template: _Mask) -> None:
        bases = batch["consent_basis"]
        has_consent = np.asarray(bases.is_valid())
        known = pa.array([each.value for each in ConsentBasis])
        self._refuse(~np.asarray(pc.or_(bases.is_null(), pc.is_in(bases, known))), "consent_basis", "is no known basis")
        if self._require_consent:
            self._refuse(~has_consent, "consent_basis", "must not be null: the gallery requires a consent")
        for name in CONSENT_COLUMNS:
            differs = np.asarray(batch[name].is_valid()) != has_consent
            self._refuse(differs, name, "must be set if and only if there is a consent")
        rows = np.flatnonzero(is_new & has_consent)
        self._check_names(batch, "consent_reference", names.display_name, rows)
        self._check_times(batch, "consent_time", rows)
        self._check_times(
            batch, "subject_expire_time", np.flatnonzero(np.asarray(batch["subject_expire_time"].is_valid()))
        )
        has_expiry = np.asarray(batch["expire_time"].is_valid())
        self._refuse(has_expiry & ~has_template, "expire_time", "must be null without a template")
        self._check_times(batch, "expire_time", np.flatnonzero(has_expiry))

    def _check_names(
        self, batch: pa.RecordBatch, name: str, rule: Callable[[str], str], rows: NDArray[np.intp]
    ) -> None:
        for row, value in zip(rows.tolist(), batch[name].take(pa.array(rows)).to_pylist(), strict=True):
            try:
                normal = rule(value)
            except names.InvalidName as error:
                raise self._invalid(row, name, str(error)) from error
            if normal != value:
                raise self._invalid(row, name, "must be in Unicode normal form NFC")

    def _check_unique(self, batch: pa.RecordBatch, rows: NDArray[np.intp]) -> None:
        for row, template_id in zip(rows.tolist(), batch["template_id"].drop_null().to_pylist(), strict=True):
            if template_id in self._template_ids:
                raise self._invalid(row, "template_id", "must not be in two lines")
            self._template_ids.add(template_id)

    def _check_pattern(self, batch: pa.RecordBatch, name: str, pattern: str, reason: str) -> None:
        is_valid = pc.match_substring_regex(batch[name], pattern).fill_null(True)
        self._refuse(~np.asarray(is_valid), name, reason)

    def _check_times(self, batch: pa.RecordBatch, name: str, rows: NDArray[np.intp]) -> None:
        microseconds = np.asarray(batch[name].cast(pa.int64()).take(pa.array(rows)))
        is_valid = (microseconds >= to_microseconds(EARLIEST)) & (microseconds <= to_microseconds(LATEST))
        self._refuse_rows(rows, ~is_valid, name, "must be in the years 1 to 9999")

    def _refuse_rows(self, rows: NDArray[np.intp], is_invalid: _Mask, name: str, reason: str) -> None:
        if is_invalid.any():
            raise self._invalid(int(rows[int(is_invalid.argmax())]), name, reason)

    def _refuse(self, is_invalid: _Mask, name: str, reason: str) -> None:
        if is_invalid.any():
            raise self._invalid(int(is_invalid.argmax()), name, reason)

    def _invalid(self, row: int, name: str, reason: str) -> InvalidImport:
        return InvalidImport(reason, line=self.lines + row + 1, field=name)


def _numbers(batch: pa.RecordBatch, name: str) -> NDArray[np.float64]:
    return np.asarray(batch[name].drop_null())
