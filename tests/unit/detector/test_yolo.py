"""The detector on tiny graphs: which outputs it takes, how it decodes them, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from detector.yolo import Detections, YoloDetector
from facet.runtime.inference.session import OnnxSession
from facet.runtime.models import UnsupportedModel

Floats = NDArray[np.float32]
Shape = Sequence[int | str | None]

OPEN: Shape = ("batch", 3, "height", "width")
FIXED: Shape = (1, 3, 64, 64)
TWO_NAMES = {"task": "detect", "names": "{0: 'person', 1: 'dog'}"}
PICTURE = np.zeros((64, 64, 3), np.uint8)


def session(
    tmp_path: Path,
    outputs: Sequence[Floats],
    metadata: Mapping[str, str],
    *,
    input_shape: Shape = FIXED,
    declared: Sequence[Shape] | None = None,
) -> OnnxSession:
    """A graph that answers ``outputs`` to any picture."""
    names = [f"output{index}" for index in range(len(outputs))]
    shapes = declared or [output.shape for output in outputs]
    graph = helper.make_graph(
        [helper.make_node("Identity", [f"{name}_value"], [name]) for name in names],
        "yolo",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, input_shape)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in zip(names, shapes, strict=True)
        ],
        [numpy_helper.from_array(output, f"{name}_value") for name, output in zip(names, outputs, strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(model, dict(metadata))
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    return OnnxSession(path)


def grid(columns: Sequence[Sequence[float]], cells: int = 84) -> Floats:
    """A ``(1, numbers, cells)`` output with these columns first and nothing in the others."""
    output = np.zeros((1, len(columns[0]), cells), np.float32)
    output[0, :, : len(columns)] = np.array(columns, np.float32).T
    return output


def rows(values: Sequence[Sequence[float]], count: int = 300) -> Floats:
    """A ``(1, count, numbers)`` output with these rows first and nothing in the others."""
    output = np.zeros((1, count, len(values[0])), np.float32)
    output[0, : len(values)] = np.array(values, np.float32)
    return output


def found(detections: Detections) -> list[tuple[list[float], float, int]]:
    return [
        (box.tolist(), round(float(score), 4), int(class_id))
        for box, score, class_id in zip(detections.boxes, detections.scores, detections.class_ids, strict=True)
    ]


def test_a_v8_head_is_decoded_filtered_suppressed_and_sorted(tmp_path: Path) -> None:
    output = grid(
        [
            [10, 10, 8, 8, 0.5, 0.1],
            [10, 10, 8, 8.5, 0.4, 0.1],
            [40, 30, 20, 10, 0.2, 0.9],
            [50, 50, 4, 4, 0.2, 0.1],
        ]
    )
    detector = YoloDetector(session(tmp_path, [output], TWO_NAMES))
    detections = detector.detect(PICTURE)
    assert detector.head_kind == "yolo-v8"
    assert detector.class_names == ("person", "dog")
    assert not detector.has_face_landmarks
    assert found(detections) == [([30, 25, 50, 35], 0.9, 1), ([6, 6, 14, 14], 0.5, 0)]
    assert detections.keypoints is None
    assert detections.keypoint_scores is None
    assert detections.boxes.dtype == np.float32
    assert detections.scores.dtype == np.float32
    assert detections.class_ids.dtype == np.int32
    assert len(detections) == 2


def test_classes_of_a_v8_head_without_names_are_numbered(tmp_path: Path) -> None:
    detector = YoloDetector(session(tmp_path, [grid([[10, 10, 8, 8, 0.5, 0.1]])], {}))
    assert detector.class_names == ("class_0", "class_1")


def test_an_object_must_score_above_the_minimum(tmp_path: Path) -> None:
    detector = YoloDetector(session(tmp_path, [grid([[10, 10, 8, 8, 0.5, 0.1]])], TWO_NAMES), min_score=0.5)
    assert len(detector.detect(PICTURE)) == 0


def test_a_lower_minimum_score_adds_objects_and_changes_none(tmp_path: Path) -> None:
    output = grid([[10, 10, 8, 8, 0.5, 0.1], [10, 10, 8, 8.5, 0.2, 0.1], [40, 30, 20, 10, 0.1, 0.02]])
    detector = YoloDetector(session(tmp_path, [output], TWO_NAMES))
    alone, together = detector.detect(PICTURE), detector.detect(PICTURE, min_score=0.05)
    assert found(together) == [*found(alone), ([30, 25, 50, 35], 0.1, 0)]
    assert found(together.above(0.25)) == found(alone)
    assert len(detector.detect(PICTURE, min_score=0.6)) == 0


def test_max_objects_bounds_the_objects_of_a_picture(tmp_path: Path) -> None:
    output = grid([[10 * place, 10, 5, 5, 0.5, 0.1] for place in range(1, 7)])
    detector = YoloDetector(session(tmp_path, [output], TWO_NAMES), max_objects=4)
    assert len(detector.detect(PICTURE)) == 4


def test_a_pose_head_gives_keypoints_and_their_visibility(tmp_path: Path) -> None:
    output = grid([[10, 10, 8, 8, 0.5, 0.1, 9, 9, 0.7, 11, 70, 0.2]])
    detector = YoloDetector(session(tmp_path, [output], {**TWO_NAMES, "task": "pose", "kpt_shape": "[2, 3]"}))
    detections = detector.detect(PICTURE)
    assert detector.head_kind == "yolo-pose"
    assert detections.keypoints is not None
    assert detections.keypoint_scores is not None
    assert detections.keypoints.tolist() == [[[9, 9], [11, 70]]]
    np.testing.assert_allclose(detections.keypoint_scores, [[0.7, 0.2]])


def test_keypoints_of_two_values_have_no_scores(tmp_path: Path) -> None:
    output = grid([[10, 10, 8, 8, 0.5, 0.1, 9, 9, 11, 11]])
    detector = YoloDetector(session(tmp_path, [output], {**TWO_NAMES, "task": "pose", "kpt_shape": "[2, 2]"}))
    detections = detector.detect(PICTURE)
    assert detections.keypoints is not None
    assert detections.keypoints.shape == (1, 2, 2)
    assert detections.keypoint_scores is None


@pytest.mark.parametrize(
    ("names", "keypoints", "expected"),
    [("{0: 'face'}", 5, True), ("{0: 'Face'}", 5, True), ("{0: 'face'}", 4, False), ("{0: 'person'}", 5, False)],
)
def test_a_face_model_has_five_keypoints_and_a_class_face(
    tmp_path: Path, names: str, keypoints: int, expected: bool
) -> None:
    metadata = {"task": "pose", "names": names, "kpt_shape": f"[{keypoints}, 3]"}
    detector = YoloDetector(session(tmp_path, [grid([[10, 10, 8, 8, 0.5, *[1] * 3 * keypoints]])], metadata))
    assert detector.has_face_landmarks is expected


@pytest.mark.parametrize("extra", [{}, {"end2end": "True"}, {"args": "{'nms': True}"}])
def test_final_boxes_are_not_suppressed_again(tmp_path: Path, extra: dict[str, str]) -> None:
    output = rows([[1, 2, 30, 40, 0.8, 1], [1, 2, 30, 41, 0.7, 1], [5, 5, 9, 9, 0.1, 0]])
    detector = YoloDetector(session(tmp_path, [output], TWO_NAMES | extra))
    assert detector.head_kind == "yolo-end2end"
    assert found(detector.detect(PICTURE)) == [([1, 2, 30, 40], 0.8, 1), ([1, 2, 30, 41], 0.7, 1)]


def test_final_boxes_may_have_keypoints(tmp_path: Path) -> None:
    metadata = {"task": "pose", "names": "{0: 'face'}", "kpt_shape": "[5, 3]", "end2end": "True"}
    output = rows([[1, 2, 30, 40, 0.8, 0, *[7, 8, 0.9] * 5]])
    detector = YoloDetector(session(tmp_path, [output], metadata))
    detections = detector.detect(PICTURE)
    assert detector.head_kind == "yolo-end2end-pose"
    assert detector.has_face_landmarks
    assert detections.keypoints is not None
    assert detections.keypoints.tolist() == [[[7, 8]] * 5]


def test_raw_maps_are_decoded_like_the_v8_pose_head(tmp_path: Path) -> None:
    maps = [np.full((1, 64 + 1 + 15, side, side), -20, np.float32) for side in (8, 4, 2)]
    cell = maps[1][0, :, 2, 1]  # stride 16: row 2, column 1
    for side, distance in enumerate((0, 1, 1, 0)):
        cell[16 * side + distance] = 80
    cell[64] = math.log(0.8 / 0.2)
    cell[65:].reshape(5, 3)[:] = [(0.25, -0.5, 0)] * 5
    metadata = {"task": "pose", "names": "{0: 'face'}", "kpt_shape": "[5, 3]"}
    detector = YoloDetector(session(tmp_path, maps, metadata))
    detections = detector.detect(PICTURE)
    assert detector.head_kind == "yolo-raw-pose"
    assert detector.has_face_landmarks
    assert found(detections) == [([24, 24, 40, 40], 0.8, 0)]
    assert detections.keypoints is not None
    assert detections.keypoint_scores is not None
    assert detections.keypoints.tolist() == [[[24, 16]] * 5]
    np.testing.assert_allclose(detections.keypoint_scores, [[0.5] * 5])


def test_raw_maps_without_objects_give_none(tmp_path: Path) -> None:
    maps = [np.full((1, 66, side, side), -200, np.float32) for side in (8, 4, 2)]
    assert len(YoloDetector(session(tmp_path, maps, TWO_NAMES)).detect(PICTURE)) == 0


def test_dynamic_output_shapes_are_learned_by_running_the_model(tmp_path: Path) -> None:
    output = grid([[10, 10, 8, 8, 0.5, 0.1]])
    declared = [("batch", "numbers", "anchors")]
    detector = YoloDetector(session(tmp_path, [output], TWO_NAMES, input_shape=OPEN, declared=declared), size=50)
    assert detector.head_kind == "yolo-v8"
    assert detector.input_size((64, 64)) == (64, 64)  # 50 rounded up to the stride
    assert detector.input_size((20, 64)) == (32, 64)


def test_a_fixed_input_size_is_used(tmp_path: Path) -> None:
    output = grid([[10, 10, 8, 8, 0.5, 0.1]])
    detector = YoloDetector(session(tmp_path, [output], TWO_NAMES, input_shape=(1, 3, 96, 64)), size=640)
    assert detector.input_size((20, 64)) == (96, 64)


def test_the_input_of_a_dynamic_end_to_end_model_has_a_cell_for_each_row(tmp_path: Path) -> None:
    at_160 = session(tmp_path, [rows([[1, 2, 3, 4, 0.5, 0]])], TWO_NAMES, input_shape=OPEN)
    assert YoloDetector(at_160, size=160).input_size((1, 20000)) == (96, 160)
    assert YoloDetector(at_160, size=640).input_size((1, 20000)) == (32, 640)


@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (4000, 20), (300, 200)])
def test_boxes_lie_inside_pictures_of_any_shape(tmp_path: Path, size: tuple[int, int]) -> None:
    output = grid([[32, 32, 400, 400, 0.9, 0], [0, 0, 30, 30, 0, 0.8], [64, 64, 9, 9, 0.7, 0]])
    detector = YoloDetector(session(tmp_path, [output], TWO_NAMES, input_shape=OPEN), size=64)
    boxes = detector.detect(np.zeros((*size, 3), np.uint8)).boxes
    assert len(boxes) > 0
    assert (boxes >= 0).all()
    assert (boxes[:, 2] <= size[1]).all()
    assert (boxes[:, 3] <= size[0]).all()


SEVEN = {"task": "detect", "names": str(dict(enumerate("abcdefg")))}


@pytest.mark.parametrize(
    ("outputs", "metadata", "complaint"),
    [
        pytest.param([np.zeros((1, 6, 84), np.float32)], {"task": "segment"}, "found task 'segment'", id="task"),
        pytest.param([np.zeros((1, 300, 6), np.float32)], {"head": "RTDETRDecoder"}, "RT-DETR", id="rt-detr"),
        pytest.param([np.zeros((1, 252, 7), np.float32)], TWO_NAMES, "found (1, 252, 7)", id="yolov5"),
        pytest.param([np.full((1, 252, 6), 0.5, np.float32)], {"names": "['a']"}, "integer", id="yolov5, one class"),
        pytest.param([np.zeros((1, 300, 6), np.float32)], {}, "0 class names", id="final boxes without names"),
        pytest.param([np.zeros((1, 6, 84), np.float32)], SEVEN, "(1, 4 + 7, cells)", id="other number of classes"),
        pytest.param([np.zeros((1, 84, 11), np.float32)], SEVEN, "7 class names", id="transposed"),
        pytest.param([np.zeros((1, 6, 84), np.float32)], {**TWO_NAMES, "task": "pose"}, "kpt_shape", id="no kpt_shape"),
        pytest.param([np.zeros((1, 512), np.float32)], {}, "found (1, 512)", id="embedding"),
        pytest.param([np.zeros((1, 1000), np.float32)], {"task": "classify"}, "'classify'", id="classification"),
        pytest.param([np.zeros((2, 6, 84), np.float32)], TWO_NAMES, "found (2, 6, 84)", id="batch of two"),
        pytest.param(
            [np.zeros((1, 38, 84), np.float32), np.zeros((1, 32, 16, 16), np.float32)],
            TWO_NAMES,
            "(1, 38, 84), (1, 32, 16, 16)",
            id="prototypes of masks",
        ),
        pytest.param(
            [np.zeros((1, 66, 7, 7), np.float32)], TWO_NAMES, "(1, 64 + 2, height / stride", id="maps of no stride"
        ),
        pytest.param([np.zeros((1, 6, 84), np.float32)], {"names": "{0: 'a', 2: 'b'}"}, "consecutive from 0", id="ids"),
        pytest.param([np.zeros((1, 6, 84), np.float32)], {"names": "{0: os.x()}"}, "cannot parse 'names'", id="code"),
        pytest.param(
            [np.zeros((1, 6, 84), np.float32)], {"names": "3"}, "expected a mapping or list", id="names no list"
        ),
        pytest.param([np.zeros((1, 6, 84), np.float32)], {"kpt_shape": "[5, 4]"}, "[count, 2 or 3]", id="kpt_shape"),
        pytest.param([np.zeros((1, 6, 84), np.float32)], {"stride": "'wide'"}, "invalid metadata", id="stride"),
    ],
)
def test_a_refusal_of_another_model_says_what_was_expected_and_found(
    tmp_path: Path, outputs: list[Floats], metadata: dict[str, str], complaint: str
) -> None:
    model = session(tmp_path, outputs, metadata)
    with pytest.raises(UnsupportedModel) as refusal:
        YoloDetector(model)
    assert complaint in str(refusal.value)


@pytest.mark.parametrize("shape", [(1, 3), (1, 1, 64, 64), (4, 3, 64, 64), (1, 64, 64, 3)])
def test_a_model_with_another_input_is_refused(tmp_path: Path, shape: Shape) -> None:
    model = session(tmp_path, [grid([[10, 10, 8, 8, 0.5, 0.1]])], TWO_NAMES, input_shape=shape)
    with pytest.raises(UnsupportedModel, match=r"expected an input \(1, 3, height, width\)"):
        YoloDetector(model)


def test_a_model_that_fails_on_a_picture_is_refused(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["images", "shape"], ["output0"])],
        "broken",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, OPEN)],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, (1, 6, 7))],
        [numpy_helper.from_array(np.array([1, 6, 7]), "shape")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), tmp_path / "b.onnx")
    with pytest.raises(UnsupportedModel, match="fails on a float32 picture"):
        YoloDetector(OnnxSession(tmp_path / "b.onnx"))
