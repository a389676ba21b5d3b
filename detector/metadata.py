"""What an exporter wrote into a YOLO model's file about it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from facet.runtime.models import UnsupportedModel

DEFAULT_STRIDE = 32


@dataclass(frozen=True, slots=True)
class ExportMetadata:
    """The metadata of an Ultralytics export, as far as decoding needs it.

    Attributes:
        task: "detect", "pose", "segment", ...; ``None`` where it is not said.
        head: the class of the model's last layer; ``None`` in exports of before 8.4.
        class_names: by class id; empty where they are not said.
        keypoint_shape: how many keypoints, and 2 or 3 numbers each (x, y, visibility); ``None`` without.
        stride: both sides of the input are multiples of this, pixels.
        end_to_end: whether the graph itself answers final boxes: by a one-to-one head, or by NMS baked in.
    """

    task: str | None
    head: str | None
    class_names: tuple[str, ...]
    keypoint_shape: tuple[int, int] | None
    stride: int
    end_to_end: bool


def read_metadata(properties: Mapping[str, str]) -> ExportMetadata:
    """Read the metadata properties of an ONNX file; all of them may be missing.

    Raises:
        UnsupportedModel: a property is there but cannot be understood.
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
        raise UnsupportedModel(f"the metadata of the YOLO model cannot be understood: {error}") from error


def _literal(properties: Mapping[str, str], name: str, default: object) -> Any:
    """A property that was written as a Python literal."""
    if name not in properties:
        return default
    try:
        return ast.literal_eval(properties[name])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        text = properties[name][:80]
        raise UnsupportedModel(f"the metadata of the YOLO model has no readable {name!r}: {text!r}") from None


def _class_names(names: object) -> tuple[str, ...]:
    if isinstance(names, dict):
        if sorted(names) != list(range(len(names))):
            raise ValueError("the ids in 'names' do not count from 0")
        names = [names[index] for index in range(len(names))]
    if not isinstance(names, list | tuple):
        raise TypeError(f"'names' is no mapping or list but {names!r}")
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
        raise ValueError(f"'kpt_shape' is {shape!r}, expected [how many, 2 or 3]")
    return (shape[0], shape[1])
