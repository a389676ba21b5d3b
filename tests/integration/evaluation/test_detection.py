"""Detection through evaluate.py and from a program, with labels of every format."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from facet import AsyncClient, picture
from facet.evaluation.datasets.labelled import LabelledSet, labelled
from facet.evaluation.detection.run import run_detection
from facet.v1 import recognition_service_pb2 as pb

if TYPE_CHECKING:
    from facet import Client
    from tests.conftest import Pictures, Serve, Serving

ORDINARY = "0 0 0 0 0 0"

Run = Callable[..., "subprocess.CompletedProcess[str]"]
UnknownFigures = Callable[[dict[str, Any]], list[str]]


@pytest.fixture
def run(run_script: Run) -> Run:
    return partial(run_script, "evaluate.py", "detection")


@pytest.fixture
def images(tmp_path: Path, pictures: Pictures) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "yaoming.jpg").write_bytes(pictures.yaoming)
    (folder / "gdp.jpg").write_bytes(pictures.gdp)
    (folder / "street.png").write_bytes(pictures.street)
    (folder / "broken.jpg").write_bytes(pictures.gdp[:1000])
    cv2.imwrite(str(folder / "wall.png"), np.full((200, 200, 3), 128, np.uint8))
    return folder


def wider(folder: Path, *lines: str) -> Path:
    path = folder / "labels.txt"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def reported(done: subprocess.CompletedProcess[str], code: int = 0) -> dict[str, Any]:
    assert done.returncode == code, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def values_of(report: dict[str, Any], *names: str) -> list[float | None]:
    return [report[name]["value"] for name in names]


def test_allow_missing_judges_the_faces_of_the_pictures_that_exist(
    run: Run, server: Serving, images: Path, tmp_path: Path, unknown_figures: UnknownFigures
) -> None:
    path = wider(
        tmp_path,
        "yaoming.jpg",
        "2",
        f"75 75 100 140 {ORDINARY}",
        f"0 0 30 30 {ORDINARY}",
        "gdp.jpg",
        "4",
        f"350 118 60 85 {ORDINARY}",
        f"131 44 60 74 {ORDINARY}",
        "268 61 62 89 0 0 0 1 0 0",
        "0 279 29 10 0 0 0 0 0 0",
        "wall.png",
        "0",
        "0 0 0 0 0 0 0 0 0 0",
        "elsewhere.jpg",
        "1",
        f"0 0 30 30 {ORDINARY}",
    )
    arguments = ("--labels", path, "--images", images, "--address", server.address, "--json", "--allow-missing")
    report = reported(run(*arguments))
    assert unknown_figures(report) == []
    assert values_of(report, "recall_20_40", "recall_40_80", "recall_80") == [0.0, 1.0, 1.0]
    assert (report["faces"], report["faces_20_40"], report["faces_40_80"], report["faces_80"]) == (4, 1, 1, 2)
    assert (report["true_positives"], report["false_positives"], report["ignored"]) == (3, 3, 1)
    assert values_of(report, "precision", "recall", "f1") == [0.5, 0.75, pytest.approx(0.6)]
    assert report["precision"]["low"] <= 0.5 <= report["precision"]["high"]
    assert 0 < report["ap50"]["value"] < 1
    assert report["ap50_95"]["value"] <= report["ap50"]["value"]
    assert values_of(report, "false_positives_per_image") == [1.0]
    assert (report["images"], report["images_missing"]) == (3, 1)
    assert (report["task"], report["deployed_score"], report["iou"]) == ("faces", 0.41, 0.4)
    assert [each["image"] for each in report["items"]] == ["yaoming.jpg", "gdp.jpg", "wall.png"]
    second = report["items"][1]
    assert (second["tp"], second["fp"], second["fn"], second["ignored"]) == (2, 3, 0, 1)
    assert sorted(verdict for _, verdict in second["detections"]) == [-1, 0, 0, 0, 1, 1]
    (miss,) = report["mistakes"]["misses"]
    assert miss == {"image": "yaoming.jpg", "box": [0, 0, 30, 30], "height": 30}
    assert len(report["mistakes"]["false_positives"]) == 3
    again = reported(run(*arguments))
    assert again.pop("times")["seconds"] > 0
    assert again == {name: value for name, value in report.items() if name != "times"}


def test_beside_insightface_the_report_tells_recall_at_equal_precision(
    run: Run, server: Serving, images: Path, tmp_path: Path, unknown_figures: UnknownFigures
) -> None:
    path = wider(
        tmp_path,
        *("yaoming.jpg", "2", f"75 75 100 140 {ORDINARY}", f"0 0 30 30 {ORDINARY}"),
        *("gdp.jpg", "2", f"350 118 60 85 {ORDINARY}", f"131 44 60 74 {ORDINARY}"),
    )
    out = tmp_path / "out"
    arguments = ("--labels", path, "--images", images, "--address", server.address, "--search", "thorough")
    done = run(*arguments, "--beside", "scrfd640", "--report", out)
    assert done.returncode == 0, done.stderr
    assert "Beside InsightFace's SCRFD at 640" in done.stdout
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert unknown_figures(report) == []
    assert values_of(report, "recall", "beside_recall", "gain_recall") == [0.75, 0.75, 0.0]
    assert values_of(report, "beside_recall_20_40", "beside_recall_80", "gain_recall_80") == [0.0, 1.0, 0.0]
    assert report["beside_precision"]["value"] >= report["precision"]["value"]
    assert 0.02 <= report["beside_score"] <= 1
    rows = report["tables"]["beside"]
    assert [row["figure"] for row in rows[:5]] == ["recall", "recall_20_40", "recall_40_80", "recall_80", "precision"]
    assert {row["at"] for row in rows} == {"our deployed score", "their default score"}
    settings = report["provenance"]["configuration"]
    assert (settings["search"], settings["beside"]) == ("thorough", "scrfd640")
    assert "gain recall 80" in (out / "report.html").read_text("utf-8").replace("_", " ")


def test_a_missing_picture_counts_as_missed_and_fails_the_run(
    run: Run, server: Serving, images: Path, tmp_path: Path
) -> None:
    path = wider(
        tmp_path, "yaoming.jpg", "1", f"75 75 100 140 {ORDINARY}", "elsewhere.jpg", "1", f"0 0 90 90 {ORDINARY}"
    )
    done = run("--labels", path, "--images", images, "--address", server.address, "--json")
    report = reported(done, code=1)
    assert values_of(report, "recall", "recall_80") == [0.5, 0.5]
    assert (report["images"], report["images_missing"]) == (2, 1)
    assert report["refused"] == [{"image": "elsewhere.jpg", "reason": "MISSING"}]
    assert "refused: elsewhere.jpg: MISSING" in done.stderr


def objects_of(client: Client, images: Path, name: str) -> list[tuple[str, list[float]]]:
    """The server's own detections, used as labels."""
    found = client.recognition.Detect(pb.DetectRequest(picture=picture(images / name))).objects
    return [(each.class_name, [each.box.x1, each.box.y1, each.box.x2, each.box.y2]) for each in found]


