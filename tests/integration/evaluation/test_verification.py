"""Verification through evaluate.py."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from facet import CENTRAL, Client, FailedPrecondition, picture
from facet.v1.recognition_service_pb2 import AnalyzeFacesRequest

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving


Run = Callable[..., "subprocess.CompletedProcess[str]"]
UnknownFigures = Callable[[dict[str, Any]], list[str]]


@pytest.fixture
def images(tmp_path: Path, pictures: Pictures) -> Path:
    """Three pictures each of two people, a picture without a face, and a broken one."""
    folder = tmp_path / "images"
    squad = cv2.imdecode(np.frombuffer(pictures.six, np.uint8), cv2.IMREAD_COLOR)
    portrait = cv2.imdecode(np.frombuffer(pictures.yaoming, np.uint8), cv2.IMREAD_COLOR)
    assert squad is not None
    assert portrait is not None
    for name, original in (("yao", portrait), ("six", squad)):
        (folder / name).mkdir(parents=True)
        cv2.imwrite(str(folder / name / "1.png"), original)
        cv2.imwrite(str(folder / name / "2.png"), np.ascontiguousarray(original[:, ::-1]))
        cv2.imwrite(str(folder / name / "3.png"), cv2.convertScaleAbs(original, alpha=0.8))
    cv2.imwrite(str(folder / "yao" / "wall.png"), np.full((200, 200, 3), 128, np.uint8))
    (folder / "yao" / "broken.jpg").write_bytes(pictures.gdp[:1000])
    return folder


SAME = [f"{who}/{a}.png,{who}/{b}.png,1" for who in ("yao", "six") for a, b in ((1, 2), (1, 3), (3, 2))]
DIFFERENT = [f"yao/{a}.png,six/{b}.png,0" for a in (1, 2, 3) for b in (1, 2, 3)]


def pairs(folder: Path, *lines: str) -> Path:
    path = folder / "pairs.csv"
    path.write_text("\n".join(("image_a,image_b,same", *lines)), "utf-8")
    return path


def verify(images: Path, path: Path, *arguments: object) -> tuple[object, ...]:
    return "verification", "--pairs", path, "--images", images, *arguments


def test_every_pair_counts_and_the_similarities_equal_those_of_verify(
    run: Run, server: Serving, images: Path, tmp_path: Path, unknown_figures: UnknownFigures
) -> None:
    path = pairs(tmp_path, *SAME, *DIFFERENT, "yao/1.png,yao/wall.png,1", "yao/wall.png,six/1.png,0")
    done = run(*verify(images, path, "--address", server.address, "--json"))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert unknown_figures(report) == []
    assert (report["kind"], report["pairs"], report["genuine"], report["impostors"]) == ("verification", 17, 7, 10)
    assert report["frr"]["value"] == pytest.approx(1 / 7)
    assert report["far"]["value"] == 0
    assert report["far"]["high"] > 0
    assert (report["precision"]["value"], report["recall"]["value"]) == (1, pytest.approx(6 / 7))
    assert report["deployed_accuracy"]["value"] == pytest.approx(16 / 17)
    assert (report["failed_to_detect"], report["pairs_without_face"]) == (1, 2)
    assert report["tar@far=1e-2"]["value"] is None
    assert "too few impostors" in report["tar@far=1e-2"]["note"]
    assert (report["verify_checked"], report["verify_max_difference"] < 1e-4) == (17, True)
    missed = report["mistakes"]["misses"]
    assert [(each["image_b"], each["similarity"], each["failure"]) for each in missed] == [
        ("yao/wall.png", None, "FACE_NOT_FOUND")
    ]
    assert report["provenance"]["data_set"]["labels"] == "pairs.csv"
    assert str(tmp_path) not in done.stdout


def test_two_runs_differ_only_in_their_times(run: Run, server: Serving, images: Path, tmp_path: Path) -> None:
    path = pairs(tmp_path, *SAME, *DIFFERENT)
    reports = []
    for number in range(2):
        folder = tmp_path / f"report{number}"
        done = run(*verify(images, path, "--address", server.address, "--report", folder, "--json"))
        assert done.returncode == 0, done.stderr
        reports.append(json.loads((folder / "report.json").read_text("utf-8")))
        assert reports[-1] == json.loads(done.stdout)
    assert {**reports[0], "times": None} == {**reports[1], "times": None}
    compared = run("compare", tmp_path / "report0", tmp_path / "report1" / "report.json", "--json")
    assert compared.returncode == 0, compared.stderr
    found = json.loads(compared.stdout)
    assert (found["paired"], found["changed"]) == (True, [])
    assert {each["verdict"] for each in found["figures"]} == {"same", "not told"}


def test_an_unmet_requirement_fails_the_run(run: Run, server: Serving, images: Path, tmp_path: Path) -> None:
    path = pairs(tmp_path, *SAME, *DIFFERENT)
    required = ("--require", "far<=0.001", "--require", "frr>0.5")
    done = run(*verify(images, path, "--address", server.address, *required))
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["not met: frr>0.5: frr is 0"]
    assert "accuracy" in done.stdout


def test_a_refused_picture_is_named_and_fails_the_run(run: Run, server: Serving, images: Path, tmp_path: Path) -> None:
    path = pairs(tmp_path, *SAME, *DIFFERENT, "yao/1.png,yao/broken.jpg,1")
    done = run(*verify(images, path, "--address", server.address, "--json"))
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["refused"] == [{"image": "yao/broken.jpg", "reason": "INVALID_PICTURE"}]
    assert report["frr"]["value"] == pytest.approx(1 / 7)
    assert "refused: yao/broken.jpg: INVALID_PICTURE" in done.stderr


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["yao/1.png,yao/9.png,1"], "line 2: there is no picture"),
        (SAME, "has no pair of two people"),
        (["yao/1.png,yao/2.png,maybe"], "line 2: same is 'maybe'"),
        (["yao/1.png,yao,1"], "line 2: cannot read the picture"),
    ],
)
def test_malformed_pairs_fail_before_anything_is_measured(
    run: Run, images: Path, tmp_path: Path, lines: list[str], problem: str
) -> None:
    path = pairs(tmp_path, *lines)
    done = run(*verify(images, path))
    assert done.returncode == 1
    assert done.stderr.startswith(str(path))
    assert problem in done.stderr


def test_missing_files_and_folders_are_named(run: Run, images: Path, tmp_path: Path) -> None:
    nowhere, path = tmp_path / "nowhere", pairs(tmp_path, *SAME, *DIFFERENT)
    for done in (
        run(*verify(images, nowhere)),
        run(*verify(nowhere, path)),
        run("latency", "--images", nowhere),
        run("identification", "--gallery", nowhere, "--probes", images),
        run("detection", "--labels", nowhere, "--images", images),
        run("compare", nowhere, path),
    ):
        assert done.returncode == 1
        assert str(nowhere) in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("requirement", "hint"), [("acuracy>=1", "did you mean accuracy?"), ("rank_1>=0.9", "it has accuracy, ")]
)
def test_a_requirement_on_a_figure_that_there_is_not_is_a_usage_error(
    run: Run, images: Path, tmp_path: Path, requirement: str, hint: str
) -> None:
    done = run(*verify(images, pairs(tmp_path, *SAME, *DIFFERENT), "--require", requirement))
    assert (done.returncode, done.stdout) == (2, "")
    assert hint in done.stderr


def test_a_malformed_requirement_is_a_usage_error(run: Run, images: Path, tmp_path: Path) -> None:
    done = run(*verify(images, pairs(tmp_path, *SAME, *DIFFERENT), "--require", "accuracy"))
    assert done.returncode == 2
    assert "is not a requirement" in done.stderr


def test_analyze_faces_embeds_the_chosen_face_as_verify_embeds_reference_and_probe(
    client: Client, pictures: Pictures
) -> None:
    def embedded(source: bytes, *, as_template: bool) -> np.ndarray[Any, np.dtype[np.float32]]:
        answer = client.recognition.AnalyzeFaces(
            AnalyzeFacesRequest(
                picture=picture(source), face=CENTRAL, include_embeddings=True, embed_as_templates=as_template
            )
        )
        assert len(answer.faces) == 1
        return np.array(answer.faces[0].embedding.values, np.float32)

    compared = client.verify(pictures.players, pictures.six, reference_face=CENTRAL, probe_face=CENTRAL).similarity
    template, probe = embedded(pictures.players, as_template=True), embedded(pictures.six, as_template=False)
    assert float(template @ probe) == pytest.approx(compared, abs=1e-5)
    assert float(template @ embedded(pictures.players, as_template=False)) < 0.9999
    wall = cv2.imencode(".png", np.full((200, 200, 3), 128, np.uint8))[1].tobytes()
    with pytest.raises(FailedPrecondition) as raised:
        embedded(wall, as_template=False)
    assert raised.value.reason == "FACE_NOT_FOUND"
