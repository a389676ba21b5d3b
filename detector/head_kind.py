"""Recognises the kind of a YOLO model's output from its metadata and a sample output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detector.heads import DFL_BINS, EndToEndHead, GridHead, Head, RawMapsHead
from detector.metadata import ExportMetadata
from facet.runtime.models import UnsupportedModel

_TASKS = ("detect", "pose")


def recognize_head(
    metadata: ExportMetadata, outputs: Sequence[NDArray[np.float32]], input_size: tuple[int, int]
) -> tuple[Head, tuple[str, ...]]:
    """Return the decoder of a model and the names of its classes.

    For a :class:`~detector.heads.GridHead` without class names in the metadata, the names are "class_0" and so on. The
    number of classes of other heads is unknown without class names, so these are refused.

    Args:
        metadata: the exporter's metadata.
        outputs: the outputs of the model for any input.
        input_size: ``(height, width)`` of that input, pixels.

    Raises:
        UnsupportedModel: the output is of no supported kind.
    """
    if metadata.task not in (None, *_TASKS):
        raise UnsupportedModel(f"expected a YOLO model with task {' or '.join(_TASKS)}, found task {metadata.task!r}")
    if metadata.head == "RTDETRDecoder":
        raise UnsupportedModel("expected a YOLO head, found RT-DETR, which has other units for boxes")
    if metadata.task == "pose" and metadata.keypoint_shape is None:
        raise UnsupportedModel("expected 'kpt_shape' in the metadata of a pose model, it is missing")
    shapes = [output.shape for output in outputs]
    if len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][0] == 1:
        if _is_end_to_end(metadata, outputs[0]):
            return EndToEndHead(shapes[0][1], metadata.keypoint_shape), metadata.class_names
        if (classes := _grid_classes(metadata, shapes[0])) is not None:
            names = metadata.class_names or tuple(f"class_{index}" for index in range(classes))
            return GridHead(classes, metadata.keypoint_shape), names
    elif (strides := _strides(metadata, shapes, input_size)) is not None:
        return RawMapsHead(len(metadata.class_names), metadata.keypoint_shape, strides), metadata.class_names
    raise UnsupportedModel(_refusal(metadata, shapes, input_size))


def _is_end_to_end(metadata: ExportMetadata, output: NDArray[np.float32]) -> bool:
    """Whether rows are final boxes. YOLOv5 with one class has the same shape, but class ids that are not integers."""
    if output.shape[2] != 6 + _keypoint_values(metadata) or not metadata.class_names:
        return False
    classes = output[0, :, 5]
    whole = (classes == np.round(classes)) & (classes >= 0) & (classes < len(metadata.class_names))
    return bool(whole.all())


def _grid_classes(metadata: ExportMetadata, shape: tuple[int, ...]) -> int | None:
    """Return the number of classes of a grid output; ``None`` if it contradicts the metadata."""
    classes = shape[1] - 4 - _keypoint_values(metadata)
    if metadata.end_to_end or classes < 1 or shape[1] >= shape[2]:
        return None
    if metadata.class_names and classes != len(metadata.class_names):
        return None
    return classes


def _strides(
    metadata: ExportMetadata, shapes: Sequence[tuple[int, ...]], input_size: tuple[int, int]
) -> tuple[int, ...] | None:
    """Return the strides of raw maps; ``None`` if the outputs are something else."""
    channels = 4 * DFL_BINS + len(metadata.class_names) + _keypoint_values(metadata)
    strides = []
    for shape in shapes:
        if len(shape) != 4 or shape[:2] != (1, channels) or not metadata.class_names:
            return None
        stride = input_size[0] // shape[2]
        if (shape[2] * stride, shape[3] * stride) != input_size:
            return None
        strides.append(stride)
    return tuple(strides) or None


def _keypoint_values(metadata: ExportMetadata) -> int:
    return 0 if metadata.keypoint_shape is None else metadata.keypoint_shape[0] * metadata.keypoint_shape[1]


def _refusal(metadata: ExportMetadata, shapes: Sequence[tuple[int, ...]], input_size: tuple[int, int]) -> str:
    classes: int | str = len(metadata.class_names) or "classes"
    numbers = _keypoint_values(metadata)
    rest = f"{classes} + {numbers}" if numbers else f"{classes}"
    return (
        f"expected a YOLO output (1, 4 + {rest}, cells), final boxes (1, rows, {6 + numbers}) with integer "
        f"class ids below {classes}, or raw maps (1, {4 * DFL_BINS} + {rest}, height / stride, "
        f"width / stride); found {', '.join(map(str, shapes))} for an input of "
        f"{input_size[0]}x{input_size[1]}, {len(metadata.class_names)} class names, task {metadata.task!r}"
    )
