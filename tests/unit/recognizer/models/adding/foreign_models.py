"""Models as people get them, made from the packaged ones: other axes, sides, channels, scales and batches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from facet.runtime.models import find_model

IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
DIMENSION = 512


@dataclass(frozen=True, slots=True)
class Foreign:
    """A recogniser with the packaged one inside."""

    side: int = 112
    channels_last: bool = False
    bgr: bool = False
    mean: tuple[float, float, float] = (127.5,) * 3
    std: tuple[float, float, float] = (127.5,) * 3
    batch: int | str = "n"
    pooled: bool = False
    own_row: bool = False
    """Each picture of a batch has a weight of its own, so that no other number of pictures is possible."""
    first_only: bool = False
    """Only the first picture of a batch is embedded."""

    def write(self, path: Path) -> Path:
        """Write the ONNX file."""
        model = onnx.load(str(find_model("w600k_mbf").path))
        graph = model.graph
        (inner,) = graph.input
        nodes = []

        def hold(values: Any, name: str) -> str:
            graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
            return name

        def then(operator: str, current: str, *constants: str, **options: Any) -> str:
            result = f"{operator}_of_{current}"
            nodes.append(helper.make_node(operator, [current, *constants], [result], name=result, **options))
            return result

        at = "picture"
        if self.channels_last:
            at = then("Transpose", at, perm=[0, 3, 1, 2])
        if self.bgr:
            at = then("Gather", at, hold(np.array([2, 1, 0]), "turned"), axis=1)
        if self.side != 112:
            scales = np.array([1, 1, 112 / self.side, 112 / self.side], np.float32)
            at = then("Resize", at, hold(np.zeros(0, np.float32), "roi"), hold(scales, "scales"), mode="linear")
        factor, shift = np.array(self.std) / 127.5, (np.array(self.mean) - 127.5) / 127.5
        at = then("Mul", at, hold(factor.reshape(1, 3, 1, 1).astype(np.float32), "factor"))
        at = then("Add", at, hold(shift.reshape(1, 3, 1, 1).astype(np.float32), "shift"))
        nodes[-1].output[0] = inner.name
        old = list(graph.node)
        (flatten,) = (node for node in old if node.op_type == "Flatten")
        if isinstance(self.batch, int):
            flatten.op_type = "Reshape"
            del flatten.attribute[:]
            flatten.input.append(hold(np.array([self.batch, -1]), "flat"))
        del graph.node[:], graph.value_info[:]
        at = graph.output[0].name
        front, nodes = nodes, []
        if self.own_row:
            at = then("Add", at, hold(np.zeros((self.batch, DIMENSION), np.float32), "rows"))
        if self.first_only:
            at = then(
                "Slice", at, hold(np.array([0]), "begin"), hold(np.array([1]), "end"), hold(np.array([0]), "axis")
            )
        if self.pooled:
            at = then("Reshape", at, hold(np.array([-1, DIMENSION, 1, 1]), "pooled"))
        graph.node.extend([*front, *old, *nodes])
        shape = (self.side, self.side, 3) if self.channels_last else (3, self.side, self.side)
        del graph.input[:], graph.output[:]
        graph.input.append(helper.make_tensor_value_info("picture", onnx.TensorProto.FLOAT, (self.batch, *shape)))
        given = (self.batch, DIMENSION, 1, 1) if self.pooled else (self.batch, DIMENSION)
        graph.output.append(helper.make_tensor_value_info(at, onnx.TensorProto.FLOAT, given))
        onnx.save(model, str(path))
        return path

    def embed(self, path: Path, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The unit vectors of the file for aligned faces, BGR, by a path of its own."""
        session = ort.InferenceSession(str(path))
        vectors = []
        for crop in crops:
            picture = cv2.resize(crop, (self.side, self.side))[..., ::-1].astype(np.float64)
            samples = (picture - self.mean) / self.std
            samples = samples[..., ::-1] if self.bgr else samples
            samples = samples if self.channels_last else samples.transpose(2, 0, 1)
            count = self.batch if isinstance(self.batch, int) else 1
            blob = np.ascontiguousarray(np.repeat(samples[None], count, 0), np.float32)
            vectors.append(np.asarray(session.run(None, {"picture": blob})[0][0], np.float32).ravel())
        units = np.stack(vectors)
        return np.asarray(units / np.linalg.norm(units, axis=1, keepdims=True), np.float32)


