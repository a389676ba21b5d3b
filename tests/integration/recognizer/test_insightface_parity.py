"""The recogniser against InsightFace's own classes: the same faces, the same crops, the same embeddings.

Both see the same frame. InsightFace's detector takes one frame size for a picture, so each comparison here is of
one look; how looks are combined is ours (recognizer/detection/finder.py). InsightFace's resizing aliases when a picture
shrinks to less than half, and ours does not. Both therefore see pictures that do not (facet/runtime/resampling.py).
Crops of faces that are larger than the crop alias in the same way, so crops are compared of faces that are not.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from insightface.model_zoo.arcface_onnx import ArcFaceONNX
from insightface.model_zoo.scrfd import SCRFD
from insightface.utils import face_align
from numpy.typing import NDArray

from facet.runtime.inference.session import OnnxSession
from facet.runtime.models import ModelFile, find_model
from facet.runtime.resampling import halved
from recognizer import choice
from recognizer.alignment import AVERAGE_FROM, align, similarity_transform
from recognizer.detection.scrfd import ScrfdDetector
from recognizer.embedding import Embedder, input_normalization
from recognizer.faces import Faces
from recognizer.models.adding import reference_faces as faces_of_the_package
from recognizer.models.adding.add import Told, add_file
from tests.unit.recognizer.models.adding.foreign_models import Foreign, write_half, write_of_several_outputs

if TYPE_CHECKING:
    from tests.conftest import Pictures

MIN_SCORE = 0.5
FRAMES = ((640, 640), (320, 320), (800, 448))
NAMES = ("yaoming", "players", "gdp", "street", "six")
PIXELS = 1.0
SCORE = 0.005
COSINE = 0.999


@pytest.fixture(scope="module", params=["packaged", "without a batch axis"])
def model(request: pytest.FixtureRequest) -> Path:
    if request.param == "packaged":
        return find_model("scrfd_500m_bnkps").path
    shared: Path = request.getfixturevalue("shared")
    return shared / "models" / "det_500m.onnx"


@pytest.fixture(scope="module")
def embedding_model() -> ModelFile:
    return find_model("w600k_mbf")


def decoded(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def reference_detector(path: Path) -> Any:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    detector = SCRFD(str(path), session=session)
    detector.prepare(-1, det_thresh=MIN_SCORE)
    return detector


def reference_faces(detector: Any, bgr: NDArray[np.uint8], frame: tuple[int, int], max_num: int = 0) -> Faces:
    """InsightFace's faces. It maps both axes back by the scale of the rows; here each has its own, as in ours."""
    boxes, landmarks = detector.detect(bgr, input_size=frame, max_num=max_num)
    height, width = bgr.shape[:2]
    if height * frame[0] > width * frame[1]:
        scaled_width, scaled_height = int(frame[1] * width / height), frame[1]
    else:
        scaled_width, scaled_height = frame[0], int(frame[0] * height / width)
    stretch = (scaled_height / height) / (scaled_width / width)
    boxes[:, [0, 2]] *= stretch
    landmarks[..., 0] *= stretch
    return Faces(boxes[:, :4].astype(np.float32), landmarks.astype(np.float32), boxes[:, 4].astype(np.float32))


