"""What the tests of the evaluation share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from facet.evaluation.report.figure_names import no_such

if TYPE_CHECKING:
    from facet import Client
    from tests.conftest import Pictures

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(run_script: Run) -> Run:
    """Run a command of evaluate.py."""
    return partial(run_script, "evaluate.py")


@pytest.fixture
def images(tmp_path: Path, pictures: Pictures) -> Path:
    """Two pictures with faces, a mirrored one, one without a face, and one that is damaged."""
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "yaoming.jpg").write_bytes(pictures.yaoming)
    (folder / "gdp.jpg").write_bytes(pictures.gdp)
    (folder / "broken.jpg").write_bytes(pictures.gdp[:1000])
    portrait = cv2.imdecode(np.frombuffer(pictures.yaoming, np.uint8), cv2.IMREAD_COLOR)
    assert portrait is not None
    cv2.imwrite(str(folder / "mirrored.png"), np.ascontiguousarray(portrait[:, ::-1]))
    cv2.imwrite(str(folder / "wall.png"), np.full((200, 200, 3), 128, np.uint8))
    return folder


@pytest.fixture
def galleries_left(client: Client) -> Callable[[], list[str]]:
    """List the galleries that evaluations created and did not delete."""

    def galleries() -> list[str]:
        ids = [gallery.gallery_id for gallery in client.iter_galleries()]
        return [each for each in ids if each.startswith(("evaluation-", "latency-"))]

    return galleries


UnknownFigures = Callable[[dict[str, Any]], list[str]]


@pytest.fixture
def unknown_figures() -> UnknownFigures:
    """List the figures of a report that a requirement could not name."""

    def unknown(report: dict[str, Any]) -> list[str]:
        numbers = (int, float)
        return [
            name
            for name, value in report.items()
            if (isinstance(value, numbers) or (isinstance(value, dict) and "low" in value))
            and name != "partial"
            and no_such(name, report["kind"])
        ]

    return unknown
