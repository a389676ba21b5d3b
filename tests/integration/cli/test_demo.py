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