def test_coco_labels_are_judged_class_by_class(
    run: Run, server: Serving, client: Client, images: Path, tmp_path: Path
) -> None:
    found = objects_of(client, images, "street.png")
    names = sorted({name for name, _ in found})
    content = {
        "images": [{"id": 1, "file_name": "street.png"}, {"id": 2, "file_name": "gone.png"}],
        "categories": [{"id": 10 + at, "name": name} for at, name in enumerate(names)],
        "annotations": [
            {"image_id": 1, "category_id": 10 + names.index(name), "bbox": [x1, y1, x2 - x1, y2 - y1]}
            for name, (x1, y1, x2, y2) in found
        ],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(content), "utf-8")
    arguments = ("--labels", path, "--images", images, "--address", server.address, "--json", "--allow-missing")
    report = reported(run(*arguments))
    assert values_of(report, "precision", "recall", "f1") == [1.0, 1.0, 1.0]
    assert values_of(report, "ap50", "ap50_95") == [pytest.approx(1), pytest.approx(1)]
    assert (report["objects"], report["images_missing"], report["iou"]) == (len(found), 1, 0.5)
    assert [row["class"] for row in report["tables"]["classes"]] == names
    assert report["curves"]["score_sweep"]["mark"] == report["deployed_score"] == 0.25
    assert report["curves"]["precision_recall_ap50"]["x"][-1] == 1.0
    deployed = report["curves"]["score_sweep"]["x"].index(0.25)
    swept = [values[deployed] for values in report["curves"]["score_sweep"]["series"].values()]
    assert swept == values_of(report, "precision", "recall", "f1")
    people = reported(run(*arguments, "--classes", "person"))
    assert people["objects"] == sum(name == "person" for name, _ in found)
    assert [row["class"] for row in people["tables"]["classes"]] == ["person"]


