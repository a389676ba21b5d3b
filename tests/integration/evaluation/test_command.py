"""Errors of evaluate.py, and bench.py wire."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(run_script: Run) -> Run:
    return run_script


def labels(folder: Path, *lines: str) -> Path:
    path = folder / "labels.txt"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_labels_of_other_pictures_fail(run: Run, images: Path, tmp_path: Path) -> None:
    path = labels(tmp_path, "elsewhere.jpg", "0")
    done = run("evaluate.py", "detection", "--labels", path, "--images", images)
    assert done.returncode == 1
    assert "none of them is in" in done.stderr


@pytest.mark.parametrize("address", [(), ("--address", "127.0.0.1:1")])
def test_unusable_root_certificates_are_a_usage_error(
    run: Run, images: Path, tmp_path: Path, address: tuple[str, ...]
) -> None:
    path = labels(tmp_path, "gdp.jpg", "0")
    arguments = ("detection", "--labels", path, "--images", images, "--root-certificates", tmp_path / "none.pem")
    done = run("evaluate.py", *arguments, *address)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_an_unreachable_server_is_reported_in_one_line(run: Run, images: Path, tmp_path: Path) -> None:
    path = labels(tmp_path, "gdp.jpg", "0")
    done = run("evaluate.py", "detection", "--labels", path, "--images", images, "--address", "127.0.0.1:1")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"no server answers at 127.0.0.1:1: start one with {SCRIPTS}/serve.py, or name another with --address"
    ]


def test_the_wire_benchmark_compares_grpc_with_the_time_of_the_server(run: Run, images: Path) -> None:
    done = run("bench.py", "wire", "--picture", images / "gdp.jpg", "--rounds", 1, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["picture"], report["faces"], report["rounds"]) == ("gdp.jpg", 6, 1)
    assert report["bytes"] == (images / "gdp.jpg").stat().st_size
    assert report["grpc_ms"] > report["server_total_ms"] > 0
