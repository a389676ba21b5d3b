"""The arithmetic of an ONNX model: the multiply-adds of its convolutions and matrix products."""

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
"""Operators that are counted. In image networks all others are a few percent, and runtimes fuse them into these."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """The arithmetic of one run of a model. A multiply-add counts as two operations.

    Attributes:
        gflop: operations, in 1e9.
        depthwise_gflop: the part in depthwise convolutions. They do about ten operations for each value they load, so
            memory limits them on every processor.
        values: numbers that the counted layers read and write, including weights; 4 bytes each in fp32, 2 in bf16.
        layers: number of counted layers.
    """

    gflop: float
    depthwise_gflop: float
    values: int
    layers: int


def count(path: Path, shape: Shape) -> Arithmetic:
    """Count the arithmetic of a model.

    The model runs once on zeros, which gives the shapes of all layers, including those that the graph computes. Layers
    in branches of control flow are not counted.

    Args:
        path: the ONNX file; it has one input.
        shape: of the input.
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
    """Shapes of the tensors that these nodes read and write, by name."""
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