def test_yolo_labels_use_the_servers_class_names_unless_a_file_gives_others(
    run: Run, server: Serving, client: Client, images: Path, tmp_path: Path
) -> None:
    (images / "broken.jpg").unlink()
    people = [box for name, box in objects_of(client, images, "street.png") if name == "person"]
    street = cv2.imread(str(images / "street.png"))
    assert street is not None
    height, width = street.shape[:2]
    labels = tmp_path / "labels"
    labels.mkdir()
    for number, name in ((0, "labels"), (1, "renumbered")):
        (tmp_path / name).mkdir(exist_ok=True)
        lines = [
            f"{number} {(x1 + x2) / 2 / width} {(y1 + y2) / 2 / height} {(x2 - x1) / width} {(y2 - y1) / height}"
            for x1, y1, x2, y2 in people
        ]
        (tmp_path / name / "street.txt").write_text("\n".join(lines), "utf-8")
    common = ("--images", images, "--address", server.address, "--json", "--classes", "person")
    report = reported(run("--labels", labels, *common))
    assert report["recall"]["value"] == 1.0
    assert (report["images"], report["images_unlabelled"], report["objects"]) == (4, 3, len(people))
    names = tmp_path / "data.yaml"
    names.write_text("names: [dog, person]\n", "utf-8")
    assert reported(run("--labels", tmp_path / "renumbered", "--names", names, *common))["recall"]["value"] == 1.0


def test_a_refused_picture_counts_as_missed_and_fails_the_run(
    run: Run, server: Serving, images: Path, tmp_path: Path
) -> None:
    path = wider(tmp_path, "broken.jpg", "1", f"10 10 90 90 {ORDINARY}")
    done = run("--labels", path, "--images", images, "--address", server.address, "--json")
    report = reported(done, code=1)
    assert report["recall_80"]["value"] == 0.0
    assert report["precision"]["value"] is None
    assert report["precision"]["note"]
    assert report["refused"] == [{"image": "broken.jpg", "reason": "INVALID_PICTURE"}]
    assert "broken.jpg" in done.stderr


def test_labels_without_a_face_have_no_recall_and_a_note(
    run: Run, server: Serving, images: Path, tmp_path: Path
) -> None:
    path = wider(tmp_path, "wall.png", "0")
    done = run("--labels", path, "--images", images, "--address", server.address, "--json")
    report = reported(done, code=1)
    assert values_of(report, "recall", "ap50", "ap50_95") == [None, None, None]
    assert report["ap50"]["note"] == "no labelled object"
    assert "the labels have no faces: there is no recall" in done.stderr


@pytest.mark.parametrize(
    ("flags", "code", "problem"),
    [
        (["--classes", "unicorn"], 1, "labels.json: has no class unicorn; its classes are person, dog, robot"),
        (["--classes", "dog"], 1, "labels.json: has no object of the class dog to judge by"),
        ([], 1, "the server does not know the class robot; restrict with --classes"),
        (["--task", "faces"], 1, "labels.json: has no class face; its classes are person, dog, robot"),
        (["--format", "yolo"], 1, "is a file: YOLO's labels are a folder"),
        (["--names", "labels.json"], 2, "--names is for YOLO labels"),
        (["--task", "faces", "--classes", "person"], 2, "--classes is for objects"),
        (["--classes", "person", "--beside", "scrfd640"], 2, "--beside scrfd640 is for faces, not for objects"),
    ],
)
def test_unusable_labels_fail_and_contradictory_flags_are_usage_errors(
    run: Run, server: Serving, images: Path, tmp_path: Path, flags: list[str], code: int, problem: str
) -> None:
    path = tmp_path / "labels.json"
    content = {
        "images": [{"id": 1, "file_name": "street.png"}],
        "categories": [{"id": at, "name": name} for at, name in enumerate(("person", "dog", "robot"))],
        "annotations": [{"image_id": 1, "category_id": 0, "bbox": [0, 0, 50, 50]}],
    }
    path.write_text(json.dumps(content), "utf-8")
    done = run("--labels", path, "--images", images, "--address", server.address, *flags)
    assert done.returncode == code
    assert problem in done.stderr
    assert len(done.stderr.splitlines()) == 1


async def test_answers_from_before_the_server_went_away_are_kept(serve: Serve, images: Path) -> None:
    serving = serve()
    answered: list[int] = []

    def advance() -> None:
        answered.append(1)
        if len(answered) == 3:
            serving.stop()

    shown = LabelledSet(tuple(labelled("gdp.jpg", [(0, 0, 9, 9)], [0]) for _ in range(40)), ("face",))
    async with AsyncClient(serving.address) as client:
        answers = await run_detection(client, shown, images, task="faces", min_score=0.1, advance=advance)
    assert answers.stopped is not None
    assert answers.stopped.done == len(answers.by_item) == len(answered) < answers.stopped.of == 40
    assert all(len(each.detections.scores) and not each.failure for each in answers.by_item.values())
