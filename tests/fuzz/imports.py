"""Exported galleries: whatever the file is, it is imported whole or refused, and an import can be exported again.

An input is a file, or what a valid file is made from, so that mutations get past its digests:

- ``F`` and the bytes of a file
- ``M`` and the JSON text of a manifest
- ``L`` and the values of lines: 8 bytes for a time, 8 for a corner of the box, texts that end with a zero byte
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

INSTRUMENTED = ("gallery",)
DIMENSION = 3
CONTRACT = "c"
_MANIFEST: Mapping[str, Any] = {
    "format": "facet-gallery",
    "version": 1,
    "contract": CONTRACT,
    "dimension": DIMENSION,
    "gallery_id": "g",
    "display_name": "",
    "threshold": 0.5,
    "mean_of_best": 1,
    "export_time": "2025-01-01T00:00:00+00:00",
    "lines": 1,
    "subjects": 1,
    "templates": 1,
    "threshold_source": "default",
}
_LINE: Mapping[str, Any] = {
    "subject_id": "s",
    "display_name": "n",
    "subject_create_time": 1_700_000_000_000_000,
    "subject_update_time": 1_700_000_000_000_000,
    "template_id": "00000000-0000-0000-0000-000000000001",
    "picture_sha256": "0" * 64,
    **dict(zip(("x1", "y1", "x2", "y2"), (0.0, 0.0, 9.0, 9.0), strict=True)),
    "quality": 0.5,
    "create_time": 1_700_000_000_000_000,
    "face_model": "",
    "embedding_model": "",
    "embedding": [1.0, 0.0, 0.0],
    "crop": None,
}
_TEXTS = ("subject_id", "display_name", "template_id", "picture_sha256", "face_model", "embedding_model", "crop")


def prepare() -> Callable[[bytes], None]:
    """See :class:`tests.fuzz.target.Target`."""
    from gallery.errors import GalleryError
    from gallery.galleries import Galleries
    from gallery.stores.sqlite.sqlite_store import SqliteStore

    folder = tempfile.TemporaryDirectory()
    galleries = Galleries(
        SqliteStore(Path(folder.name) / "facet.sqlite3"),
        contract=CONTRACT,
        dimension=DIMENSION,
        max_templates_per_subject=100,
    )
    transfer = galleries.transfer

    def fuzz(data: bytes, _keeps_the_folder: object = folder) -> None:
        try:
            imported = transfer.import_gallery(io.BytesIO(file_of(data)), "g", check=lambda: None)
        except GalleryError:
            assert not galleries.list_galleries(page_size=10).items
            return
        exported = b"".join(piece.data for piece in transfer.export_gallery("g"))
        galleries.delete_gallery("g", force=True)
        again = transfer.import_gallery(io.BytesIO(exported), "g", check=lambda: None)
        galleries.delete_gallery("g", force=True)
        assert (again.subject_count, again.template_count) == (imported.subject_count, imported.template_count)

    return fuzz


def seeds() -> Iterable[bytes]:
    """See :class:`tests.fuzz.target.Target`."""
    yield b"F" + _file(_MANIFEST, [_LINE])
    without_template = dict.fromkeys(_LINE) | {name: _LINE[name] for name in list(_LINE)[:4]}
    yield b"F" + _file(dict(_MANIFEST) | {"templates": 0}, [without_template])
    curve = {"similarity": [0.1, 0.2], "fpir": [0.5, 0.1]}
    unsigned = dict(_MANIFEST) | {"contents_sha256": ""}
    yield b"M" + json.dumps(unsigned).encode()
    yield b"M" + json.dumps(unsigned | {"threshold_source": "calibrated", "calibration": {"curve": curve}}).encode()
    texts = [str(_LINE[name] or "").encode() for name in _TEXTS]
    yield b"L" + b"".join([struct.pack("<qd", 0, 1.5), *(text + b"\0" for text in texts)])
    yield b"L" + 2 * b"".join([struct.pack("<qd", 9, 0.0), *(text + b"\0" for text in ["क़".encode(), *texts[1:]])])


def repaired(data: bytes) -> bytes:
    """Nothing to repair: ``M`` and ``L`` get their digests from :func:`file_of`."""
    return data


def file_of(data: bytes) -> bytes:
    """The file that an input stands for."""
    kind, rest = data[:1], data[1:]
    if kind == b"F":
        return rest
    if kind == b"M":
        return _file(None, [_LINE], text=rest)
    lines = _lines(rest)
    return _file(
        dict(_MANIFEST)
        | {"lines": len(lines), "subjects": len({line["subject_id"] for line in lines}), "templates": len(lines)},
        lines,
    )


def _lines(data: bytes) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    while len(data) >= 16 and len(lines) < 8:
        moment, corner = struct.unpack("<qd", data[:16])
        *texts, data = data[16:].split(b"\0", len(_TEXTS)) if data.count(b"\0", 16) >= len(_TEXTS) else (data[16:], b"")
        values = dict(zip(_TEXTS, (text.decode(errors="ignore") for text in texts), strict=False))
        crop = values.pop("crop", "").encode() or None
        times = {"subject_create_time": moment, "subject_update_time": moment}
        lines.append({**_LINE, **values, **times, "create_time": moment, "x1": corner, "crop": crop})
    return lines


def _file(manifest: Mapping[str, Any] | None, lines: Sequence[Mapping[str, Any]], *, text: bytes = b"") -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from gallery.transfer.parquet.schema import ContentsDigest, schema

    columns = schema(DIMENSION)
    table = pa.table(
        {
            field.name: pa.array([line[field.name] for line in lines], pa.int64()).cast(field.type)
            if pa.types.is_timestamp(field.type)
            else pa.array([line[field.name] for line in lines], field.type)
            for field in columns
        },
        columns,
    )
    digest = ContentsDigest()
    for batch in table.combine_chunks().to_batches():
        digest.update(batch)
    if manifest is not None:
        text = json.dumps(dict(manifest) | {"contents_sha256": digest.hexdigest()}).encode()
    else:
        text = text.replace(b'"contents_sha256": ""', b'"contents_sha256": "%s"' % digest.hexdigest().encode())
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, write_page_checksum=True) as writer:
        writer.write_table(table)
        named = {"facet.manifest": text, "facet.manifest_sha256": hashlib.sha256(text).hexdigest()}
        writer.add_key_value_metadata(named)
    written: bytes = sink.getvalue().to_pybytes()
    return written
