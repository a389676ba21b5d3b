"""The table of docs/reliability.md has a row for each promise that a test proves, and no other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.faults.matrix.table import DOCUMENT, committed, rows

ROOT = Path(__file__).resolve().parents[3]


def test_the_document_has_the_rows_of_the_tests() -> None:
    command = [sys.executable, "-m", "tests.faults.matrix", "--list"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
    document = committed(DOCUMENT.read_text("utf-8"))
    assert list(document) == list(rows(result.stdout)), "run python -m tests.faults.matrix --write"
    assert "-" not in document.values()
