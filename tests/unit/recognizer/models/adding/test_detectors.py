"""Face detectors of a fixed size, added to a folder: they find the same faces, in frames of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facet.runtime.inference.openvino_session import OpenVinoSession
from facet.runtime.inference.session import OnnxSession, Session
from facet.runtime.models import ModelError, find_model
from recognizer.detection.scrfd import ScrfdDetector
from recognizer.models.adding.add import add_file
from recognizer.models.adding.reference_faces import reference_pictures
from recognizer.models.loading import load_models
from recognizer.settings import ModelSettings
from tests.unit.recognizer.models.adding.foreign_models import write_detector

FRAME = (640, 640)


def test_a_detector_of_a_fixed_size_finds_the_same_faces_and_takes_any_size(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "fixed.onnx")
    fixed = ScrfdDetector(OnnxSession(path))
    assert fixed.fixed_size == FRAME
    added = add_file(path, tmp_path / "models")
    assert (added.role, added.converted) == ("faces", True)
    packaged = ScrfdDetector(OnnxSession(find_model("scrfd_500m_bnkps").path))
    sessions: list[Session] = [OnnxSession(added.path), OpenVinoSession(added.path, precision="fp32")]
    for session in sessions:
        detector = ScrfdDetector(session)
        assert detector.fixed_size is None
        for picture in reference_pictures():
            for frame, reference in ((FRAME, fixed), ((800, 480), packaged), ((256, 256), packaged)):
                found, expected = detector.detect(picture, frame), reference.detect(picture, frame)
                assert len(found) == len(expected) > 0
                assert np.abs(found.boxes - expected.boxes).max() < 0.1
                assert np.abs(found.landmarks - expected.landmarks).max() < 0.1
                assert found.scores == pytest.approx(expected.scores, abs=1e-3)
    models = load_models(ModelSettings(objects=None, faces="fixed", folder=tmp_path / "models"))
    assert models.loaded[0].head == "scrfd"


def test_a_detector_that_adds_a_map_of_its_own_size_is_refused_in_one_line(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "fixed.onnx", unchangeable=True)
    with pytest.raises(
        ModelError, match="takes 640x640 pixels only, and cannot be made to take other sizes"
    ) as refused:
        add_file(path, tmp_path / "models")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "models").exists()


def test_a_detector_of_any_size_is_copied(tmp_path: Path) -> None:
    packaged = find_model("scrfd_500m_bnkps")
    added = add_file(packaged.path, tmp_path, name="ours")
    assert (added.role, added.converted, added.origin.sha256) == ("faces", False, packaged.sha256)


def test_a_yolo_model_is_copied(tmp_path: Path) -> None:
    packaged = find_model("yolo11n")
    added = add_file(packaged.path, tmp_path, name="ours")
    assert (added.role, added.converted, added.origin.sha256) == ("objects", False, packaged.sha256)
    assert added.origin.license == packaged.license


def test_a_server_with_the_original_names_the_command_that_converts_it(tmp_path: Path) -> None:
    path = write_detector(tmp_path / "fixed size.onnx")
    for runtime in ("onnxruntime", "openvino"):
        with pytest.raises(ModelError, match="only in pictures of the fixed size") as refused:
            load_models(ModelSettings(objects=None, faces=str(path), runtime=runtime))
        assert f"facet models add '{path}'" in str(refused.value)
