"""evaluate.py and bench.py, as a person or a program runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from facet.v1.gallery_service_pb2 import ListGalleriesRequest

if TYPE_CHECKING:
    from facet import Client
    from tests.conftest import Pictures, Serving

ROOT = Path(__file__).resolve().parents[2]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}

    def start(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "scripts" / script), *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120, check=False
        )

    return start


@pytest.fixture
def images(tmp_path: Path, pictures: Pictures) -> Path:
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


def protocol(folder: Path, *lines: str) -> Path:
    path = folder / "protocol.csv"
    path.write_text("\n".join(("role,subject,image", *lines)), "utf-8")
    return path


def labels(folder: Path, *lines: str) -> Path:
    path = folder / "labels.txt"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_identification_counts_everybody_and_leaves_no_gallery_behind(
    run: Run, server: Serving, client: Client, images: Path, tmp_path: Path
) -> None:
    path = protocol(
        tmp_path,
        "gallery,Yao Ming,yaoming.jpg",
        "gallery,Nobody,wall.png",
        "mated,Yao Ming,mirrored.png",
        "mated,Yao Ming,wall.png",
        "mated,Nobody,gdp.jpg",
        "nonmated,Somebody,gdp.jpg",
        "nonmated,Ghost,wall.png",
    )
    arguments = ("identification", "--protocol", path, "--images", images, "--address", server.address)
    done = run("evaluate.py", *arguments, "--json", "--mistakes", 5)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["rank_1"] == pytest.approx(1 / 3)
    assert report["fnir@fpir=0.1"] == report["fnir@fpir=0.01"] == pytest.approx(2 / 3)
    assert (report["fpir"], report["fnir"], report["precision"]) == (0.0, pytest.approx(2 / 3), 1.0)
    assert (report["gallery"], report["mated"], report["nonmated"]) == (2, 3, 2)
    assert (report["failed_to_detect"], report["failed_to_enroll"]) == (2, 1)
    assert report["not_enrolled"] == [{"image": "wall.png", "subject": "Nobody", "reason": "FACE_NOT_FOUND"}]
    assert report["deployed_threshold"] == 0.34
    assert report["refused"] == []
    assert [each["image"] for each in report["mistakes"]["misses"]] == ["wall.png", "gdp.jpg"]
    left = client.galleries.ListGalleries(ListGalleriesRequest()).galleries
    assert not [each.gallery_id for each in left if each.gallery_id.startswith("evaluation-")]


def test_identification_starts_a_server_of_its_own_and_prints_a_table(run: Run, images: Path, tmp_path: Path) -> None:
    path = protocol(tmp_path, "gallery,Yao Ming,yaoming.jpg", "mated,Yao Ming,mirrored.png", "nonmated,X,gdp.jpg")
    done = run("evaluate.py", "identification", "--protocol", path, "--images", images)
    assert done.returncode == 0, done.stderr
    assert "rank_1" in done.stdout
    assert "1.0000" in done.stdout


def test_detection_judges_the_pictures_that_are_there(run: Run, server: Serving, images: Path, tmp_path: Path) -> None:
    ordinary = "0 0 0 0 0 0"
    path = labels(
        tmp_path,
        "yaoming.jpg",
        "2",
        f"75 75 100 140 {ordinary}",
        f"0 0 30 30 {ordinary}",
        "gdp.jpg",
        "4",
        f"350 118 60 85 {ordinary}",
        f"131 44 60 74 {ordinary}",
        "268 61 62 89 0 0 0 1 0 0",
        "0 279 29 10 0 0 0 0 0 0",
        "wall.png",
        "0",
        "0 0 0 0 0 0 0 0 0 0",
        "elsewhere.jpg",
        "1",
        f"0 0 30 30 {ordinary}",
    )
    arguments = ("detection", "--labels", path, "--images", images, "--address", server.address, "--json")
    done = run("evaluate.py", *arguments)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["recall_20_40"], report["recall_40_80"], report["recall_80"]) == (0.0, 1.0, 1.0)
    assert (report["faces_20_40"], report["faces_40_80"], report["faces_80"]) == (1, 1, 2)
    assert (report["true_positives"], report["false_positives"], report["ignored"]) == (3, 3, 1)
    assert report["precision"] == 0.5
    assert report["false_positives_per_image"] == 1.0
    assert (report["images"], report["images_missing"]) == (3, 1)


def test_a_picture_that_is_refused_counts_as_missed_and_fails_the_run(
    run: Run, server: Serving, images: Path, tmp_path: Path
) -> None:
    path = labels(tmp_path, "broken.jpg", "1", "10 10 90 90 0 0 0 0 0 0")
    arguments = ("detection", "--labels", path, "--images", images, "--address", server.address, "--json")
    done = run("evaluate.py", *arguments)
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["recall_80"] == 0.0
    assert report["precision"] is None
    assert report["refused"] == [{"image": "broken.jpg", "reason": "INVALID_PICTURE"}]
    assert "broken.jpg" in done.stderr


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["gallery,Yao Ming,yaoming.jpg", "probe,Yao Ming,gdp.jpg"], "line 3: role is 'probe'"),
        (["gallery,Yao Ming,nowhere.jpg"], "line 2: there is no picture"),
    ],
)
def test_a_wrong_protocol_is_bad_usage(run: Run, images: Path, tmp_path: Path, lines: list[str], problem: str) -> None:
    path = protocol(tmp_path, *lines)
    done = run("evaluate.py", "identification", "--protocol", path, "--images", images)
    assert done.returncode == 2
    assert f"{path}, {problem}" in done.stderr


def test_labels_of_other_pictures_are_bad_usage(run: Run, images: Path, tmp_path: Path) -> None:
    path = labels(tmp_path, "elsewhere.jpg", "0")
    done = run("evaluate.py", "detection", "--labels", path, "--images", images)
    assert done.returncode == 2
    assert "none of them is in" in done.stderr


@pytest.mark.parametrize("address", [(), ("--address", "127.0.0.1:1")])
def test_root_certificates_that_cannot_be_used_are_bad_usage(
    run: Run, images: Path, tmp_path: Path, address: tuple[str, ...]
) -> None:
    path = labels(tmp_path, "gdp.jpg", "0")
    arguments = ("detection", "--labels", path, "--images", images, "--root-certificates", tmp_path / "none.pem")
    done = run("evaluate.py", *arguments, *address)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_server_that_is_not_there_is_said_in_one_line(run: Run, images: Path, tmp_path: Path) -> None:
    path = labels(tmp_path, "gdp.jpg", "0")
    done = run("evaluate.py", "detection", "--labels", path, "--images", images, "--address", "127.0.0.1:1")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "no server answers at 127.0.0.1:1: start one with scripts/serve.py, or name another with --address"
    ]


def test_the_wire_is_measured_against_the_work_in_process(run: Run, images: Path) -> None:
    done = run("bench.py", "wire", "--picture", images / "gdp.jpg", "--rounds", 1, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["picture"], report["faces"], report["rounds"]) == ("gdp.jpg", 6, 1)
    assert report["bytes"] == (images / "gdp.jpg").stat().st_size
    assert report["grpc_ms"] > report["server_total_ms"] > 0
