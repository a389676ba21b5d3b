"""``bench.py replacement``, ``strangers`` and ``impostors`` on the people of a packaged picture."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from facet import Client

if TYPE_CHECKING:
    from tests.conftest import Pictures

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Report = Callable[..., dict[str, Any]]


@pytest.fixture
def people(client: Client, pictures: Pictures, tmp_path: Path) -> Path:
    """A folder for each person of a picture, with a picture of the head and its mirror image."""
    picture = np.asarray(cv2.imdecode(np.frombuffer(pictures.six, np.uint8), cv2.IMREAD_COLOR))
    for number, found in enumerate(client.analyze_faces(pictures.six).faces):
        box = found.face.box
        side, x, y = box.y2 - box.y1, (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
        left, top = (max(0, round(edge - side)) for edge in (x, y))
        head = picture[top : round(y + side), left : round(x + side)]
        folder = tmp_path / "people" / f"person {number}"
        folder.mkdir(parents=True)
        for name, each in (("1.png", head), ("2.png", head[:, ::-1])):
            cv2.imwrite(str(folder / name), each)
    return tmp_path / "people"


@pytest.fixture
def report_of(bench: Run) -> Report:
    """The report of a benchmark as a program reads it."""

    def report(*arguments: str) -> dict[str, Any]:
        done = bench(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        read: dict[str, Any] = json.loads(done.stdout)
        return read

    return report


def test_no_frame_has_the_name_of_somebody_who_was_replaced(report_of: Report, people: Path) -> None:
    report = report_of("replacement", str(people), "--trials", "3", "--fps", "1", "--fps", "15", "--seconds", "0.4")
    assert report["frames_wrong"] == 0
    assert [rate["fps"] for rate in report["rates"]] == [1, 15]
    assert all(rate["trials"] >= 1 and rate["named_share"] > 0.6 for rate in report["rates"]), report


def test_no_stranger_is_named(report_of: Report, people: Path) -> None:
    (size,) = report_of("strangers", str(people), "--size", "1", "--tries", "2")["sizes"]
    assert (size["subjects"], size["tries"], size["named"]) == (1, 2, 0)


def test_strangers_are_measured_against_the_threshold_of_streams(report_of: Report, people: Path) -> None:
    report = report_of("impostors", str(people), "--size", "1", "--size", "2")
    assert report["people"] == 6
    assert report["enrolled"] >= 4
    assert [size["subjects"] for size in report["sizes"]] == [1, 2]
    assert all(size["one_in_1000"] < 0.6 for size in report["sizes"]), report
