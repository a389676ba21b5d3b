"""``facet bench drift``: how far the results of the serving runtime are from float32 on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from detector.yolo import Detections, YoloDetector
from facet.benchmarks.serving.pictures import evenly_chosen, samples
from facet.evaluation.detection.matching import iou_matrix
from facet.runtime.cores import usable_cores
from facet.runtime.inference.session import OnnxSession, Precision, Session
from facet.runtime.inference.sessions import open_session
from facet.runtime.inference.slots import InferenceSlots
from facet.runtime.models import ModelError, ModelFile, find_model
from facet.runtime.pictures import PictureError, decode
from facet.runtime.process import configure_for_models
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.pictures.files import find_pictures
from facet.terminal.tables import number, table, whole
from recognizer.alignment import align
from recognizer.detection.finder import FaceFinder
from recognizer.detection.scrfd import ScrfdDetector
from recognizer.embedding import Embedder
from recognizer.models.loading import PROPORTIONS

MAX_PIXELS = 50_000_000
MATCH_IOU = 0.7
PERCENTILES = (50, 95, 99, 100)

_NO_BOXES = np.empty((0, 4), np.float32)


class ServingPrecision(StrEnum):
    """Precision of OpenVINO."""

    BF16 = "bf16"
    FP32 = "fp32"


@dataclass(frozen=True, slots=True)
class Drift:
    """Absolute differences of one quantity of a model between the two runtimes.

    Attributes:
        model: name of the model.
        quantity: what is compared, with its unit.
        compared: number of pairs.
        unpaired: number of detections that only one of the two has.
        p50: median of the differences.
        p95: their 95th percentile.
        p99: their 99th percentile.
        worst: the largest.
    """

    model: str
    quantity: str
    compared: int
    unpaired: int
    p50: float
    p95: float
    p99: float
    worst: float


@dataclass(frozen=True, slots=True)
class _Found:
    """Boxes ``(n, 4)``, xyxy in pixels, and their scores ``(n,)``."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]


