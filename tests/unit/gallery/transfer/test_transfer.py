"""Exported galleries as files: what is in them, what happens meanwhile, and what is refused with which line."""

from __future__ import annotations

import hashlib
import io
import json
import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gallery.errors import ContractMismatch, GalleryExists, GalleryNotFound, InvalidImport
from gallery.galleries import Galleries
from gallery.records.records import Gallery, StoredFace, Subject, Template
from gallery.stores.sqlite.store import SqliteStore
from gallery.transfer.manifest import MAX_BYTES
from gallery.transfer.parquet_format import GROUP_LINES, MAX_CROP_BYTES, MAX_GROUP_LINES, PNG_SIGNATURE, schema

if TYPE_CHECKING:
    from tests.conftest import Exported

DIMENSION = 4
CONTRACT = "c"
START = datetime(2025, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
FACE_MODEL, EMBEDDING_MODEL = "a" * 64, "b" * 64


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "facet.db")


@pytest.fixture
def galleries(store: SqliteStore) -> Iterator[Galleries]:
    opened = Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=10)
    yield opened
    opened.close()


def a_subject(subject_id: str, **fields: Any) -> Subject:
    return replace(Subject("g", subject_id, f"name of {subject_id}", 0, START, START + timedelta(1), "e"), **fields)


def a_face(number: int, subject: Subject, crop: bytes | None = None) -> StoredFace:
    values = np.random.default_rng(number).standard_normal(DIMENSION)
    template = Template(
        template_id=str(uuid.UUID(int=number)),
        gallery_id="g",
        subject_id=subject.subject_id,
        picture_sha256=f"{number:064x}",
        box=(0.1, -2.0, 30.25, 40.5),
        quality=0.625,
        create_time=START + timedelta(microseconds=number),
        face_model=FACE_MODEL,
        embedding_model=EMBEDDING_MODEL,
        has_crop=crop is not None,
    )
    return StoredFace(subject, template, (values / np.linalg.norm(values)).astype(np.float32), crop)


def people(count: int, *, templates: int = 2) -> list[StoredFace]:
    numbers = iter(range(1, count * templates + 1))
    return [
        a_face(next(numbers), subject)
        for subject in (a_subject(f"s{number:05}") for number in range(count))
        for _ in range(templates)
    ]


def keep(galleries: Galleries, store: SqliteStore, faces: Sequence[StoredFace]) -> Gallery:
    """Put a gallery with these faces into the store, as it is at the next start."""
    gallery = Gallery("g", "Gallery", 0.5, 2, CONTRACT, 0, 0, START, START, "e")
    importing = store.begin_import(gallery)
    importing.add(faces)
    return importing.commit()


def exported_from(galleries: Galleries) -> bytes:
    return b"".join(piece.data for piece in galleries.export_gallery("g"))


def import_into(galleries: Galleries, data: bytes, gallery_id: str = "copy", **options: Any) -> Gallery:
    return galleries.import_gallery(io.BytesIO(data), gallery_id, check=lambda: None, **options)


def lines_of(store: SqliteStore, gallery_id: str) -> list[Any]:
    """Everything that the store has of a gallery, but for etags and the gallery's id."""
    after, found = ("", ""), list[Any]()
    while faces := store.faces(gallery_id, after=after, limit=1000):
        found += faces
        last = faces[-1]
        after = last.subject.subject_id, last.template.template_id if last.template else ""
    return [
        (
            replace(face.subject, gallery_id="", etag="", template_count=0),
            face.template and replace(face.template, gallery_id=""),
            None if face.embedding is None else face.embedding.tobytes(),
            face.crop,
        )
        for face in found
    ]


def read(data: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(data))


