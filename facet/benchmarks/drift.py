"""``facet bench drift``: the difference between the serving runtime and float32 on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from detector.yolo import Detections, YoloDetector
from facet.benchmarks.serving.pictures import samples, thinned
from facet.evaluation.detection.matching import iou_matrix
from facet.runtime.cores import usable_cores
from facet.runtime.inference_slots import InferenceSlots
from facet.runtime.models import ModelError, ModelFile, find_model
from facet.runtime.pictures import PictureError, decode
from facet.runtime.process import configure_for_models
from facet.runtime.session import OnnxSession, Precision, Session
from facet.runtime.sessions import open_session
from facet.terminal import console, tables
from facet.terminal.console import AsJson
from facet.terminal.picture_files import find_pictures
from recognizer.alignment import align
from recognizer.detection.finder import FaceFinder
from recognizer.detection.scrfd import ScrfdDetector
from recognizer.embedding import Embedder
from recognizer.models import PROPORTIONS

MAX_PIXELS = 50_000_000
SAME_IOU = 0.7
PERCENTILES = (50, 95, 99, 100)

_NOBODY = np.empty((0, 4), np.float32)


@dataclass(frozen=True, slots=True)
class Drift:
    """A quantity of one model, compared.

    Attributes:
        model: its name.
        quantity: what is compared.
        compared: how many.
        unpaired: found by one of the two alone.
        p50: median of the differences.
        p95: 95th percentile of them.
        p99: 99th percentile of them.
        worst: the greatest.
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
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]


def drift(
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of pictures. Default: those of the model packages.", exists=True, file_okay=False),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Maximum number of its pictures, evenly chosen.")] = 200,
    precision: Annotated[str, typer.Option(help="Precision of OpenVINO: bf16 or fp32.")] = "bf16",
    as_json: AsJson = False,
) -> None:
    """The difference between the runtime that serves and float32 on ONNX Runtime, model by model.

    Boxes are compared in pixels of the picture, between detections with an IoU of at least 0.7. Embeddings are compared
    on the same crops. Unpaired detections are those that only one runtime has; their scores are near the minimum.
    """
    if precision not in ("bf16", "fp32"):
        console.fail("--precision is bf16 or fp32", console.USAGE)
    chosen: Precision = "bf16" if precision == "bf16" else "fp32"
    configure_for_models()
    try:
        pictures = _read(images, count)
        found, runtime = _compare(pictures, chosen)
    except (ModelError, OSError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json({"runtime": runtime, "pictures": len(pictures), "drift": [asdict(each) for each in found]})
        return
    title = f"{runtime} against onnxruntime fp32, {len(pictures)} pictures"
    table = tables.table("model", "difference of", "compared", "unpaired", "median", "p95", "p99", "worst", title=title)
    for each in found:
        figures = (f"{value:.5f}" for value in (each.p50, each.p95, each.p99, each.worst))
        table.add_row(each.model, each.quantity, str(each.compared), str(each.unpaired), *figures)
    console.out.print(table)


def _read(folder: Path | None, count: int) -> list[NDArray[np.uint8]]:
    if folder is None:
        data = [sample.data for sample in samples(None).all]
    else:
        data = [path.read_bytes() for path in thinned(find_pictures([folder]), count)]
    pictures = []
    for each in data:
        with suppress(PictureError):
            pictures.append(decode(each, max_pixels=MAX_PIXELS))
    if not pictures:
        console.fail(f"there are no pictures in {folder}")
    return pictures


def _compare(pictures: Sequence[NDArray[np.uint8]], precision: Precision) -> tuple[list[Drift], str]:
    slots = InferenceSlots.of("latency", usable_cores())

    def both(name: str) -> tuple[ModelFile, Session, Session]:
        file = find_model(name)
        return file, OnnxSession(file.path, slots=slots), open_session(file.path, slots=slots, precision=precision)

    _, *yolos = both("yolo11n")
    _, *scrfds = both("scrfd_500m_bnkps")
    file, *embedders = both("w600k_mbf")
    detectors = [YoloDetector(session, proportions=PROPORTIONS) for session in yolos]
    finders = [FaceFinder(ScrfdDetector(session)) for session in scrfds]
    exact, served = (Embedder(session, file) for session in embedders)
    objects: list[tuple[_Found, _Found]] = []
    faces: list[tuple[_Found, _Found]] = []
    cosines: list[float] = []
    with console.progress("Comparing", len(pictures)) as bar:
        for picture in pictures:
            one, other = (detector.detect(picture) for detector in detectors)
            objects += _by_class(one, other)
            first, second = (finder.find(picture, _NOBODY) for finder in finders)
            faces.append((_Found(first.boxes, first.scores), _Found(second.boxes, second.scores)))
            crops = [align(picture, landmarks) for landmarks in first.landmarks]
            cosines += (exact.embed(crops) * served.embed(crops)).sum(axis=1).tolist()
            bar.advance(bar.task_ids[0])
    found = [*_of_boxes("yolo11n", objects), *_of_boxes("scrfd_500m_bnkps", faces)]
    found.append(_drift("w600k_mbf", "1 - cosine", [1 - cosine for cosine in cosines], 0))
    return found, scrfds[1].runtime


def _by_class(one: Detections, other: Detections) -> list[tuple[_Found, _Found]]:
    """What two detectors found in a picture, each class by itself."""

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
    """Each box with the other that overlaps it most, where that is enough; none twice."""
    overlaps = iou_matrix(boxes.astype(float), others.astype(float), np.zeros(len(others), np.bool_))
    pairs = []
    while overlaps.size and overlaps.max() >= SAME_IOU:
        i, j = (int(index) for index in np.unravel_index(overlaps.argmax(), overlaps.shape))
        pairs.append((i, j))
        overlaps[i], overlaps[:, j] = 0, 0
    return pairs


def _drift(model: str, quantity: str, differences: Sequence[float], unpaired: int) -> Drift:
    if not differences:
        return Drift(model, quantity, 0, unpaired, 0.0, 0.0, 0.0, 0.0)
    p50, p95, p99, worst = (round(float(value), 6) for value in np.percentile(differences, PERCENTILES))
    return Drift(model, quantity, len(differences), unpaired, p50, p95, p99, worst)
