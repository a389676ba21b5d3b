"""Export an Ultralytics YOLO model to an ONNX file that the detector loads, and check that it gives the same output."""

from __future__ import annotations

import os
import shlex
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
from facet.runtime.inference.session import OnnxSession
from facet.runtime.models import AGPL, ModelOrigin, record_models, sha256_of

TASKS = ("detect", "pose")
CHECKPOINTS = (".pt",)
DESCRIPTIONS = (".yaml", ".yml")

PIXELS_APART = 0.25
"""Largest allowed difference of boxes and keypoints, pixels of the model's input."""
SCORES_APART = 0.001
"""Largest allowed difference of scores and visibilities."""


class ExportFailed(Exception):
    """The model cannot be exported, or the export differs from the original."""


class NotTrusted(ExportFailed):
    """The model is a checkpoint, which can run code, and nobody said that it is trusted."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The largest differences between an export and its original.

    Attributes:
        pixels: difference of boxes and keypoints, in pixels of the model's input.
        scores: difference of scores and visibilities.
    """

    pixels: float
    scores: float


@dataclass(frozen=True, slots=True)
class Export:
    """A finished export, as ``--json`` prints it.

    Attributes:
        path: the ONNX file.
        sha256: hexadecimal digest of its bytes.
        bytes: its size.
        size: side of the model's input, pixels.
        dynamic: height and width of the input are open.
        task: "detect" or "pose".
        head: the kind of output, as the server reports it.
        classes: class names by id.
        max_difference: the larger of the two differences from the original.
        difference: both differences.
        license: licence of the weights.
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


def export_model(model: str, target: Path, *, size: int, dynamic: bool, trust: bool = False) -> Export:
    """Export a model, compare it with the original, then write the file and record it in the manifest beside it.

    Args:
        model: a checkpoint (``.pt``), which Ultralytics downloads if it knows the name and there is no such file, or a
            model description (``.yaml``), which gets random weights.
        target: the ONNX file to write. Nothing is written if a step before fails.
        size: side of the model's input in pixels, a multiple of 32.
        dynamic: leave height and width of the input open.
        trust: load a checkpoint. It is a pickle: whoever made it decides what code runs here when it is loaded. A
            description is data, and needs no trust.

    Raises:
        NotTrusted: the model is a checkpoint, and ``trust`` is false. Nothing was loaded or downloaded.
        ExportFailed: Ultralytics is missing or fails, or the export differs from the original.
        ModelError: the detector does not load the export, or the manifest cannot be read.
        OSError: the file cannot be written.
    """
    if Path(model).suffix not in DESCRIPTIONS and not trust:
        raise NotTrusted(
            f"{model} is a pickle, and loading a pickle runs whatever code its author put into it: if you trust where "
            "it comes from, add --trust; otherwise ask for an ONNX file, which the server loads as it is"
        )
    ultralytics = _import_ultralytics(model)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about its own exporter
        original, exported = _run_export(ultralytics, model, Path(folder), size=size, dynamic=dynamic)
        session = OnnxSession(exported)
        detector = YoloDetector(session, size=size)
        difference = compare(original.model, session, detector)
        if not (difference.pixels <= PIXELS_APART and difference.scores <= SCORES_APART):
            raise ExportFailed(
                f"the export differs from the original: by up to {difference.pixels:.3g} pixels and "
                f"{difference.scores:.3g} in score; allowed are {PIXELS_APART} and {SCORES_APART}"
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
    """Run the torch model and its export on the same noise, and measure the difference of their outputs.

    Noise activates every cell, and all cells are compared, whatever their score. An export with open height and width
    runs at a square and at an oblong size.
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


def _import_ultralytics(model: str) -> Any:
    """Import Ultralytics so that it installs no packages, and uses no network if it need not download the model."""
    os.environ.setdefault("YOLO_AUTOINSTALL", "False")
    os.environ.setdefault("YOLO_VERBOSE", "False")
    if Path(model).suffix in DESCRIPTIONS:
        os.environ["ULTRALYTICS_SAFE_LOAD"] = "True"  # without it, Ultralytics evaluates "activation" as Python
    if Path(model).suffix in DESCRIPTIONS or Path(model).is_file():
        os.environ.setdefault("YOLO_OFFLINE", "True")
    try:
        import onnx  # noqa: F401  # Ultralytics needs it, but notices only halfway
        import ultralytics
    except ImportError as error:
        trusted = "" if Path(model).suffix in DESCRIPTIONS else " --trust"
        command = install_command("export", then=f"models export {shlex.quote(model)}{trusted}")
        raise ExportFailed(f"the export needs Ultralytics, which is not installed: {command}") from error
    return ultralytics


def _run_export(ultralytics: Any, model: str, folder: Path, *, size: int, dynamic: bool) -> tuple[Any, Path]:
    """Export to ``folder``; returns the original in evaluation mode and the path of the export."""
    try:
        original = ultralytics.YOLO(model)
        original.model.float().eval()
    except Exception as error:  # Ultralytics and torch raise all kinds of errors for a broken file
        raise ExportFailed(f"Ultralytics cannot load {model}: {_first_line(error)}") from error
    if original.task not in TASKS:
        raise ExportFailed(f"{model} is a model for {original.task}; the service takes {' and '.join(TASKS)}")
    head = original.model.model[-1]
    end_to_end = getattr(head, "one2one_cv2", None) is not None
    # nms=False makes Ultralytics 8.4 keep the one-to-one branch. Models without one reject the argument.
    choice = {"nms": False} if end_to_end else {}
    original.model.pt_path = str(folder / f"{Path(model).stem}.pt")  # Ultralytics writes the export beside it
    try:
        path = original.export(format="onnx", imgsz=size, dynamic=dynamic, device="cpu", **choice)
    except Exception as error:  # as above
        raise ExportFailed(f"Ultralytics cannot export {model}: {_first_line(error)}") from error
    if end_to_end:
        head.end2end = True
        head.postprocess = lambda rows: rows  # return every cell; see _apart_from_nearest
    return original, Path(path)


def _apart_by_cell(ours: Candidates, reference: NDArray[np.float32], classes: int) -> Difference:
    """Compare outputs that list all cells in the same order; ``reference`` is ``(4 + classes + rest, cells)``."""
    from ultralytics.utils.ops import xywh2xyxy

    rows = reference.T
    if len(rows) != len(ours.scores):
        raise ExportFailed(f"the export has {len(ours.scores)} cells, the original {len(rows)}")
    # The original's score for the export's best class: a wrong class shows as a wrong score.
    scores = rows[np.arange(len(rows)), 4 + ours.class_ids]
    return _apart(ours, xywh2xyxy(rows[:, :4]), scores, rows[:, 4 + classes :])


def _apart_from_nearest(ours: Candidates, reference: NDArray[np.float32], classes: int) -> Difference:
    """Compare the best boxes with their cells; ``reference`` is ``(cells, 4 + classes + rest)``.

    If scores are nearly equal, rounding decides which cells are among the best, and their order. So each box is
    compared with the nearest of all cells, and the sorted scores with the best scores of all cells.
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
    """The message of an error, without the advice that libraries add below it."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