def test_the_file_is_plain_parquet_with_a_line_a_template_in_the_order_of_ids(
    galleries: Galleries, store: SqliteStore
) -> None:
    faces = [a_face(1, a_subject("a")), a_face(2, a_subject("a")), StoredFace(a_subject("b"), None, None, None)]
    keep(galleries, store, faces)
    data = exported_from(galleries)
    lines = read(data)
    assert lines["subject_id"].to_pylist() == ["a", "a", "b"]
    assert lines["template_id"].to_pylist() == [str(uuid.UUID(int=1)), str(uuid.UUID(int=2)), None]
    first, _, empty = lines.to_pylist()
    template, subject = faces[0].template, faces[0].subject
    assert template is not None
    assert first == {
        "subject_id": subject.subject_id,
        "display_name": subject.display_name,
        "subject_create_time": subject.create_time,
        "subject_update_time": subject.update_time,
        "template_id": template.template_id,
        "picture_sha256": template.picture_sha256,
        **dict(zip(("x1", "y1", "x2", "y2"), template.box, strict=True)),
        "quality": template.quality,
        "create_time": template.create_time,
        "face_model": FACE_MODEL,
        "embedding_model": EMBEDDING_MODEL,
        "embedding": np.asarray(faces[0].embedding).tolist(),
        "crop": None,
    }
    assert [empty[name] for name in lines.column_names[4:]] == [None] * 12


def test_the_manifest_is_json_and_says_what_is_in_the_file(galleries: Galleries, store: SqliteStore) -> None:
    keep(galleries, store, [*people(3), StoredFace(a_subject("z"), None, None, None)])
    metadata = pq.read_metadata(io.BytesIO(exported_from(galleries))).metadata
    text = metadata[b"facet.manifest"]
    assert metadata[b"facet.manifest_sha256"].decode() == hashlib.sha256(text).hexdigest()
    manifest = json.loads(text)
    assert datetime.fromisoformat(manifest.pop("export_time")) > START
    assert len(manifest.pop("contents_sha256")) == 64
    assert manifest == {
        "format": "facet-gallery",
        "version": 1,
        "contract": CONTRACT,
        "dimension": DIMENSION,
        "gallery_id": "g",
        "display_name": "Gallery",
        "threshold": 0.5,
        "mean_of_best": 2,
        "lines": 7,
        "subjects": 4,
        "templates": 6,
    }


def test_what_is_imported_is_what_was_exported_and_is_searched_at_once(
    galleries: Galleries, store: SqliteStore
) -> None:
    crop = PNG_SIGNATURE + b"the rest"
    faces = [*people(GROUP_LINES, templates=2), a_face(9999, a_subject("z"), crop)]
    keep(galleries, store, faces)
    imported = import_into(galleries, exported_from(galleries))
    assert imported == store.gallery("copy")
    assert (imported.display_name, imported.threshold, imported.mean_of_best) == ("Gallery", 0.5, 2)
    assert (imported.subject_count, imported.template_count) == (GROUP_LINES + 1, len(faces))
    assert lines_of(store, "copy") == lines_of(store, "g")
    probe = np.asarray(faces[-1].embedding)
    original, copy = (galleries.search(each, probe[None], top_k=5) for each in ("g", "copy"))
    assert copy == original
    assert copy[0].candidates[0].subject_id == "z"


def test_an_empty_gallery_is_exported_and_imported(galleries: Galleries) -> None:
    galleries.create_gallery("g", display_name="", threshold=0.1)
    imported = import_into(galleries, exported_from(galleries))
    assert (imported.subject_count, imported.template_count, imported.threshold) == (0, 0, float(np.float32(0.1)))


def test_a_file_keeps_its_own_id_where_no_other_is_given(galleries: Galleries, store: SqliteStore) -> None:
    keep(galleries, store, people(1))
    data = exported_from(galleries)
    with pytest.raises(GalleryExists):
        import_into(galleries, data, "")
    galleries.delete_gallery("g", force=True)
    assert import_into(galleries, data, "").gallery_id == "g"


def test_what_is_only_validated_is_not_kept(galleries: Galleries, store: SqliteStore) -> None:
    keep(galleries, store, people(2))
    data = exported_from(galleries)
    assert import_into(galleries, data, validate_only=True).template_count == 4
    with pytest.raises(GalleryNotFound):
        store.gallery("copy")
    assert import_into(galleries, data).template_count == 4


