"""The metadata that an exporter wrote into the file of a YOLO model."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from facet.runtime.models import UnsupportedModel

DEFAULT_STRIDE = 32


@dataclass(frozen=True, slots=True)
class ExportMetadata:
    """The metadata of an Ultralytics export that decoding needs.

    Attributes:
        task: "detect", "pose", "segment", ...; ``None`` if missing.
        head: the class of the model's last layer; ``None`` in exports before 8.4.
        class_names: by class id; empty if missing.
        keypoint_shape: number of keypoints, and of values for each: 2 (x, y) or 3 (x, y, visibility); ``None`` without
            keypoints.
        stride: both sides of the input are multiples of it, pixels.
        end_to_end: whether the graph outputs final boxes, by a one-to-one head or by NMS inside the graph.
    """

    task: str | None
    head: str | None
    class_names: tuple[str, ...]
    keypoint_shape: tuple[int, int] | None
    stride: int
    end_to_end: bool


def read_metadata(properties: Mapping[str, str]) -> ExportMetadata:
    """Parse the metadata properties of an ONNX file; any may be missing.

    Raises:
        UnsupportedModel: a property cannot be parsed.
    """
    arguments = _literal(properties, "args", {})
    try:
        return ExportMetadata(
            task=properties.get("task"),
            head=properties.get("head"),
            class_names=_class_names(_literal(properties, "names", ())),
            keypoint_shape=_keypoint_shape(_literal(properties, "kpt_shape", None)),
            stride=max(1, int(_literal(properties, "stride", DEFAULT_STRIDE))),
            end_to_end=bool(_literal(properties, "end2end", False) or arguments.get("nms")),
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise UnsupportedModel(f"invalid metadata of the YOLO model: {error}") from error


def _literal(properties: Mapping[str, str], name: str, default: object) -> Any:
    """Parse a property that was written as a Python literal."""
    if name not in properties:
        return default
    try:
        return ast.literal_eval(properties[name])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        text = properties[name][:80]
        raise UnsupportedModel(f"invalid metadata of the YOLO model: cannot parse {name!r}: {text!r}") from None


def _class_names(names: object) -> tuple[str, ...]:
    if isinstance(names, dict):
        if sorted(names) != list(range(len(names))):
            raise ValueError("the ids in 'names' are not consecutive from 0")
        names = [names[index] for index in range(len(names))]
    if not isinstance(names, list | tuple):
        raise TypeError(f"'names' is {names!r}, expected a mapping or list")
    return tuple(str(name) for name in names)


def _keypoint_shape(shape: object) -> tuple[int, int] | None:
    if shape is None:
        return None
    if (
        not isinstance(shape, list | tuple)
        or len(shape) != 2
        or not all(isinstance(number, int) for number in shape)
        or shape[0] < 1
        or shape[1] not in (2, 3)
    ):
        raise ValueError(f"'kpt_shape' is {shape!r}, expected [count, 2 or 3]")
    return (shape[0], shape[1])
