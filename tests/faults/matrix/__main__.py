"""Brings every fault about, and prints what was promised and what was seen: ``python -m tests.faults.matrix``."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from tests.faults.matrix.collecting import Matrix
from tests.faults.matrix.table import DOCUMENT, committed, rendered, written
from tests.faults.promises import MARKER

TESTS = Path(__file__).resolve().parents[2]
PROOFS = ("faults", "integration/gallery/stores/milvus")
"""The folders of the tests that prove a row."""


def main() -> int:
    """Run the tests; 0 if every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.matrix", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write the table into docs/{DOCUMENT.name}")
    parser.add_argument("--rounds", type=int, default=1, help="times as many kills as a test run makes; default 1")
    parser.add_argument("-k", dest="some", default="", help="only some tests, as in pytest; other rows stay")
    parser.add_argument("--list", action="store_true", help="bring nothing about, only print the promises")
    arguments = parser.parse_args()
    os.environ["FAULT_ROUNDS"] = str(arguments.rounds)
    matrix = Matrix()
    flags = ["--collect-only"] if arguments.list else []
    folders = [str(TESTS / folder) for folder in PROOFS]
    with redirect_stdout(sys.stderr):
        code = int(pytest.main(["-q", *flags, "-m", MARKER, "-k", arguments.some, *folders], plugins=[matrix]))
    if arguments.list:
        sys.stdout.write(rendered({promise: ["-"] for promise in matrix.rows}))
        return code
    if matrix.failed:
        sys.stderr.write(f"failed: {', '.join(matrix.failed)}\n")
        return code or 1
    # What was not run, or cannot be brought about on this machine, is as the document has it.
    document = DOCUMENT.read_text("utf-8")
    before = committed(document)
    table = rendered({promise: seen or [before.get(promise, "-")] for promise, seen in matrix.rows.items()})
    if arguments.write:
        DOCUMENT.write_text(written(document, table), "utf-8")
    else:
        sys.stdout.write(table)
    return code


if __name__ == "__main__":
    sys.exit(main())