def drift(
    images: Annotated[
        Path | None,
        typer.Option(
            help="A folder of pictures. Default: those of the model packages.",
            exists=True,
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Use at most this many of them, evenly chosen by name.")] = 200,
    precision: Annotated[ServingPrecision, typer.Option(help="Precision of OpenVINO.")] = ServingPrecision.BF16,
    as_json: AsJson = False,
) -> None:
    """Measure how far the results of the serving runtime are from float32 on ONNX Runtime.

    Runs every model with both runtimes on the same pictures and prints percentiles of the absolute differences. Boxes
    (pixels of the picture) and scores are compared between detections of one class that overlap with an IoU of at least
    0.7; embeddings (1 - cosine) are compared on the same aligned faces. "unpaired" counts detections that only one
    runtime has; nearly all of them have scores near the minimum. Takes about a second for every two pictures.

    [b]Examples[/b]

      facet bench drift --images photos/
      facet bench drift --images photos/ --precision fp32 --json
    """
    configure_for_models()
    try:
        pictures = _read(images, count)
        found, runtime = _compare(pictures, precision.value)
    except (ModelError, OSError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json({"runtime": runtime, "pictures": len(pictures), "drift": [asdict(each) for each in found]})
    else:
        _print(found, f"Differences of {runtime} from onnxruntime fp32 on {len(pictures)} pictures")


def _read(folder: Path | None, count: int) -> list[NDArray[np.uint8]]:
    if folder is None:
        data = [sample.data for sample in samples(None).all]
    else:
        data = [path.read_bytes() for path in evenly_chosen(find_pictures([folder]), count)]
    pictures = []
    for each in data:
        with suppress(PictureError):
            pictures.append(decode(each, max_pixels=MAX_PIXELS))
    if not pictures:
        console.fail(f"no readable pictures in {folder}")
    return pictures


def _compare(pictures: Sequence[NDArray[np.uint8]], precision: Precision) -> tuple[list[Drift], str]:
    """Run every model with both runtimes; the differences, and the name of the serving runtime."""
    slots = InferenceSlots.of("latency", usable_cores())

    def sessions(file: ModelFile) -> tuple[Session, Session]:
        return OnnxSession(file.path, slots=slots), open_session(file.path, slots=slots, precision=precision)

    recognizer = find_model("w600k_mbf")
    detectors = [YoloDetector(session, proportions=PROPORTIONS) for session in sessions(find_model("yolo11n"))]
    exact_faces, serving_faces = sessions(find_model("scrfd_500m_bnkps"))
    finders = [FaceFinder(ScrfdDetector(session)) for session in (exact_faces, serving_faces)]
    exact, serving = (Embedder(session, recognizer) for session in sessions(recognizer))
    objects: list[tuple[_Found, _Found]] = []
    faces: list[tuple[_Found, _Found]] = []
    distances: list[float] = []
    with console.progress("Comparing", len(pictures)) as bar:
        for picture in pictures:
            objects += _by_class(*(detector.detect(picture) for detector in detectors))
            found, found_serving = (finder.find(picture, _NO_BOXES) for finder in finders)
            faces.append((_Found(found.boxes, found.scores), _Found(found_serving.boxes, found_serving.scores)))
            crops = [align(picture, landmarks) for landmarks in found.landmarks]
            distances += (1 - (exact.embed(crops) * serving.embed(crops)).sum(axis=1)).tolist()
            bar.advance(bar.task_ids[0])
    drifts = [*_of_boxes("yolo11n", objects), *_of_boxes("scrfd_500m_bnkps", faces)]
    return [*drifts, _drift("w600k_mbf", "1 - cosine", distances, unpaired=0)], serving_faces.runtime


def _by_class(one: Detections, other: Detections) -> list[tuple[_Found, _Found]]:
    """Pair the detections of two detectors in a picture, class by class."""

    def of_class(found: Detections, class_id: int) -> _Found:
        chosen = found.class_ids == class_id
        return _Found(found.boxes[chosen], found.scores[chosen])

    ids = np.union1d(one.class_ids, other.class_ids)
    return [(of_class(one, class_id), of_class(other, class_id)) for class_id in ids.tolist()]


def _of_boxes(model: str, found: Sequence[tuple[_Found, _Found]]) -> list[Drift]:
    pixels: list[float] = []
    scores: list[float] = []
    unpaired = 0
    for one, other in found:
        pairs = _pairs(one.boxes, other.boxes)
        unpaired += len(one.scores) + len(other.scores) - 2 * len(pairs)
        pixels += [float(np.abs(one.boxes[i] - other.boxes[j]).max()) for i, j in pairs]
        scores += [abs(float(one.scores[i] - other.scores[j])) for i, j in pairs]
    return [_drift(model, "box, pixels", pixels, unpaired), _drift(model, "score", scores, unpaired)]


def _pairs(boxes: NDArray[np.float32], others: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Indexes of boxes that overlap enough, best overlap first; no box is in two pairs."""
    overlaps = iou_matrix(boxes.astype(float), others.astype(float), np.zeros(len(others), np.bool_))
    pairs = []
    while overlaps.size and overlaps.max() >= MATCH_IOU:
        i, j = (int(index) for index in np.unravel_index(overlaps.argmax(), overlaps.shape))
        pairs.append((i, j))
        overlaps[i], overlaps[:, j] = 0, 0
    return pairs


def _drift(model: str, quantity: str, differences: Sequence[float], unpaired: int) -> Drift:
    if not differences:
        return Drift(model, quantity, 0, unpaired, 0.0, 0.0, 0.0, 0.0)
    p50, p95, p99, worst = (round(float(value), 6) for value in np.percentile(differences, PERCENTILES))
    return Drift(model, quantity, len(differences), unpaired, p50, p95, p99, worst)


def _print(found: Sequence[Drift], title: str) -> None:
    shown = table(
        *(whole("model"), "of"),
        *map(number, ("pairs", "unpaired", "median", "p95", "p99", "worst")),
        title=title,
    )
    for each in found:
        figures = (f"{value:.4f}" for value in (each.p50, each.p95, each.p99, each.worst))
        shown.add_row(each.model, each.quantity, str(each.compared), str(each.unpaired), *figures)
    console.out.print(shown)