def test_a_file_of_another_contract_is_refused(galleries: Galleries, store: SqliteStore, exported: Exported) -> None:
    lines = pa.Table.from_pylist([], schema=schema(DIMENSION))
    with pytest.raises(ContractMismatch) as caught:
        import_into(galleries, exported(lines, contract="other"))
    assert (caught.value.expected, caught.value.found) == ("other", CONTRACT)


def test_a_file_of_the_contract_but_another_dimension_is_refused(galleries: Galleries, exported: Exported) -> None:
    lines = pa.Table.from_pylist([], schema=schema(DIMENSION + 1))
    with pytest.raises(InvalidImport) as caught:
        import_into(galleries, exported(lines))
    assert caught.value.field == "manifest.dimension"


def test_an_import_that_is_given_up_leaves_nothing(galleries: Galleries, store: SqliteStore) -> None:
    keep(galleries, store, people(3 * GROUP_LINES, templates=1))
    data = exported_from(galleries)
    calls = iter(range(2))

    def check() -> None:
        if next(calls, None) is None:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        galleries.import_gallery(io.BytesIO(data), "copy", check=check)
    assert [each.gallery_id for each in galleries.list_galleries(page_size=10).items] == ["g"]
    assert import_into(galleries, data).template_count == 3 * GROUP_LINES


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
def test_what_is_no_whole_parquet_file_is_refused(
    galleries: Galleries, store: SqliteStore, change: Callable[[bytes], bytes]
) -> None:
    keep(galleries, store, people(3))
    with pytest.raises(InvalidImport) as caught:
        import_into(galleries, change(exported_from(galleries)))
    assert caught.value.line == 0


@pytest.mark.parametrize("seed", range(8))
def test_of_any_byte_that_is_changed_the_file_is_refused_or_reads_the_same(
    galleries: Galleries, store: SqliteStore, seed: int
) -> None:
    crop = PNG_SIGNATURE + bytes(range(50))
    keep(galleries, store, [*people(8), a_face(99, a_subject("y"), crop), StoredFace(a_subject("z"), None, None, None)])
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


def test_a_manifest_is_not_of_any_length(galleries: Galleries, exported: Exported) -> None:
    lines = pa.Table.from_pylist([], schema=schema(DIMENSION))
    for length, refusal in ((MAX_BYTES, "the manifest has more"), (2 * MAX_BYTES, "footer")):
        with pytest.raises(InvalidImport, match=refusal):
            import_into(galleries, exported(lines, more="x" * length))
    assert import_into(galleries, exported(lines, more="x" * (MAX_BYTES - 1000))).template_count == 0


def test_values_that_are_encoded_with_their_neighbours_are_refused(galleries: Galleries, store: SqliteStore) -> None:
    keep(galleries, store, people(3))
    data = exported_from(galleries)
    sink = pa.BufferOutputStream()
    lines, plain = read(data), [name for name in schema(DIMENSION).names if name != "template_id"]
    encoding = {"template_id": "DELTA_BYTE_ARRAY"}
    with pq.ParquetWriter(sink, lines.schema, use_dictionary=plain, column_encoding=encoding) as writer:
        writer.write_table(lines)
        writer.add_key_value_metadata(pq.read_metadata(io.BytesIO(data)).metadata)
    with pytest.raises(InvalidImport, match="encoded"):
        import_into(galleries, sink.getvalue().to_pybytes())


def test_parquet_that_is_no_exported_gallery_is_refused(galleries: Galleries) -> None:
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
        ("version", 2),
        ("version", "1"),
    ],
)
def test_a_bad_field_of_the_manifest_is_named(
    galleries: Galleries, exported: Exported, field: str, value: object
) -> None:
    lines = pa.Table.from_pylist([], schema=schema(DIMENSION))
    with pytest.raises(InvalidImport) as caught:
        import_into(galleries, exported(lines, **{field: value}))
    assert caught.value.field.endswith(field)


@pytest.mark.parametrize(("counted", "number"), [("lines", 5), ("subjects", 1), ("templates", 7)])
def test_counts_that_are_not_those_of_the_lines_are_refused(
    galleries: Galleries, store: SqliteStore, exported: Exported, counted: str, number: int
) -> None:
    keep(galleries, store, people(3))
    with pytest.raises(InvalidImport, match="as many lines"):
        import_into(galleries, exported(read(exported_from(galleries)), **{counted: number}))


