"""Files of rows that a killed process leaves, and two processes on one output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from facet.batch.output import Dataset, Lines, OutputError, open_output
from facet.batch.rows import SCHEMA


def row(path: str) -> dict[str, Any]:
    query = {"gallery": "g", "face": "", "top_k": 5, "threshold": None, "distinct_subjects": False}
    return {"path": path, "query": query, "width": 1, "height": 1, "faces": [], "error": None}


@pytest.mark.parametrize("torn", [b"{", b'{"path": "c", "que', json.dumps(row("c")).encode()])
def test_an_incomplete_last_line_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    file = tmp_path / "found.jsonl"
    lines = Lines(file)
    lines.add(row("a"))
    lines.add(row("b"))
    lines.close()
    with file.open("ab") as end:
        end.write(torn)
    lines = Lines(file)
    lines.add(row("d"))
    assert [each["path"] for each in lines.rows()] == ["a", "b", "d"]
    lines.close()


def test_rows_that_are_both_in_a_part_and_lines_are_read_once(tmp_path: Path) -> None:
    folder = tmp_path / "found.parquet"
    output = Dataset(folder)
    output.add(row("a"))
    output.close()
    pending = Lines(folder / "_pending.jsonl")  # as left by a process killed after it wrote the part
    pending.add(row("a"))
    pending.close()
    (folder / ".part-000002.parquet.partial").write_bytes(b"PAR1")
    output = Dataset(folder)
    output.add(row("b"))
    assert [each["path"] for each in output.rows()] == ["a", "b"]
    output.close()
    assert ds.dataset(folder).to_table()["path"].to_pylist() == ["a", "b"]
    assert sorted(path.name for path in folder.iterdir()) == ["part-000001.parquet", "part-000002.parquet"]
    assert ds.dataset(folder).schema == SCHEMA


@pytest.mark.parametrize("name", ["found.jsonl", "found.parquet"])
def test_an_output_is_open_in_one_run_at_a_time(tmp_path: Path, name: str) -> None:
    output = open_output(tmp_path / name)
    with pytest.raises(OutputError, match="another process"):
        open_output(tmp_path / name)
    output.close()
    open_output(tmp_path / name).close()
