"""Index files: what is written is read again, and nothing else is taken for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.index.files.segment_file import BadIndexFile, IndexKey, Rows, SegmentFile, write
from gallery.index.segment import Segment

KEY = IndexKey("team", 1_700_000_000_000_000, "contract", "epoch", 20)
COUNT = 1500
Damage = Callable[[Path], object]


@pytest.fixture
def rows() -> Rows:
    rng = np.random.default_rng(7)
    rows = Rows(
        np.array([f"template-{number:027d}" for number in range(COUNT)], "S36"),
        rng.random(COUNT, np.float32),
        rng.integers(0, 256, (COUNT, 3), np.uint8),
        rng.integers(-32767, 32768, (COUNT, 20), np.int16),
    )
    for column in rows.columns:  # a template that was removed before
        column[5] = np.zeros_like(column[5])
    return rows


@pytest.fixture
def path(tmp_path: Path, rows: Rows) -> Path:
    path = tmp_path / "one.index"
    write(path, KEY, rows, np.arange(20, dtype=np.float32))
    return path


def test_a_file_has_what_was_written(path: Path, rows: Rows) -> None:
    file = SegmentFile(path)
    file.check()
    assert file.key == KEY
    assert file.mean.tolist() == list(range(20))
    for read, written in zip(file.rows.columns, rows.columns, strict=True):
        np.testing.assert_array_equal(read, written)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_an_erased_row_is_gone_from_the_file_and_from_all_who_have_it(path: Path, rows: Rows) -> None:
    one, other = SegmentFile(path), SegmentFile(path)
    vector = rows.vectors[1234].tobytes()
    assert vector in path.read_bytes()
    one.erase(np.array([1234]))
    one.erase(np.array([1234]))
    assert vector not in path.read_bytes()
    assert rows.template_ids[1234] not in path.read_bytes()
    assert not any(column[1234].any() for column in other.rows.columns[1:])
    other.check()
    SegmentFile(path).check()


def test_a_row_whose_erasure_was_interrupted_is_erased(path: Path) -> None:
    file = SegmentFile(path)
    file.rows.template_ids[7] = b""
    SegmentFile(path).check()
    assert not file.rows.vectors[7].any()


def test_a_file_is_not_damaged_by_a_process_that_dies_while_it_removes_a_template(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = SegmentFile(path)
    segment = Segment.of_file(file, np.arange(COUNT, dtype=np.int32))

    def die_soon(rows: NDArray[np.intp]) -> None:
        file.rows.template_ids[rows] = b""
        raise KeyboardInterrupt

    monkeypatch.setattr(file, "erase", die_soon)
    with pytest.raises(KeyboardInterrupt):
        segment.killed(np.array([7]))
    SegmentFile(path).check()
    monkeypatch.setattr(file, "erase", lambda rows: None)
    segment.killed(np.array([8]))
    SegmentFile(path).check()


@pytest.mark.parametrize("column", range(4))
def test_a_changed_bit_is_found_wherever_it_is(path: Path, column: int) -> None:
    file = SegmentFile(path)
    bits = file.rows.columns[column][1400:1401].view(np.uint8)
    bits.reshape(-1)[-1] ^= 1
    with pytest.raises(BadIndexFile, match="a digest is wrong"):
        SegmentFile(path).check()


def _cut(length: int) -> Damage:
    return lambda path: os.truncate(path, length)


def _with_byte(offset: int, value: int) -> Damage:
    def change(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[offset] = value
        path.write_bytes(content)

    return change


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_cut(0), "not complete"),
        (_cut(100_000), "not complete"),
        (lambda path: path.write_bytes(path.read_bytes() + bytes(4096)), "not complete"),
        (lambda path: path.write_bytes(bytes(10_000)), "not an index file"),
        (_with_byte(0, 0), "not an index file"),
        (_with_byte(16, 9), "has version 9, and 1 is expected"),
        (_with_byte(20, 255), "digest of its header"),
        (_with_byte(23, 255), "digest of its header"),
        (_with_byte(60, 0), "digest of its header"),
        (lambda path: path.chmod(0o640), "only this user"),
    ],
)
def test_a_file_that_is_torn_or_foreign_is_refused(path: Path, damage: Damage, reason: str) -> None:
    damage(path)
    with pytest.raises(BadIndexFile, match=reason):
        SegmentFile(path)


def test_a_link_and_a_pipe_are_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link.index").symlink_to(path)
    with pytest.raises(OSError, match="symbolic link"):
        SegmentFile(tmp_path / "link.index")
    os.mkfifo(tmp_path / "pipe.index", 0o600)
    with pytest.raises(BadIndexFile, match="only this user"):
        SegmentFile(tmp_path / "pipe.index")


def test_a_file_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: int) -> None:
        raise OSError("the disk is broken")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="broken"):
        write(tmp_path / "one.index", replace(KEY), rows, np.zeros(20, np.float32))
    assert not list(tmp_path.iterdir())
