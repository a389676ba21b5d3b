"""Comparison of reports through evaluate.py."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_reports_that_cannot_be_compared_are_refused(run: Run, tmp_path: Path) -> None:
    frame: dict[str, Any] = {"kind": "latency", "partial": False, "provenance": {"data_set": {"sha256": "a"}}}
    files = {
        "a": json.dumps(frame),
        "b": json.dumps(frame | {"provenance": {"data_set": {"sha256": "b"}}}),
        "ragged": json.dumps(frame | {"kind": "verification", "items": {"subjects": "a", "a": [0], "b": ["0"]}}),
        "list": "[]",
        "broken": '{"kind":\n',
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    for first, second, code, problem in (
        ("a", "b", 2, "labels or pictures differ"),
        ("a", "list", 1, "is not a report of facet evaluate"),
        ("a", "broken", 1, "line 2: is not JSON"),
        ("a", "nowhere", 1, "cannot read"),
        ("a", "a", 1, "is not a report of this version of facet evaluate"),
        ("ragged", "ragged", 1, "is not a report of this version of facet evaluate"),
    ):
        done = run("compare", tmp_path / first, tmp_path / second)
        assert done.returncode == code, done.stdout
        assert problem in done.stderr
        assert len(done.stderr.splitlines()) == 1