def write_detector(path: Path, *, side: int = 640, unchangeable: bool = False) -> Path:
    """Write the packaged SCRFD for one size only: everything that depends on the size is a constant.

    Args:
        path: the file.
        side: of its input, pixels.
        unchangeable: it adds a map of its own size, as no other size has.
    """
    model = onnx.load(str(find_model("scrfd_500m_bnkps").path))
    for axis, length in zip(model.graph.input[0].type.tensor_type.shape.dim, (1, 3, side, side), strict=True):
        axis.dim_value = length
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    ort.InferenceSession(model.SerializeToString(), options)
    if unchangeable:
        fixed = onnx.load(str(path))
        first = fixed.graph.node[0]
        weights = next(each for each in fixed.graph.initializer if each.name == first.input[1])
        shape = (1, weights.dims[0], side // 2, side // 2)
        fixed.graph.initializer.append(numpy_helper.from_array(np.zeros(shape, np.float32), "map"))
        held, first.output[0] = first.output[0], "before"
        fixed.graph.node.insert(1, helper.make_node("Add", ["before", "map"], [held]))
        onnx.save(fixed, str(path))
    return path


def write_graph(path: Path, nodes: list[Any], weights: dict[str, Any], *inputs: str, size: int = DIMENSION) -> Path:
    """Write a small network of pictures ``(n, 3, 112, 112)``, whose output is "vector"."""
    shape = ("n", 3, 112, 112)
    given = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in inputs or ("picture",)]
    result = helper.make_tensor_value_info("vector", onnx.TensorProto.FLOAT, ("n", size))
    held = [numpy_helper.from_array(np.asarray(values), name) for name, values in weights.items()]
    graph = helper.make_graph(nodes, "graph", given, [result], held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path


def write_constant(path: Path) -> Path:
    """Write a network that gives the same vector for every picture."""
    weights = {
        "zeros": np.zeros((3, DIMENSION), np.float32),
        "same": np.linspace(-1, 1, DIMENSION, dtype=np.float32),
    }
    nodes = [
        helper.make_node("GlobalAveragePool", ["picture"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "zeros"], ["nothing"]),
        helper.make_node("Add", ["nothing", "same"], ["vector"]),
    ]
    return write_graph(path, nodes, weights)


def write_untrained(path: Path) -> Path:
    """Write a network of random weights."""
    random = np.random.default_rng(0).normal(size=(64, 3, 7, 7)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["picture", "random"], ["maps"], strides=[7, 7]),
        helper.make_node("Relu", ["maps"], ["kept"]),
        helper.make_node("Flatten", ["kept"], ["vector"]),
    ]
    return write_graph(path, nodes, {"random": random}, size=64 * 16 * 16)


def write_weak(path: Path, *, size: int = 3) -> Path:
    """Write the packaged recogniser with the first numbers of its vectors only, which confuse people."""
    model = onnx.load(str(find_model("w600k_mbf").path))
    (result,) = model.graph.output
    for name, value in (("begin", 0), ("end", size), ("axis", 1)):
        model.graph.initializer.append(numpy_helper.from_array(np.array([value]), name))
    model.graph.node.append(helper.make_node("Slice", [result.name, "begin", "end", "axis"], ["first"]))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("first", onnx.TensorProto.FLOAT, ("n", size)))
    onnx.save(model, str(path))
    return path


def write_of_two_inputs(path: Path) -> Path:
    """Write a network that takes two pictures."""
    nodes = [
        helper.make_node("Sub", ["one", "other"], ["difference"]),
        helper.make_node("Flatten", ["difference"], ["vector"]),
    ]
    return write_graph(path, nodes, {}, "one", "other", size=3 * 112 * 112)


def write_with_weights_elsewhere(path: Path) -> Path:
    """Write the packaged recogniser with its weights in a file beside it."""
    model = onnx.load(str(find_model("w600k_mbf").path))
    onnx.save(model, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def write_half(path: Path) -> Path:
    """Write the packaged recogniser in float16: its weights, its input and its output."""
    model = onnx.load(str(find_model("w600k_mbf").path))
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    del model.graph.value_info[:]
    onnx.save(model, str(path))
    return path


def write_of_several_outputs(path: Path) -> Path:
    """Write the packaged recogniser with a norm and the features before the last layer, before its embedding."""
    model = onnx.load(str(find_model("w600k_mbf").path))
    graph = model.graph
    (embedding,) = graph.output
    last = graph.node[-1]
    graph.node.append(helper.make_node("ReduceL2", [embedding.name], ["norm"], axes=[1], keepdims=1))
    graph.node.append(helper.make_node("Identity", [last.input[0]], ["features"]))
    del graph.output[:]
    for name, size in (("norm", 1), ("features", DIMENSION), (embedding.name, DIMENSION)):
        graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ("n", size)))
    onnx.save(model, str(path))
    return path