def at_most_halved(bgr: NDArray[np.uint8], frame: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture, made smaller first if the frame would shrink it to less than half."""
    return halved(bgr, max(bgr.shape[1] / frame[0], bgr.shape[0] / frame[1]))


def with_small_faces(bgr: NDArray[np.uint8], detector: Any) -> NDArray[np.uint8]:
    """The picture, made smaller if a face would shrink on its way to the crop: ours is averaged then."""
    landmarks = reference_faces(detector, bgr, (640, 640)).landmarks
    ratio = max(1 / float(np.hypot(*similarity_transform(each)[0, :2])) for each in landmarks)
    if ratio < AVERAGE_FROM:
        return bgr
    return np.asarray(cv2.resize(bgr, None, fx=1 / ratio, fy=1 / ratio, interpolation=cv2.INTER_AREA), np.uint8)


def reference_crop(bgr: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # scikit-image's, of the way InsightFace calls it
        return np.asarray(face_align.norm_crop(bgr, landmarks), np.uint8)


def test_faces_landmarks_and_scores_equal_those_of_insightface(model: Path, pictures: Pictures) -> None:
    ours, theirs = ScrfdDetector(OnnxSession(model), min_score=MIN_SCORE), reference_detector(model)
    compared = 0
    for name in NAMES:
        whole = decoded(getattr(pictures, name))
        for frame in FRAMES:
            bgr = at_most_halved(whole, frame)
            found, expected = ours.detect(bgr, frame), reference_faces(theirs, bgr, frame)
            assert len(found) == len(expected), (name, frame)
            if len(found):
                assert np.abs(found.boxes - expected.boxes).max() <= PIXELS, (name, frame)
                assert np.abs(found.landmarks - expected.landmarks).max() <= PIXELS, (name, frame)
                assert np.abs(found.scores - expected.scores).max() <= SCORE, (name, frame)
            compared += len(found)
    assert compared > 60


def test_the_central_face_is_the_choice_of_insightface(pictures: Pictures) -> None:
    theirs = reference_detector(find_model("scrfd_500m_bnkps").path)
    for name in NAMES:
        bgr = decoded(getattr(pictures, name))
        everybody = reference_faces(theirs, bgr, (640, 640))
        if not len(everybody):
            continue
        chosen = reference_faces(theirs, bgr, (640, 640), max_num=1)
        assert everybody.boxes[choice.central(everybody, bgr.shape)].tolist() == chosen.boxes[0].tolist(), name


def test_crops_equal_those_of_insightface(pictures: Pictures) -> None:
    theirs = reference_detector(find_model("scrfd_500m_bnkps").path)
    for name in ("yaoming", "players", "six"):
        bgr = with_small_faces(decoded(getattr(pictures, name)), theirs)
        for landmarks in reference_faces(theirs, bgr, (640, 640)).landmarks:
            difference = np.abs(align(bgr, landmarks).astype(int) - reference_crop(bgr, landmarks))
            assert difference.mean() < 0.05
            assert difference.max() <= 8


def test_embeddings_equal_those_of_insightface(pictures: Pictures, embedding_model: ModelFile) -> None:
    scrfd = find_model("scrfd_500m_bnkps").path
    ours, theirs = ScrfdDetector(OnnxSession(scrfd), min_score=MIN_SCORE), reference_detector(scrfd)
    session = onnxruntime.InferenceSession(embedding_model.path, providers=["CPUExecutionProvider"])
    arcface = ArcFaceONNX(str(embedding_model.path), session=session)
    embedder = Embedder(OnnxSession(embedding_model.path), embedding_model)
    for name in ("yaoming", "players", "six"):
        bgr = with_small_faces(at_most_halved(decoded(getattr(pictures, name)), (640, 640)), theirs)
        found, expected = ours.detect(bgr, (640, 640)), reference_faces(theirs, bgr, (640, 640))
        embeddings = embedder.embed([align(bgr, landmarks) for landmarks in found.landmarks])
        reference = arcface.get_feat([reference_crop(bgr, landmarks) for landmarks in expected.landmarks])
        reference /= np.linalg.norm(reference, axis=1, keepdims=True)
        assert (embeddings * reference).sum(1).min() >= COSINE, name
        assert np.linalg.norm(embeddings, axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "names", [("Sub", "Mul", "Conv"), ("_minusscalar0", "_mulscalar0"), ("Sub_0",), ("Conv_0", "Mul")]
)
def test_input_normalization_equals_that_of_insightface(names: tuple[str, ...], tmp_path: Path) -> None:
    shape: list[str | int | None] = ["n", 3, 112, 112]
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("x", "y")]
    steps = ["x", *(f"step{i}" for i in range(1, len(names))), "y"]
    nodes = [onnx.helper.make_node("Relu", [steps[i]], [steps[i + 1]], name=name) for i, name in enumerate(names)]
    path = tmp_path / "recogniser.onnx"
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(
        onnx.helper.make_model(
            onnx.helper.make_graph(nodes, "g", values[:1], values[1:]), opset_imports=opset, ir_version=8
        ),
        path,
    )
    expected = ArcFaceONNX(str(path))
    normalization = input_normalization(path.read_bytes())
    assert (normalization.mean, normalization.scale) == (expected.input_mean, expected.input_std)


@pytest.mark.parametrize("write", [write_half, write_of_several_outputs])
def test_insightface_reads_what_was_float16_or_had_several_outputs(
    write: Callable[[Path], Path], tmp_path: Path
) -> None:
    path, packaged = write(tmp_path / "foreign.onnx"), find_model("w600k_mbf")
    added = add_file(path, tmp_path / "models", told=Told("rgb", ((127.5,) * 3, (127.5,) * 3)))
    faces = faces_of_the_package.reference_faces()
    vectors = ArcFaceONNX(str(added.path)).get_feat(list(faces))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = Embedder(OnnxSession(packaged.path), packaged).embed(list(faces))
    assert (vectors * expected).sum(1).min() > COSINE


def test_a_model_that_was_converted_is_one_that_insightface_reads_as_well(tmp_path: Path) -> None:
    foreign = Foreign(side=96, channels_last=True, bgr=True, batch=4, pooled=True)
    path = foreign.write(tmp_path / "foreign.onnx")
    added = add_file(path, tmp_path / "models", told=Told("bgr", (foreign.mean, foreign.std)))
    faces = faces_of_the_package.reference_faces()
    vectors = ArcFaceONNX(str(added.path)).get_feat(list(faces))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (vectors * foreign.embed(path, faces)).sum(1).min() > COSINE
