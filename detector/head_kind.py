"""Which kind of YOLO output a model has, read from its metadata and from what it answers."""

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
    """The head, and the names of its classes.

    A :class:`~detector.heads.GridHead` without metadata gets names made up from the numbers ("class_0"); of
    the others nothing says how many classes there are, so they are refused without names.

    Args:
        metadata: what the exporter wrote.
        outputs: what the model answered to any one blob.
        input_size: ``(height, width)`` of that blob, pixels.

    Raises:
        UnsupportedModel: the model is of none of these kinds.
    """
    if metadata.task not in (None, *_TASKS):
        raise UnsupportedModel(f"expected a YOLO model for {' or '.join(_TASKS)}, found one for {metadata.task!r}")
    if metadata.head == "RTDETRDecoder":
        raise UnsupportedModel("expected a YOLO head, found RT-DETR's, whose boxes are in other units")
    if metadata.task == "pose" and metadata.keypoint_shape is None:
        raise UnsupportedModel("expected 'kpt_shape' in the metadata of a pose model, found none")
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
    """Whether rows are final boxes. YOLOv5 of one class has the same shape, but no whole class ids."""
    if output.shape[2] != 6 + _keypoint_numbers(metadata) or not metadata.class_names:
        return False
    classes = output[0, :, 5]
    whole = (classes == np.round(classes)) & (classes >= 0) & (classes < len(metadata.class_names))
    return bool(whole.all())


def _grid_classes(metadata: ExportMetadata, shape: tuple[int, ...]) -> int | None:
    """How many classes the columns have room for; ``None`` where it does not go with the metadata."""
    classes = shape[1] - 4 - _keypoint_numbers(metadata)
    if metadata.end_to_end or classes < 1 or shape[1] >= shape[2]:
        return None
    if metadata.class_names and classes != len(metadata.class_names):
        return None
    return classes


def _strides(
    metadata: ExportMetadata, shapes: Sequence[tuple[int, ...]], input_size: tuple[int, int]
) -> tuple[int, ...] | None:
    """The strides of raw maps; ``None`` where the outputs are none."""
    channels = 4 * DFL_BINS + len(metadata.class_names) + _keypoint_numbers(metadata)
    strides = []
    for shape in shapes:
        if len(shape) != 4 or shape[:2] != (1, channels) or not metadata.class_names:
            return None
        stride = input_size[0] // shape[2]
        if (shape[2] * stride, shape[3] * stride) != input_size:
            return None
        strides.append(stride)
    return tuple(strides) or None


def _keypoint_numbers(metadata: ExportMetadata) -> int:
    return 0 if metadata.keypoint_shape is None else metadata.keypoint_shape[0] * metadata.keypoint_shape[1]


def _refusal(metadata: ExportMetadata, shapes: Sequence[tuple[int, ...]], input_size: tuple[int, int]) -> str:
    classes: int | str = len(metadata.class_names) or "classes"
    numbers = _keypoint_numbers(metadata)
    rest = f"{classes} + {numbers}" if numbers else f"{classes}"
    return (
        f"expected a YOLO output of (1, 4 + {rest}, cells), final boxes (1, rows, {6 + numbers}) with whole "
        f"class ids below {classes}, or raw maps (1, {4 * DFL_BINS} + {rest}, height / stride, "
        f"width / stride); found {', '.join(map(str, shapes))} for an input of "
        f"{input_size[0]}x{input_size[1]}, {len(metadata.class_names)} class names, task {metadata.task!r}"
    )
