"""Files that are small on disk and would be huge in memory are refused before they are read."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gallery.transfer.parquet.schema import MANIFEST_DIGEST_KEY, MANIFEST_KEY, PNG_SIGNATURE, schema

ROOT = Path(__file__).resolve().parents[3]
DIMENSION = 8
MANY = 4000
SMALL_BYTES = 1 << 24
MOST_MEGABYTES = 100

READ = """
import sys
from pathlib import Path
import pyarrow.compute
from gallery.errors import InvalidImport
from gallery.transfer.parquet.reader import ParquetReader

def peak():
    (line,) = (each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) // 1024

before = peak()
with open(sys.argv[1], "rb") as file:
    try:
        for _ in ParquetReader(file).read():
            pass
    except InvalidImport as error:
        print(peak() - before, error)
"""

READ_DAMAGED = """
import io, random, sys
from pathlib import Path
from gallery.errors import InvalidImport
from gallery.transfer.parquet.reader import ParquetReader

whole, chosen = Path(sys.argv[1]).read_bytes(), random.Random(7)
footer = int.from_bytes(whole[-8:-4], "little") + 8
for _ in range(5000):
    data = bytearray(whole)
    for _ in range(chosen.randrange(1, 5)):
        data[-chosen.randrange(1, footer)] = chosen.choice([0, 1, 2, 12, 127, 128, 255, chosen.randrange(256)])
    try:
        for _ in ParquetReader(io.BytesIO(data)).read():
            pass
    except InvalidImport:
        continue
print("alive")
"""


def manifest(lines: int) -> bytes:
    said = {
        "format": "facet-gallery",
        "version": 1,
        "contract": "c",
        "dimension": DIMENSION,
        "gallery_id": "g",
        "display_name": "",
        "threshold": 0.5,
        "mean_of_best": 1,
        "export_time": "",
        "lines": lines,
        "subjects": 1,
        "templates": lines,
        "contents_sha256": "0" * 64,
    }
    return json.dumps(said).encode()


def written(changed: dict[str, pa.Array], count: int, *, text: bytes = b"", **options: Any) -> bytes:
    """Make a file with this many lines of one subject; ``changed`` replaces columns."""
    columns = schema(DIMENSION)
    times = pa.array([0] * count, pa.timestamp("us", tz="UTC"))
    digests, empty = pa.array(["0" * 64] * count), pa.array([""] * count)
    embeddings = np.zeros((count, DIMENSION), np.float32)
    embeddings[:, 0] = 1
    values = {
        "subject_id": pa.array(["a"] * count),
        "display_name": empty,
        "subject_create_time": times,
        "subject_update_time": times,
        "template_id": pa.array([f"t{number:08}" for number in range(count)]),
        "picture_sha256": digests,
        **{corner: pa.array([0.0] * count) for corner in ("x1", "y1")},
        **{corner: pa.array([1.0] * count) for corner in ("x2", "y2")},
        "quality": pa.array([0.5] * count),
        "create_time": times,
        "face_model": empty,
        "embedding_model": empty,
        "embedding": pa.FixedSizeListArray.from_arrays(
            pa.array(embeddings.ravel()), type=columns.field("embedding").type
        ),
        "crop": pa.nulls(count, pa.binary()),
        **changed,
    }
    lines = pa.table(
        [values[name] for name in columns.names],
        schema=pa.schema([each.with_type(values[each.name].type) for each in columns]),
    )
    text = text or manifest(count)
    sink = pa.BufferOutputStream()
    # The schema says that all columns are plain, even those written with a dictionary.
    with pq.ParquetWriter(sink, lines.schema, compression="zstd", store_schema=False, **options) as writer:
        writer.write_table(lines, row_group_size=count)
        writer.add_key_value_metadata(
            {
                MANIFEST_KEY: text,
                MANIFEST_DIGEST_KEY: hashlib.sha256(text).hexdigest(),
                b"ARROW:schema": base64.b64encode(columns.serialize().to_pybytes()),
            }
        )
    data: bytes = sink.getvalue().to_pybytes()
    return data


def repeated(value: bytes | str) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * MANY, pa.int32()), pa.array([value]))


def a_crop_shared_by_all_lines() -> bytes:
    return written({"crop": repeated(PNG_SIGNATURE + bytes(60_000))}, MANY)


def a_name_shared_by_all_lines() -> bytes:
    return written({"display_name": repeated("x" * 100_000)}, MANY)


def delta_encoded_names() -> bytes:
    plain = [name for name in schema(DIMENSION).names if name != "display_name"]
    names = pa.array(["x" * 100_000] * (MANY // 2))
    encoding = {"display_name": "DELTA_BYTE_ARRAY"}
    return written({"display_name": names}, len(names), use_dictionary=plain, column_encoding=encoding)


def one_long_page() -> bytes:
    return written({"crop": pa.array([PNG_SIGNATURE + bytes(160 << 20)])}, 1, use_dictionary=False)


def one_long_dictionary() -> bytes:
    return written({"display_name": pa.array(["x" * (160 << 20)])}, 1, dictionary_pagesize_limit=1 << 30)


def a_long_manifest() -> bytes:
    return written({}, 1, text=b"[" + b"[]," * (4 << 20) + b"[]]")


def a_footer_of_empty_columns() -> bytes:
    """Make a footer whose columns take three bytes each in the file and 600 in memory."""

    def items(count: int, item: bytes) -> bytes:
        return b"\xfc" + varint(count) + count * item

    root, leaf = b"\x48\x01r\x15\x02\x00", b"\x15\x02\x25\x00\x18\x01a\x00"
    group = b"\x19" + items(1_200_000 // 4, b"\x26\x00\x00") + b"\x16\x00\x16\x00\x00"
    footer = b"\x15\x04\x19\x2c" + root + leaf + b"\x16\x00\x19" + items(1, group) + b"\x00"
    return b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


@pytest.mark.parametrize(
    "bomb",
    [
        a_crop_shared_by_all_lines,
        a_name_shared_by_all_lines,
        delta_encoded_names,
        one_long_page,
        one_long_dictionary,
        a_long_manifest,
        a_footer_of_empty_columns,
    ],
)
def test_a_small_file_that_would_fill_the_memory_is_refused(tmp_path: Path, bomb: Callable[[], bytes]) -> None:
    file = tmp_path / "bomb.parquet"
    file.write_bytes(bomb())
    assert file.stat().st_size < SMALL_BYTES
    assert "SHA-256" not in refusal_of(file)


def test_the_same_file_with_short_values_is_read_completely(tmp_path: Path) -> None:
    file = tmp_path / "plain.parquet"
    file.write_bytes(written({"crop": repeated(PNG_SIGNATURE + bytes(100))}, MANY))
    assert pq.read_table(io.BytesIO(file.read_bytes())).schema.equals(schema(DIMENSION))
    # Its error is found only after the last line.
    assert "SHA-256" in refusal_of(file)


def test_a_damaged_footer_does_not_crash_the_process(tmp_path: Path) -> None:
    file = tmp_path / "plain.parquet"
    file.write_bytes(written({}, 10))
    command = [sys.executable, "-c", READ_DAMAGED, str(file)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.stdout == "alive\n", result.stderr


def refusal_of(file: Path) -> str:
    """Return why a new process refuses a file, after checking that its memory grew little."""
    command = [sys.executable, "-c", READ, str(file)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    megabytes, refusal = result.stdout.split(maxsplit=1)
    assert int(megabytes) < MOST_MEGABYTES, megabytes
    return refusal
