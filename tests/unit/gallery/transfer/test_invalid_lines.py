"""Lines of an exported file with an invalid field; the error names line and field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from gallery.errors import InvalidImport
from gallery.galleries import Galleries
from gallery.records.templates import StoredFace
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.transfer.parquet.schema import GROUP_LINES, MAX_CROP_BYTES, PNG_SIGNATURE
from tests.unit.gallery.transfer.samples import (
    DIMENSION,
    exported_from,
    face_of,
    import_into,
    lines_in,
    people,
    store_gallery,
    subject_of,
    with_value,
)

if TYPE_CHECKING:
    from tests.conftest import Exported


NAN = float("nan")
EARLY, LATE = -62_135_596_800_000_001, 253_402_300_800_000_000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("subject_id", ""),
        ("subject_id", "s00001 "),
        ("subject_id", "s00001\u0085"),
        ("subject_id", "s00001" + "x" * 130),
        ("subject_id", "s00001e\u0301"),
        ("subject_id", "a"),
        ("display_name", "x" * 257),
        ("display_name", "\x00"),
        ("subject_create_time", EARLY),
        ("subject_update_time", LATE),
        ("template_id", ""),
        ("template_id", "\u200c"),
        ("template_id", "a" * 37),
        ("template_id", "\u00e9"),
        ("picture_sha256", "A" * 64),
        ("picture_sha256", ""),
        ("picture_sha256", "a" * 64 + "\n"),
        ("picture_sha256", None),
        ("x2", 0.1),
        ("x2", NAN),
        ("x2", float("inf")),
        ("y2", -2.0),
        ("quality", 1.0001),
        ("quality", NAN),
        ("quality", None),
        ("create_time", LATE),
        ("face_model", "unknown"),
        ("embedding_model", "b" * 63),
        ("embedding", [0.9 * 0.5] * DIMENSION),
        ("embedding", [NAN, 1.0, 0.0, 0.0]),
        ("embedding", [float("inf"), 1.0, 0.0, 0.0]),
        ("embedding", None),
        ("crop", b""),
        ("crop", b"\xff\xd8\xff"),
        ("crop", PNG_SIGNATURE + bytes(MAX_CROP_BYTES)),
    ],
)
@pytest.mark.parametrize("line", [2, GROUP_LINES + 2])
def test_an_invalid_line_is_named_with_its_field(
    galleries: Galleries, store: SqliteStore, exported: Exported, field: str, value: object, line: int
) -> None:
    store_gallery(store, people(GROUP_LINES + 2, templates=1))
    lines = lines_in(exported_from(galleries))
    assert_refused(galleries, exported(with_value(lines, field, line, value)), line, field)


def assert_refused(galleries: Galleries, data: bytes, line: int, field: str) -> None:
    with pytest.raises(InvalidImport) as caught:
        import_into(galleries, data)
    assert (caught.value.line, caught.value.field) == (line, field), caught.value
    assert [each.gallery_id for each in galleries.list_galleries(page_size=10).items] == ["g"]


def test_text_that_is_not_utf_8_is_refused(galleries: Galleries, store: SqliteStore, exported: Exported) -> None:
    store_gallery(store, people(3, templates=1))
    lines = lines_in(exported_from(galleries))
    column = lines.schema.field("display_name")
    broken = pa.array([b"ok", b"\xff\xfe", b"ok"], pa.binary()).view(pa.string())
    changed = lines.set_column(lines.schema.get_field_index("display_name"), column, broken)
    assert_refused(galleries, exported(changed), 2, "display_name")


@pytest.mark.parametrize("per_group", [1, 2, 100])
@pytest.mark.parametrize(
    ("order", "line", "field"),
    [
        ([1, 0, 2, 3, 4], 2, "template_id"),
        ([0, 0, 2, 3, 4], 2, "template_id"),
        ([2, 3, 0, 1, 4], 3, "subject_id"),
        ([0, 1, 4, 4], 4, "template_id"),
    ],
)
def test_lines_out_of_order_are_refused(
    galleries: Galleries,
    store: SqliteStore,
    exported: Exported,
    order: list[int],
    line: int,
    field: str,
    per_group: int,
) -> None:
    store_gallery(store, [*people(2), StoredFace(subject_of("z"), None, None, None)])
    lines = lines_in(exported_from(galleries)).take(order)
    assert_refused(galleries, exported(lines, per_group=per_group), line, field)


def test_a_repeated_template_id_is_refused(galleries: Galleries, store: SqliteStore, exported: Exported) -> None:
    store_gallery(store, people(3, templates=1))
    lines = lines_in(exported_from(galleries))
    first = lines["template_id"][0].as_py()
    assert_refused(galleries, exported(with_value(lines, "template_id", 3, first)), 3, "template_id")


@pytest.mark.parametrize(
    ("field", "value"), [("display_name", "another"), ("subject_create_time", 5), ("subject_update_time", 5)]
)
def test_different_values_in_the_lines_of_a_subject_are_refused(
    galleries: Galleries, store: SqliteStore, exported: Exported, field: str, value: object
) -> None:
    store_gallery(store, people(3, templates=2))
    assert_refused(galleries, exported(with_value(lines_in(exported_from(galleries)), field, 4, value)), 4, field)


def test_a_repeated_subject_without_templates_is_refused(
    galleries: Galleries, store: SqliteStore, exported: Exported
) -> None:
    store_gallery(store, [face_of(1, subject_of("a")), StoredFace(subject_of("b"), None, None, None)])
    lines = lines_in(exported_from(galleries))
    twice = lines.take([0, 1, 1])
    assert_refused(galleries, exported(twice), 3, "template_id")


def test_a_crop_without_a_template_is_refused(galleries: Galleries, store: SqliteStore, exported: Exported) -> None:
    store_gallery(store, [StoredFace(subject_of("b"), None, None, None)])
    lines = with_value(lines_in(exported_from(galleries)), "crop", 1, PNG_SIGNATURE)
    assert_refused(galleries, exported(lines), 1, "crop")
