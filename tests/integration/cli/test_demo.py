"""scripts/demo.py."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_demo_finds_one_man_in_the_squad(run: Run, tmp_path: Path) -> None:
    result = run("demo.py", "--out", tmp_path / "out", "--json")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["found"] is True
    assert len(answer["faces"]) >= 22
    assert all(len(face["identification"]["candidates"]) == 2 for face in answer["faces"]), "a runner-up for each"
    assert cv2.imread(answer["picture"]) is not None
    written = [tmp_path / "out", *(tmp_path / "out").rglob("*")]
    assert len([path for path in written if path.is_file()]) == 3
    assert all(path.stat().st_mode & 0o077 == 0 for path in written), "its owner's alone"
