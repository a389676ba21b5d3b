"""How much arithmetic there is in an ONNX model: the multiply-adds of its convolutions and matrix products."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import onnxruntime as ort

if TYPE_CHECKING:
    import onnx

Shape: TypeAlias = tuple[int, ...]

COUNTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""The operators that are counted. In networks of pictures the others are a few percent, and are fused into these."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """What one run of a model computes. A multiply-add counts as two operations.

    Attributes:
        gflop: 1e9 floating-point operations.
        depthwise_gflop: of these, in convolutions that keep every channel to itself: some ten operations for each value
            that is loaded, so that no processor gets near its roof in them.
        values: numbers that the counted layers read and write, weights among them; of 4 bytes in fp32, 2 in bf16.
        layers: how many are counted.
    """

    gflop: float
    depthwise_gflop: float
    values: int
    layers: int


def count(path: Path, shape: Shape) -> Arithmetic:
    """Count a model's arithmetic for an input of this shape.

    The model is run once on zeros, which tells the shapes of all layers, also where they are computed in the graph.
    Layers in the branches of control flow are not counted.
    """
    import onnx

    model = onnx.load(path)
    counted = [node for node in model.graph.node if node.op_type in COUNTED]
    shapes = _shapes(model, counted, shape)
    flops = [_operations(node, shapes) for node in counted]
    depthwise = [flop for node, flop in zip(counted, flops, strict=True) if _is_depthwise(node, shapes)]
    values = sum(math.prod(shapes[name]) for node in counted for name in (*node.input[:2], node.output[0]))
    return Arithmetic(sum(flops) / 1e9, sum(depthwise) / 1e9, values, len(counted))


def _shapes(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], shape: Shape) -> Mapping[str, Shape]:
    """The shapes of what these nodes read and write."""
    known: dict[str, Shape] = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    (source,) = (value.name for value in model.graph.input if value.name not in known)
    known[source] = shape
    wanted = {name for node in nodes for name in (*node.input[:2], node.output[0])} - known.keys()
    import onnx

    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(wanted))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    tensors = session.run(sorted(wanted), {source: np.zeros(shape, np.float32)})
    return known | {name: tensor.shape for name, tensor in zip(sorted(wanted), tensors, strict=True)}


def _operations(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int:
    left, right, out = shapes[node.input[0]], shapes[node.input[1]], shapes[node.output[0]]
    if node.op_type == "Conv":  # weights are (out, in / groups, height, width)
        return 2 * math.prod(out) * math.prod(right[1:])
    if node.op_type == "ConvTranspose":  # weights are (in, out / groups, height, width)
        return 2 * math.prod(left) * math.prod(right[1:])
    transposed = node.op_type == "Gemm" and _attribute(node, "transA", 0)
    return 2 * math.prod(out) * left[0 if transposed else -1]


def _is_depthwise(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> bool:
    return node.op_type == "Conv" and _attribute(node, "group", 1) == shapes[node.input[0]][1] > 1


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == name), default)
