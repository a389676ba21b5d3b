"""The lines of an exported gallery, checked column by column; where one is bad, it is looked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gallery import names
from gallery.embeddings import of_unit_length
from gallery.errors import InvalidImport
from gallery.transfer.parquet_format import OF_A_TEMPLATE, PNG_SIGNATURE

_SHA256 = "^[0-9a-f]{64}$"
_SHA256_OR_NONE = "^([0-9a-f]{64})?$"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)

_COMPARED = ["subject_id", "display_name", "subject_create_time", "subject_update_time", "template_id"]
"""The columns in which a line is held against the one before."""

_Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines that were checked.

    Attributes:
        batch: their columns.
        has_template: which of them have a template, shape ``(n,)``.
        embeddings: of those that have, float32, shape ``(templates, dimension)``, of unit length.
    """

    batch: pa.RecordBatch
    has_template: _Mask
    embeddings: NDArray[np.float32]


class LinesChecker:
    """Checks lines in their order, and counts them.

    Args:
        dimension: values of an embedding.

    Attributes:
        lines: how many were checked.
        subjects: how many subjects these are of.
        templates: how many templates are in them.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._template_ids: set[str] = set()
        self._last: pa.RecordBatch | None = None
        self.lines = 0
        self.subjects = 0
        self.templates = 0

    def check(self, batch: pa.RecordBatch) -> Lines:
        """Check the lines that follow those before.

        Args:
            batch: at least one line, with the columns of :func:`gallery.transfer.parquet_format.schema`.

        Raises:
            InvalidImport: with the first line whose field is bad, for the first field that has such a line.
        """
        self._need_readable(batch)
        has_template = np.asarray(batch["template_id"].is_valid())
        for name in OF_A_TEMPLATE:
            self._refuse(
                np.asarray(batch[name].is_valid()) != has_template, name, "must be there with a template, and only then"
            )
        is_new = self._check_order(batch, has_template)
        self._check_subjects(batch, is_new)
        embeddings = self._check_templates(batch, has_template)
        self._check_crops(batch, has_template)
        self.lines += len(batch)
        self.subjects += int(is_new.sum())
        self.templates += len(embeddings)
        self._last = batch.select(_COMPARED).slice(len(batch) - 1)
        return Lines(batch, has_template, embeddings)

    def _need_readable(self, batch: pa.RecordBatch) -> None:
        try:
            batch.validate(full=True)
        except pa.ArrowInvalid:
            for name in batch.schema.names:
                for row in range(len(batch)):
                    try:
                        batch[name].slice(row, 1).validate(full=True)
                    except pa.ArrowInvalid as error:
                        raise self._invalid(row, name, "is not UTF-8") from error
            raise InvalidImport(f"the file is damaged behind line {self.lines}") from None

    def _check_order(self, batch: pa.RecordBatch, has_template: _Mask) -> _Mask:
        """By subject id, then template id; which lines begin another subject."""
        before = self._shifted(batch)
        same_subject = pc.equal(before["subject_id"], batch["subject_id"])
        subject_follows = pc.less(before["subject_id"], batch["subject_id"])
        if self._last is None:
            first = pa.array(np.arange(len(batch)) == 0)
            same_subject = pc.and_not(same_subject, first)
            subject_follows = pc.or_(subject_follows, first)
        is_same = np.asarray(same_subject)
        self._refuse(
            ~np.asarray(pc.or_(same_subject, subject_follows)),
            "subject_id",
            "must not come before that of the line before",
        )
        alone = is_same & ~(has_template & np.asarray(before["template_id"].is_valid()))
        self._refuse(alone, "template_id", "must not be null in one of several lines of a subject")
        template_follows = pc.less(before["template_id"], batch["template_id"]).fill_null(True)
        self._refuse(is_same & ~np.asarray(template_follows), "template_id", "must come after that of the line before")
        for name in ("display_name", "subject_create_time", "subject_update_time"):
            differs = is_same & ~np.asarray(pc.equal(before[name], batch[name]))
            self._refuse(differs, name, "must be that of the subject's line before")
        return ~is_same

    def _shifted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """For every line the one before it; for the very first itself."""
        compared = batch.select(_COMPARED)
        last = compared.slice(0, 1) if self._last is None else self._last
        shifted = pa.Table.from_batches([last, compared.slice(0, len(batch) - 1)])
        return shifted.combine_chunks().to_batches()[0]

    def _check_subjects(self, batch: pa.RecordBatch, is_new: _Mask) -> None:
        rows = np.flatnonzero(is_new)
        self._need_names(batch, "subject_id", names.identifier, rows)
        self._need_names(batch, "display_name", names.display_name, rows)
        self._need_times(batch, "subject_create_time", rows)
        self._need_times(batch, "subject_update_time", rows)

    def _check_templates(self, batch: pa.RecordBatch, has_template: _Mask) -> NDArray[np.float32]:
        rows = np.flatnonzero(has_template)
        self._need_names(batch, "template_id", names.template_id, rows)
        self._need_unique(batch, rows)
        self._need_pattern(batch, "picture_sha256", _SHA256, "must be 64 hexadecimal digits in lower case")
        for name in ("face_model", "embedding_model"):
            self._need_pattern(batch, name, _SHA256_OR_NONE, "must be 64 hexadecimal digits in lower case, or empty")
        x1, y1, x2, y2 = (_numbers(batch, name) for name in ("x1", "y1", "x2", "y2"))
        for name, low, high in (("x2", x1, x2), ("y2", y1, y2)):
            is_good = np.isfinite(low) & np.isfinite(high) & (low < high)
            self._refuse_of(rows, ~is_good, name, "the box must be finite with x1 < x2 and y1 < y2")
        quality = _numbers(batch, "quality")
        self._refuse_of(rows, ~((quality >= 0) & (quality <= 1)), "quality", "must be in [0, 1]")
        self._need_times(batch, "create_time", rows)
        values = np.asarray(batch["embedding"].drop_null().flatten())
        embeddings: NDArray[np.float32] = values.reshape(-1, self._dimension)
        self._refuse_of(rows, ~of_unit_length(embeddings), "embedding", "must be finite and of unit length")
        return embeddings

    def _check_crops(self, batch: pa.RecordBatch, has_template: _Mask) -> None:
        crops = batch["crop"]
        is_there = np.asarray(crops.is_valid())
        self._refuse(is_there & ~has_template, "crop", "must be null without a template")
        if not is_there.any():
            return
        is_png = np.asarray(pc.starts_with(crops, PNG_SIGNATURE).fill_null(True))
        self._refuse(~is_png, "crop", "must be a PNG")

    def _need_names(self, batch: pa.RecordBatch, name: str, rule: Callable[[str], str], rows: NDArray[np.intp]) -> None:
        for row, value in zip(rows.tolist(), batch[name].take(pa.array(rows)).to_pylist(), strict=True):
            try:
                normal = rule(value)
            except names.InvalidName as error:
                raise self._invalid(row, name, str(error)) from error
            if normal != value:
                raise self._invalid(row, name, "must be in Unicode's normal form NFC")

    def _need_unique(self, batch: pa.RecordBatch, rows: NDArray[np.intp]) -> None:
        for row, template_id in zip(rows.tolist(), batch["template_id"].drop_null().to_pylist(), strict=True):
            if template_id in self._template_ids:
                raise self._invalid(row, "template_id", "must be of one line alone")
            self._template_ids.add(template_id)

    def _need_pattern(self, batch: pa.RecordBatch, name: str, pattern: str, reason: str) -> None:
        is_good = pc.match_substring_regex(batch[name], pattern).fill_null(True)
        self._refuse(~np.asarray(is_good), name, reason)

    def _need_times(self, batch: pa.RecordBatch, name: str, rows: NDArray[np.intp]) -> None:
        microseconds = np.asarray(batch[name].cast(pa.int64()).take(pa.array(rows)))
        is_good = (microseconds >= 0) & (microseconds <= _LATEST)
        self._refuse_of(rows, ~is_good, name, "must be between the years 1970 and 9999")

    def _refuse_of(self, rows: NDArray[np.intp], is_bad: _Mask, name: str, reason: str) -> None:
        if is_bad.any():
            raise self._invalid(int(rows[int(is_bad.argmax())]), name, reason)

    def _refuse(self, is_bad: _Mask, name: str, reason: str) -> None:
        if is_bad.any():
            raise self._invalid(int(is_bad.argmax()), name, reason)

    def _invalid(self, row: int, name: str, reason: str) -> InvalidImport:
        return InvalidImport(reason, line=self.lines + row + 1, field=name)


def _numbers(batch: pa.RecordBatch, name: str) -> NDArray[np.float64]:
    return np.asarray(batch[name].drop_null())
