"""Tracks and pan through evaluate.py."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import Serving


RATE = 15
"""Frames per second: as few as the tracker can still follow."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]
UnknownFigures = Callable[[dict[str, Any]], list[str]]
GalleriesLeft = Callable[[], list[str]]


@pytest.fixture
def clip(run: Run, tmp_path: Path) -> Path:
    done = run("pan", tmp_path / "pan", "--fps", RATE, "--pace", 180, "--json")
    assert done.returncode == 0, done.stderr
    return tmp_path / "pan"


def measured(clip: Path) -> tuple[object, ...]:
    return "tracks", "--video", clip / "clip.mp4", "--labels", clip / "labels.csv", "--gallery", clip / "people"


def test_only_the_enrolled_man_is_named_while_his_face_is_visible(
    run: Run,
    clip: Path,
    server: Serving,
    galleries_left: GalleriesLeft,
    tmp_path: Path,
    unknown_figures: UnknownFigures,
) -> None:
    out = tmp_path / "report"
    require = ("--require", "named_share>=0.8", "--require", "false_names<=0", "--threshold", 0.34)
    done = run(*measured(clip), "--address", server.address, "--json", "--report", out, *require)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert unknown_figures(report) == []
    assert report["kind"] == "tracks"
    assert (report["presences"], report["subjects"], report["strangers"]) == (3, 1, 1)
    assert report["identified_within_1s"]["value"] == 1.0
    assert report["worst_seconds_to_identify"]["value"] <= 1.0
    assert report["strangers_named"]["value"] == 0.0
    assert report["frames"] == round(report["clip_seconds"] * RATE)
    assert [item["presence"] for item in report["items"]] == ["there", "and back", "after a cut"]
    assert {row["name"] for row in report["curves"]["timeline"]["rows"]} == {"yao-ming", "strangers"}
    assert json.loads((out / "report.json").read_text("utf-8")) == report
    assert "Who was there, and who was named" in (out / "report.html").read_text("utf-8")
    assert galleries_left() == []


def test_malformed_labels_fail_with_their_line_before_anything_is_measured(run: Run, clip: Path) -> None:
    (clip / "labels.csv").write_text("start,end,subject\n0,1,yao-ming\n1,0,yao-ming\n", "utf-8")
    done = run(*measured(clip), "--address", "127.0.0.1:1")
    assert done.returncode == 1
    assert "labels.csv, line 3: start is 1 and end 0" in done.stderr


def test_a_file_that_is_not_a_video_fails(run: Run, clip: Path) -> None:
    (clip / "clip.mp4").write_bytes(b"no video")
    done = run(*measured(clip), "--address", "127.0.0.1:1")
    assert done.returncode == 1
    assert "clip.mp4: is no video that can be decoded" in done.stderr


def test_only_rejects_a_subject_who_is_not_in_the_gallery(run: Run, clip: Path) -> None:
    done = run(*measured(clip), "--only", "nobody", "--address", "127.0.0.1:1")
    assert done.returncode == 2
    assert "has no folder nobody" in done.stderr
