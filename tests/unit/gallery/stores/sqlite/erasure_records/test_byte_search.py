"""A search for many byte strings in one pass finds each of them wherever it lies."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from gallery.stores.sqlite.erasure_records import byte_search
from gallery.stores.sqlite.erasure_records.byte_search import MIN_BYTES, ByteSearch, is_searchable


def noise(count: int, seed: int) -> bytes:
    return np.random.default_rng(seed).bytes(count)


@pytest.mark.parametrize("length", [MIN_BYTES, 16, 64])
def test_values_are_found_at_every_offset_and_others_are_not(length: int) -> None:
    values = [noise(length, seed) for seed in range(20)]
    search = ByteSearch(values)
    for offset in range(17):
        data = noise(offset, 100) + values[7] + noise(5, 101) + values[11] + noise(3, 102)
        assert search.in_bytes(data) == {7, 11}
        assert search.in_bytes(data[:-4]) == {7}, "the last value is cut off"
    assert search.in_bytes(noise(100_000, 103)) == set()
    assert search.in_bytes(values[0]) == {0}
    assert search.in_bytes(b"") == set()


def test_a_value_across_two_parts_of_a_file_is_found(tmp_path: Path) -> None:
    value = noise(64, 1)
    part = byte_search._CHUNK_BYTES
    for start in (part - 64, part - 63, part - 1, part, 2 * part - 30):
        path = tmp_path / "file"
        data = bytearray(3 * part - 5)
        data[start : start + len(value)] = value
        path.write_bytes(data)
        descriptor = os.open(path, os.O_RDONLY)
        assert ByteSearch([value]).in_file(descriptor, most_bytes=1 << 40) == ({0}, len(data), len(data))
        os.close(descriptor)


def test_of_a_large_file_evenly_spaced_parts_are_searched_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "file"
    part = byte_search._CHUNK_BYTES
    data = bytearray(10 * part)
    first, skipped = noise(64, 1), noise(64, 2)
    data[100:164] = first
    data[part + 100 : part + 164] = skipped
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    assert ByteSearch([first, skipped]).in_file(descriptor, most_bytes=2 * part) == ({0}, 2 * part, len(data))
    os.close(descriptor)


@pytest.mark.parametrize("size", [0, 5, 1_000_000])
def test_a_file_that_grows_or_shrinks_meanwhile_was_searched_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Else the record of the erasure would say that only a part was searched."""
    path = tmp_path / "file"
    path.write_bytes(bytes(1000))
    read = os.pread

    def read_late(descriptor: int, count: int, start: int) -> bytes:
        os.truncate(path, size)
        return read(descriptor, count, start)

    monkeypatch.setattr(os, "pread", read_late)
    descriptor = os.open(path, os.O_RDONLY)
    assert ByteSearch([noise(64, 1)]).in_file(descriptor, most_bytes=1 << 40) == (set(), size, size)
    os.close(descriptor)


def test_values_that_say_nothing_are_not_searched_for() -> None:
    assert is_searchable(noise(64, 1))
    assert not is_searchable(noise(MIN_BYTES - 1, 1))
    assert not is_searchable(bytes(64))
    assert not is_searchable(b"ab" * 32)
