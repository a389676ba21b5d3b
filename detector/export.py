"""Export a YOLO model of Ultralytics to an ONNX file that the detector loads, and prove that it answers the same."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.head_kind import recognize_head
from detector.heads import Candidates
from detector.metadata import read_metadata
from detector.yolo import PIXELS, YoloDetector
from facet.runtime.extras import install_command
from facet.runtime.models import AGPL, ModelOrigin, record_models, sha256_of
from facet.runtime.session import OnnxSession

TASKS = ("detect", "pose")
CHECKPOINTS = (".pt",)
DESCRIPTIONS = (".yaml", ".yml")

PIXELS_APART = 0.25
"""How far boxes and keypoints of the export may be from the original's, pixels of the model's input."""
SCORES_APART = 0.001
"""How far scores and visibilities may be apart."""


class ExportFailed(Exception):
    """The model cannot be exported, or the export does not answer as the original does."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The greatest differences between an export and its original.

    Attributes:
        pixels: of boxes and keypoints, in pixels of the model's input.
        scores: of scores and visibilities.
    """

    pixels: float
    scores: float


@dataclass(frozen=True, slots=True)
class Export:
    """A finished export, as ``--json`` prints it.

    Attributes:
        path: the ONNX file.
        sha256: hexadecimal digest of its bytes.
        bytes: its length.
        size: side of the model's input, pixels.
        dynamic: whether the input is open in height and width.
        task: "detect" or "pose".
        head: the kind of output, as the server will report it.
        classes: the names, by class id.
        max_difference: between the export and the original, the greater of pixels and scores.
        difference: both of them.
        license: of the weights.
    """

    path: str
    sha256: str
    bytes: int
    size: int
    dynamic: bool
    task: str
    head: str
    classes: tuple[str, ...]
    max_difference: float
    difference: Difference
    license: str


def export_model(model: str, target: Path, *, size: int, dynamic: bool) -> Export:
    """Export, compare, and only then put the file in its place and into the manifest beside it.

    Raises:
        ExportFailed: Ultralytics is missing or cannot do it, or the export differs from the original.
        ModelError: the detector does not take the export, or the manifest cannot be read.
        OSError: the file cannot be written.
    """
    ultralytics = _import_ultralytics(offline=Path(model).suffix in DESCRIPTIONS or Path(model).is_file())
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about its own exporter
        original, exported = _run_export(ultralytics, model, Path(folder), size=size, dynamic=dynamic)
        session = OnnxSession(exported)
        detector = YoloDetector(session, size=size)
        difference = compare(original.model, session, detector)
        if not (difference.pixels <= PIXELS_APART and difference.scores <= SCORES_APART):
            raise ExportFailed(
                f"the export answers otherwise than the original: up to {difference.pixels:.3g} pixels and "
                f"{difference.scores:.3g} in score, allowed are {PIXELS_APART} and {SCORES_APART}"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        arriving = target.with_name(f"{target.name}.new")
        shutil.copyfile(exported, arriving)
        arriving.replace(target)
    digest = sha256_of(target)
    random = ", random weights" if Path(model).suffix in DESCRIPTIONS else ""
    source = f"Ultralytics {ultralytics.__version__}, exported from {Path(model).name}{random}"
    record_models(target.parent, [(target.name, ModelOrigin(digest, AGPL, source))])
    return Export(
        path=str(target),
        sha256=digest,
        bytes=target.stat().st_size,
        size=size,
        dynamic=dynamic,
        task=str(original.task),
        head=detector.head_kind,
        classes=detector.class_names,
        max_difference=max(difference.pixels, difference.scores),
        difference=difference,
        license=AGPL,
    )


def compare(original: Any, session: OnnxSession, detector: YoloDetector) -> Difference:
    """Run the torch model and its export on the same noise; how far apart what they answer is.

    Noise reaches every cell, and all cells are compared, whatever their score. An export that is open in height and
    width is asked at a square and at an oblong size.
    """
    import torch

    metadata = read_metadata(session.metadata)
    sizes = sorted({detector.input_size(picture) for picture in ((1, 1), (1, 2))})
    random = np.random.default_rng(0)
    differences = []
    for height, width in sizes:
        pixels = random.integers(0, 256, (1, height, width, 3), np.uint8)
        with torch.inference_mode():
            reference = original(torch.from_numpy(PIXELS(pixels)))[0].numpy()[0]
        outputs = session.normalizing(PIXELS).run(pixels)
        head, names = recognize_head(metadata, outputs, (height, width))
        ours = head.decode(outputs, min_score=-1.0)
        if head.needs_nms:
            differences.append(_apart_by_cell(ours, reference, len(names)))
        else:
            differences.append(_apart_from_nearest(ours, reference, len(names)))
    return Difference(max(each.pixels for each in differences), max(each.scores for each in differences))


def _import_ultralytics(*, offline: bool) -> Any:
    """Ultralytics, kept from installing packages, and from the network where nothing is to be fetched."""
    os.environ.setdefault("YOLO_AUTOINSTALL", "False")
    os.environ.setdefault("YOLO_VERBOSE", "False")
    if offline:
        os.environ.setdefault("YOLO_OFFLINE", "True")
    try:
        import onnx  # noqa: F401  # Ultralytics looks for it only when half of the work is done
        import ultralytics
    except ImportError as error:
        command = install_command("export")
        raise ExportFailed(f"the export needs Ultralytics, which is not installed: {command}") from error
    return ultralytics


def _run_export(ultralytics: Any, model: str, folder: Path, *, size: int, dynamic: bool) -> tuple[Any, Path]:
    """The original in evaluation mode, and the path of its export in ``folder``."""
    try:
        original = ultralytics.YOLO(model)
        original.model.float().eval()
    except Exception as error:  # Ultralytics and torch raise whatever they happen to meet in a broken file
        raise ExportFailed(f"Ultralytics cannot load {model}: {_first_line(error)}") from error
    if original.task not in TASKS:
        raise ExportFailed(f"{model} is a model for {original.task}; the service takes {' and '.join(TASKS)}")
    head = original.model.model[-1]
    end_to_end = getattr(head, "one2one_cv2", None) is not None
    # nms=False is how Ultralytics 8.4 is told to keep the one-to-one branch; others refuse to hear of it.
    choice = {"nms": False} if end_to_end else {}
    original.model.pt_path = str(folder / f"{Path(model).stem}.pt")  # the export is written beside it
    try:
        path = original.export(format="onnx", imgsz=size, dynamic=dynamic, device="cpu", **choice)
    except Exception as error:  # as above
        raise ExportFailed(f"Ultralytics cannot export {model}: {_first_line(error)}") from error
    if end_to_end:
        head.end2end = True
        head.postprocess = lambda rows: rows  # the reference answers every cell; see _apart_from_nearest
    return original, Path(path)


def _apart_by_cell(ours: Candidates, reference: NDArray[np.float32], classes: int) -> Difference:
    """The differences where both answer all cells in one order; ``reference`` is ``(4 + classes + rest, cells)``."""
    from ultralytics.utils.ops import xywh2xyxy

    rows = reference.T
    if len(rows) != len(ours.scores):
        raise ExportFailed(f"the export answers {len(ours.scores)} cells, the original {len(rows)}")
    # The original's score of the class that the export found best: a wrong class shows as a wrong score.
    scores = rows[np.arange(len(rows)), 4 + ours.class_ids]
    return _apart(ours, xywh2xyxy(rows[:, :4]), scores, rows[:, 4 + classes :])


def _apart_from_nearest(ours: Candidates, reference: NDArray[np.float32], classes: int) -> Difference:
    """The differences of the best boxes from the cells they are of; ``reference`` is ``(cells, 4 + classes + rest)``.

    Where scores are all but equal, rounding decides which cells are among the best and in what order. So each box
    is held against the nearest of all cells, and the scores in their order against the best there are.
    """
    nearest = reference[[np.abs(reference[:, :4] - box).max(axis=1).argmin() for box in ours.boxes]]
    scores = nearest[np.arange(len(nearest)), 4 + ours.class_ids]
    apart = _apart(ours, nearest[:, :4], scores, nearest[:, 4 + classes :])
    best = np.sort(reference[:, 4 : 4 + classes], axis=None)[::-1][: len(ours.scores)]
    return Difference(apart.pixels, max(apart.scores, float(np.abs(ours.scores - best).max())))


def _apart(
    ours: Candidates, boxes: NDArray[np.float32], scores: NDArray[np.float32], rest: NDArray[np.float32]
) -> Difference:
    pixels = float(np.abs(ours.boxes - boxes).max())
    score = float(np.abs(ours.scores - scores).max())
    if ours.keypoints is not None:
        keypoints = np.abs(ours.keypoints - rest.reshape(ours.keypoints.shape))
        pixels = max(pixels, float(keypoints[..., :2].max()))
        score = max(score, float(keypoints[..., 2:].max(initial=0.0)))
    return Difference(pixels, score)


def _first_line(error: Exception) -> str:
    """What went wrong, without the advice that libraries write below it."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