def test_a_file_with_other_columns_is_refused(galleries: Galleries, store: SqliteStore, exported: Exported) -> None:
    keep(galleries, store, people(3))
    lines = read(exported_from(galleries))
    for other in (lines.append_column("more", pa.array([1] * 6)), lines.drop_columns(["crop"])):
        with pytest.raises(InvalidImport, match="other columns"):
            import_into(galleries, exported(other))
    with pytest.raises(InvalidImport, match="other columns"):
        import_into(galleries, exported(lines, dimension=5))


NAN = float("nan")
EARLY, LATE = -1, 253_402_300_800_000_000


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
def test_a_bad_line_is_named_with_its_field(
    galleries: Galleries, store: SqliteStore, exported: Exported, field: str, value: object, line: int
) -> None:
    keep(galleries, store, people(GROUP_LINES + 2, templates=1))
    lines = read(exported_from(galleries))
    assert_refused(galleries, exported(with_value(lines, field, line, value)), line, field)


def with_value(lines: pa.Table, field: str, line: int, value: object) -> pa.Table:
    """The lines, one value of them another."""
    column = lines.schema.field(field)
    values = lines[field].cast(pa.int64()) if pa.types.is_timestamp(column.type) else lines[field]
    plain = values.to_pylist()
    plain[line - 1] = value
    if field == "embedding":
        rows, missing = (
            np.array([each or [0.0] * DIMENSION for each in plain]),
            np.array([each is None for each in plain]),
        )
        flat = pa.array(rows.ravel(), pa.float32())
        changed = pa.FixedSizeListArray.from_arrays(flat, type=column.type, mask=pa.array(missing))
    else:
        changed = pa.array(plain, values.type).cast(column.type)
    return lines.set_column(lines.schema.get_field_index(field), column, changed)


def assert_refused(galleries: Galleries, data: bytes, line: int, field: str) -> None:
    with pytest.raises(InvalidImport) as caught:
        import_into(galleries, data)
    assert (caught.value.line, caught.value.field) == (line, field), caught.value
    assert [each.gallery_id for each in galleries.list_galleries(page_size=10).items] == ["g"]


def test_text_that_is_not_utf_8_is_named_with_its_line(
    galleries: Galleries, store: SqliteStore, exported: Exported
) -> None:
    keep(galleries, store, people(3, templates=1))
    lines = read(exported_from(galleries))
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
def test_lines_out_of_order_are_refused_within_and_across_row_groups(
    galleries: Galleries,
    store: SqliteStore,
    exported: Exported,
    order: list[int],
    line: int,
    field: str,
    per_group: int,
) -> None:
    keep(galleries, store, [*people(2), StoredFace(a_subject("z"), None, None, None)])
    lines = read(exported_from(galleries)).take(order)
    assert_refused(galleries, exported(lines, per_group=per_group), line, field)


def test_a_template_id_is_of_one_line_alone(galleries: Galleries, store: SqliteStore, exported: Exported) -> None:
    keep(galleries, store, people(3, templates=1))
    lines = read(exported_from(galleries))
    first = lines["template_id"][0].as_py()
    assert_refused(galleries, exported(with_value(lines, "template_id", 3, first)), 3, "template_id")


@pytest.mark.parametrize(
    ("field", "value"), [("display_name", "another"), ("subject_create_time", 5), ("subject_update_time", 5)]
)
def test_the_lines_of_a_subject_agree_on_it(
    galleries: Galleries, store: SqliteStore, exported: Exported, field: str, value: object
) -> None:
    keep(galleries, store, people(3, templates=2))
    assert_refused(galleries, exported(with_value(read(exported_from(galleries)), field, 4, value)), 4, field)


def test_a_subject_without_templates_has_one_line(galleries: Galleries, store: SqliteStore, exported: Exported) -> None:
    keep(galleries, store, [a_face(1, a_subject("a")), StoredFace(a_subject("b"), None, None, None)])
    lines = read(exported_from(galleries))
    twice = lines.take([0, 1, 1])
    assert_refused(galleries, exported(twice), 3, "template_id")


