"""Latency through evaluate.py."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving


Run = Callable[..., "subprocess.CompletedProcess[str]"]
UnknownFigures = Callable[[dict[str, Any]], list[str]]
GalleriesLeft = Callable[[], list[str]]


@pytest.fixture
def images(tmp_path: Path, pictures: Pictures) -> Path:
    """Seven pictures."""
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    for number in range(6):
        (folder / f"{number}.jpg").write_bytes(pictures.yaoming)
    (folder / "more" / "squad.jpg").write_bytes(pictures.six)
    return folder


def test_latency_covers_the_call_and_its_stages(
    run: Run,
    server: Serving,
    galleries_left: GalleriesLeft,
    images: Path,
    tmp_path: Path,
    unknown_figures: UnknownFigures,
) -> None:
    arguments = ("latency", "--images", images, "--rounds", 3, "--clients", 2, "--address", server.address)
    done = run(*arguments, "--json", "--report", tmp_path / "report")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert unknown_figures(report) == []
    assert (report["kind"], report["calls"], report["images"]) == ("latency", 21, 7)
    assert report["p50_ms"]["low"] <= report["p50_ms"]["value"] <= report["p50_ms"]["high"]
    assert report["p99_ms"] == {"value": None, "low": None, "high": None, "note": "too few calls: 21, 100 needed"}
    stages = {row["stage"]: row["mean_ms"] for row in report["tables"]["stages"]}
    assert stages["total"] > stages["embed"] > 0
    assert galleries_left() == []


def test_either_embedding_model_of_a_server_is_timed(run: Run, serve: Serve, second_model: Path, images: Path) -> None:
    serving = serve("--models.objects", "none", "--models.embedding-next", str(second_model))
    arguments = ("latency", "--images", images, "--rounds", 1, "--address", serving.address, "--json")
    analyze = (*arguments, "--method", "analyze", "--model")
    for name in ("w600k_mbf", "second"):
        done = run(*analyze, name)
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert (report["calls"], report["provenance"]["configuration"]["model"]) == (7, name)
        assert {row["stage"]: row["mean_ms"] for row in report["tables"]["stages"]}["embed"] > 0
    unknown = run(*analyze, "third")
    assert unknown.returncode == 1
    assert "--model third: the server has no such embedding model; loaded: w600k_mbf, second" in unknown.stderr
    identify = run(*arguments, "--model", "second")
    assert identify.returncode == 2
    assert "--model is for analyze" in identify.stderr
