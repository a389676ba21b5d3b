"""Consents, expiries and policies in exported files."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gallery.errors import ExportOutdated, InvalidImport
from gallery.galleries import Galleries
from gallery.records.consents import Consent, ConsentBasis
from gallery.records.galleries import GalleryChange
from gallery.records.policies import GalleryPolicy
from gallery.records.subjects import SubjectChange
from gallery.records.templates import StoredFace
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.transfer.parquet.schema import GROUP_LINES, schema
from tests.unit.gallery.transfer.samples import (
    DIMENSION,
    START,
    exported_from,
    face_of,
    import_into,
    lines_in,
    lines_of,
    people,
    store_gallery,
    subject_of,
    with_value,
)

if TYPE_CHECKING:
    from tests.conftest import Exported

LATER = datetime.max.replace(microsecond=0, tzinfo=START.tzinfo)
EARLY, LATE = -62_135_596_800_000_001, 253_402_300_800_000_000
"""Microseconds beyond the years 1 to 9999."""
CONSENT = Consent(ConsentBasis.LEGAL_OBLIGATION, "§ 7 „Beleg“", START - timedelta(1))
POLICY = {
    "require_consent": False,
    "subject_retention_microseconds": None,
    "template_retention_microseconds": 3_000_001,
}


def with_terms() -> list[StoredFace]:
    """Make subjects with a consent, an expiry, a template that expires, and none of these."""
    agreed, expiring = subject_of("a", consent=CONSENT), subject_of("b", expire_time=LATER)
    short = face_of(4, subject_of("c"))
    assert short.template is not None
    return [
        face_of(1, agreed),
        face_of(2, agreed),
        face_of(3, expiring),
        replace(short, template=replace(short.template, expire_time=LATER)),
        StoredFace(subject_of("d", consent=CONSENT), None, None, None),
    ]


def test_consents_expiries_and_the_policy_survive_an_export(galleries: Galleries, store: SqliteStore) -> None:
    store_gallery(store, with_terms())
    kept = GalleryPolicy(subject_retention=timedelta(days=9999), template_retention=timedelta(days=9999))
    galleries.update_gallery("g", GalleryChange(policy=kept))
    copy = import_into(galleries, exported_from(galleries))
    assert copy.policy == kept
    assert lines_of(store, "copy") == lines_of(store, "g")


def test_a_gallery_without_terms_is_written_as_earlier_versions_read_it(
    galleries: Galleries, store: SqliteStore
) -> None:
    store_gallery(store, people(3))
    data = exported_from(galleries)
    assert pq.read_schema(io.BytesIO(data)).equals(schema(DIMENSION))
    assert b'"version": 1' in data


def test_the_first_consent_ends_an_export_that_has_no_column_for_it(galleries: Galleries, store: SqliteStore) -> None:
    store_gallery(store, people(GROUP_LINES))
    pieces = galleries.transfer.export_gallery("g")
    next(pieces)
    given = SubjectChange(frozenset({"consent"}), consent=CONSENT)
    galleries.update_subject("g", f"s{GROUP_LINES - 1:05}", given)
    with pytest.raises(ExportOutdated):
        list(pieces)


@pytest.mark.parametrize(
    ("line", "field", "value", "at_fault"),
    [
        (5, "consent_basis", "because", "consent_basis"),
        (5, "consent_basis", None, "consent_reference"),
        (5, "consent_reference", None, "consent_reference"),
        (5, "consent_reference", "x" * 257, "consent_reference"),
        (5, "consent_reference", "a\nb", "consent_reference"),
        (5, "consent_time", None, "consent_time"),
        (5, "consent_time", LATE, "consent_time"),
        (5, "expire_time", 0, "expire_time"),
        (4, "expire_time", EARLY, "expire_time"),
        (3, "subject_expire_time", LATE, "subject_expire_time"),
        (2, "subject_expire_time", 0, "subject_expire_time"),
        (2, "consent_reference", "another", "consent_reference"),
    ],
)
def test_an_invalid_value_is_named(
    galleries: Galleries, store: SqliteStore, exported: Exported, line: int, field: str, value: Any, at_fault: str
) -> None:
    store_gallery(store, with_terms())
    lines = with_value(lines_in(exported_from(galleries)), field, line, value)
    with pytest.raises(InvalidImport) as refused:
        import_into(galleries, exported(lines, version=2, policy=POLICY))
    assert (refused.value.line, refused.value.field) == (line, at_fault)


def test_a_line_without_the_consent_that_the_policy_requires_is_refused(
    galleries: Galleries, store: SqliteStore, exported: Exported
) -> None:
    store_gallery(store, with_terms())
    lines = lines_in(exported_from(galleries))
    with pytest.raises(InvalidImport) as refused:
        import_into(galleries, exported(lines, version=2, policy=POLICY | {"require_consent": True}))
    assert (refused.value.line, refused.value.field) == (3, "consent_basis")


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (None, "manifest.policy"),
        ({}, "manifest.policy"),
        (POLICY | {"require_consent": 1}, "manifest.policy"),
        (POLICY | {"template_retention_microseconds": 0}, "manifest.policy.template_retention_microseconds"),
        (POLICY | {"subject_retention_microseconds": 1e9}, "manifest.policy.subject_retention_microseconds"),
    ],
)
def test_an_invalid_policy_is_refused(galleries: Galleries, exported: Exported, policy: Any, field: str) -> None:
    lines = pa.Table.from_pylist([], schema=schema(DIMENSION, has_terms=True))
    with pytest.raises(InvalidImport) as refused:
        import_into(galleries, exported(lines, version=2, policy=policy))
    assert refused.value.field == field


def test_the_columns_must_be_those_of_the_version(galleries: Galleries, exported: Exported) -> None:
    for version, has_terms in ((1, True), (2, False)):
        lines = pa.Table.from_pylist([], schema=schema(DIMENSION, has_terms=has_terms))
        with pytest.raises(InvalidImport):
            import_into(galleries, exported(lines, version=version, policy=POLICY))
