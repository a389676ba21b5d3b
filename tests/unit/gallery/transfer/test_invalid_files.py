"""Files that are not exported galleries, or are damaged."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gallery.errors import InvalidImport
from gallery.galleries import Galleries
from gallery.records.templates import StoredFace
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.transfer.manifest import MAX_BYTES, WITH_MIGRATION
from gallery.transfer.parquet.schema import MAX_GROUP_LINES, PNG_SIGNATURE, schema
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
)

if TYPE_CHECKING:
    from tests.conftest import Exported


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: b"PAR1", id="four bytes"),
        pytest.param(lambda data: data[:-1], id="cut at its end"),
        pytest.param(lambda data: data[1:], id="cut at its beginning"),
        pytest.param(lambda data: data[: len(data) // 2], id="half"),
        pytest.param(lambda data: b"PAR1" + bytes(100) + (99).to_bytes(4, "little") + b"PAR1", id="no footer"),
        pytest.param(lambda data: b"PAR1" + b"\xff\xff\xff\xff" + b"PAR1", id="huge footer"),
        pytest.param(lambda data: b"SQLite format 3\0" + bytes(1000), id="another kind"),
    ],
)
def test_an_incomplete_or_other_file_is_refused(
    galleries: Galleries, store: SqliteStore, change: Callable[[bytes], bytes]
) -> None:
    store_gallery(store, people(3))
    with pytest.raises(InvalidImport) as caught:
        import_into(galleries, change(exported_from(galleries)))
    assert caught.value.line == 0


@pytest.mark.parametrize("seed", range(8))
def test_a_file_with_a_changed_byte_is_refused_or_reads_the_same(
    galleries: Galleries, store: SqliteStore, seed: int
) -> None:
    crop = PNG_SIGNATURE + bytes(range(50))
    store_gallery(
        store, [*people(8), face_of(99, subject_of("y"), crop), StoredFace(subject_of("z"), None, None, None)]
    )
    whole = exported_from(galleries)
    chosen = random.Random(seed)
    read_all = 0
    for _ in range(150):
        place, other = chosen.randrange(len(whole)), chosen.randrange(1, 256)
        changed = bytearray(whole)
        changed[place] ^= other
        try:
            imported = import_into(galleries, bytes(changed), "copy")
        except InvalidImport:
            continue
        read_all += 1
        assert lines_of(store, "copy") == lines_of(store, "g"), (place, other)
        assert (imported.display_name, imported.threshold, imported.mean_of_best) == ("Gallery", 0.5, 2)
        galleries.delete_gallery("copy", force=True)
    assert read_all < 50
    assert [each.gallery_id for each in galleries.list_galleries(page_size=10).items] == ["g"]


def test_the_length_of_a_manifest_is_limited(galleries: Galleries, exported: Exported) -> None:
    lines = pa.Table.from_pylist([], schema=schema(DIMENSION))
    for length, refusal in ((MAX_BYTES, "the manifest has more"), (2 * MAX_BYTES, "footer")):
        with pytest.raises(InvalidImport, match=refusal):
            import_into(galleries, exported(lines, more="x" * length))
    assert import_into(galleries, exported(lines, more="x" * (MAX_BYTES - 1000))).template_count == 0


def test_delta_encoded_values_are_refused(galleries: Galleries, store: SqliteStore) -> None:
    store_gallery(store, people(3))
    data = exported_from(galleries)
    sink = pa.BufferOutputStream()
    lines, plain = lines_in(data), [name for name in schema(DIMENSION).names if name != "template_id"]
    encoding = {"template_id": "DELTA_BYTE_ARRAY"}
    with pq.ParquetWriter(sink, lines.schema, use_dictionary=plain, column_encoding=encoding) as writer:
        writer.write_table(lines)
        writer.add_key_value_metadata(pq.read_metadata(io.BytesIO(data)).metadata)
    with pytest.raises(InvalidImport, match="encoded"):
        import_into(galleries, sink.getvalue().to_pybytes())


def test_other_parquet_files_are_refused(galleries: Galleries) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": [1]}), sink)
    with pytest.raises(InvalidImport, match="no manifest"):
        import_into(galleries, sink.getvalue().to_pybytes())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("contract", ""),
        ("dimension", 0),
        ("dimension", True),
        ("dimension", "4"),
        ("gallery_id", "UPPER"),
        ("display_name", "a\nb"),
        ("display_name", "e\u0301"),
        ("threshold", 1.5),
        ("threshold", None),
        ("threshold", float("nan")),
        ("threshold", 10**400),
        ("mean_of_best", 0),
        ("mean_of_best", 17),
        ("lines", -1),
        ("subjects", 2**70),
        ("contents_sha256", ""),
        ("threshold_source", "guess"),
        ("threshold_source", 5),
        ("version", 5),
        ("version", "1"),
    ],
)
def test_an_invalid_field_of_the_manifest_is_named(
    galleries: Galleries, exported: Exported, field: str, value: object
) -> None:
    lines = pa.Table.from_pylist([], schema=schema(DIMENSION))
    with pytest.raises(InvalidImport) as caught:
        import_into(galleries, exported(lines, **{field: value}))
    assert caught.value.field.endswith(field)


@pytest.mark.parametrize(("counted", "number"), [("lines", 5), ("subjects", 1), ("templates", 7)])
def test_wrong_counts_in_the_manifest_are_refused(
    galleries: Galleries, store: SqliteStore, exported: Exported, counted: str, number: int
) -> None:
    store_gallery(store, people(3))
    with pytest.raises(InvalidImport, match="as many lines"):
        import_into(galleries, exported(lines_in(exported_from(galleries)), **{counted: number}))


def test_a_file_with_other_columns_is_refused(galleries: Galleries, store: SqliteStore, exported: Exported) -> None:
    store_gallery(store, people(3))
    lines = lines_in(exported_from(galleries))
    for other in (lines.append_column("more", pa.array([1] * 6)), lines.drop_columns(["crop"])):
        with pytest.raises(InvalidImport, match="other columns"):
            import_into(galleries, exported(other))
    with pytest.raises(InvalidImport, match="other columns"):
        import_into(galleries, exported(lines, dimension=5))


def test_a_file_of_a_newer_version_is_refused_with_what_helps_whatever_its_columns(
    galleries: Galleries, store: SqliteStore, exported: Exported
) -> None:
    store_gallery(store, people(3))
    lines = lines_in(exported_from(galleries))
    newest = WITH_MIGRATION + 1
    for other in (lines, lines.append_column("more", pa.array([1] * 6))):
        with pytest.raises(
            InvalidImport, match=f"has version {newest}; .* 1 to {WITH_MIGRATION}: .* update this server"
        ):
            import_into(galleries, exported(other, version=newest, news={"more": 1}))
    with pytest.raises(InvalidImport, match=f"reads versions 1 to {WITH_MIGRATION}$"):
        import_into(galleries, exported(lines, version=0))


def test_row_groups_that_are_too_large_are_refused(galleries: Galleries, exported: Exported) -> None:
    line = {"display_name": "", "subject_create_time": START, "subject_update_time": START}
    lines = [line | {"subject_id": f"{number:06}"} for number in range(MAX_GROUP_LINES + 1)]
    data = exported(pa.Table.from_pylist(lines, schema=schema(DIMENSION)), per_group=len(lines))
    with pytest.raises(InvalidImport, match="row group"):
        import_into(galleries, data)