def test_a_crop_needs_a_template(galleries: Galleries, store: SqliteStore, exported: Exported) -> None:
    keep(galleries, store, [StoredFace(a_subject("b"), None, None, None)])
    lines = with_value(read(exported_from(galleries)), "crop", 1, PNG_SIGNATURE)
    assert_refused(galleries, exported(lines), 1, "crop")


def test_row_groups_that_are_too_large_to_be_read_are_refused(galleries: Galleries, exported: Exported) -> None:
    line = {"display_name": "", "subject_create_time": START, "subject_update_time": START}
    lines = [line | {"subject_id": f"{number:06}"} for number in range(MAX_GROUP_LINES + 1)]
    data = exported(pa.Table.from_pylist(lines, schema=schema(DIMENSION)), per_group=len(lines))
    with pytest.raises(InvalidImport, match="row group"):
        import_into(galleries, data)


def test_a_subject_renamed_during_an_export_is_in_it_under_one_name(galleries: Galleries, store: SqliteStore) -> None:
    crowd = a_subject("crowd")
    keep(galleries, store, [a_face(number, crowd) for number in range(1, GROUP_LINES + 11)])
    pieces = galleries.export_gallery("g")
    first = next(pieces)
    galleries.update_subject("g", "crowd", display_name="renamed")
    lines = read(first.data + b"".join(piece.data for piece in pieces))
    assert len(lines) == GROUP_LINES + 10
    assert set(lines["display_name"].to_pylist()) == {crowd.display_name}


def test_who_is_forgotten_during_an_export_does_not_come_back_in_it(galleries: Galleries, store: SqliteStore) -> None:
    keep(galleries, store, people(GROUP_LINES + 10, templates=1))
    pieces = galleries.export_gallery("g")
    first = next(pieces)
    galleries.delete_subject("g", f"s{GROUP_LINES + 5:05}")
    data = first.data + b"".join(piece.data for piece in pieces)
    assert len(read(data)) == GROUP_LINES + 9
    assert import_into(galleries, data).subject_count == GROUP_LINES + 9


def test_one_enrolled_anew_during_an_export_is_not_mixed_with_who_was_forgotten(
    galleries: Galleries, store: SqliteStore
) -> None:
    keep(galleries, store, [a_face(number, a_subject("crowd")) for number in range(1, GROUP_LINES + 1)])
    pieces = galleries.export_gallery("g")
    first = next(pieces)
    galleries.delete_subject("g", "crowd")
    importing = [a_face(GROUP_LINES + 7, a_subject("crowd", create_time=START + timedelta(9)))]
    store.add_template(
        importing[0].template,  # type: ignore[arg-type]
        importing[0].embedding,  # type: ignore[arg-type]
        new_subject=importing[0].subject,
        request=None,
        crop=None,
    )
    lines = read(first.data + b"".join(piece.data for piece in pieces))
    assert len(lines) == GROUP_LINES


def test_the_first_template_of_a_subject_that_was_exported_without_is_left_out(
    galleries: Galleries, store: SqliteStore
) -> None:
    last = a_subject(f"s{GROUP_LINES:05}")
    keep(galleries, store, [*people(GROUP_LINES - 1, templates=1), StoredFace(last, None, None, None)])
    pieces = galleries.export_gallery("g")
    first = next(pieces)
    face = a_face(GROUP_LINES + 7, last)
    assert face.template is not None
    assert face.embedding is not None
    store.add_template(face.template, face.embedding, new_subject=None, request=None, crop=None)
    data = first.data + b"".join(piece.data for piece in pieces)
    assert import_into(galleries, data).template_count == GROUP_LINES - 1


def test_a_gallery_deleted_during_an_export_ends_it(galleries: Galleries, store: SqliteStore) -> None:
    for again in (False, True):
        keep(galleries, store, people(GROUP_LINES, templates=1))
        pieces = galleries.export_gallery("g")
        next(pieces)
        store.delete_gallery("g", force=True, etag="")
        if again:
            galleries.create_gallery("g", display_name="", threshold=0.5)
        with pytest.raises(GalleryNotFound):
            list(pieces)
