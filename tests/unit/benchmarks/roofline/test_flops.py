"""Counts of multiply-adds, on graphs for which they are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from facet.benchmarks.roofline.flops import Arithmetic, count


def saved(path: Path, nodes: list[onnx.NodeProto], **weights: tuple[int, ...]) -> Path:
    """Save a model with the input ``x`` and the output of the last node."""
    tensors = [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in weights.items()]
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    sink = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "made", [source], [sink], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def node(kind: str, *inputs: str, out: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, list(inputs), [out], **attributes)


def test_a_convolution_counts_two_operations_per_weight_and_output_position(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.onnx", [node("Conv", "x", "w", out="y", pads=[1, 1, 1, 1])], w=(8, 3, 3, 3))
    expected = 2 * (8 * 10 * 20) * (3 * 3 * 3)
    values = 3 * 10 * 20 + 8 * 3 * 3 * 3 + 8 * 10 * 20
    assert count(path, (1, 3, 10, 20)) == Arithmetic(expected / 1e9, 0.0, values, 1)


def test_batch_size_and_stride_change_the_count(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.onnx", [node("Conv", "x", "w", out="y", strides=[2, 2])], w=(8, 3, 2, 2))
    assert count(path, (4, 3, 10, 10)).gflop == pytest.approx(2 * (4 * 8 * 5 * 5) * (3 * 2 * 2) / 1e9)


def test_depthwise_convolutions_are_counted_separately(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x", "deep", out="y", group=8, pads=[1, 1, 1, 1]),
        node("Relu", "y", out="z"),
        node("Conv", "z", "point", out="end"),
    ]
    counted = count(saved(tmp_path / "m.onnx", nodes, deep=(8, 1, 3, 3), point=(16, 8, 1, 1)), (1, 8, 10, 10))
    assert counted.depthwise_gflop == pytest.approx(2 * 800 * 9 / 1e9)
    assert counted.gflop == pytest.approx(counted.depthwise_gflop + 2 * 1600 * 8 / 1e9)
    assert counted.layers == 2


def test_a_transposed_convolution_counts_two_operations_per_weight_and_input_position(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.onnx", [node("ConvTranspose", "x", "w", out="y", strides=[2, 2])], w=(4, 6, 2, 2))
    assert count(path, (1, 4, 5, 5)).gflop == pytest.approx(2 * (4 * 5 * 5) * (6 * 2 * 2) / 1e9)


def test_a_matrix_product_counts_two_operations_per_inner_element_and_output(tmp_path: Path) -> None:
    nodes = [
        node("MatMul", "x", "w", out="y"),
        node("Gemm", "y", "v", out="z", transA=1),
        node("MatMul", "y", "z", out="end"),
    ]
    counted = count(saved(tmp_path / "m.onnx", nodes, w=(8, 16), v=(5, 7)), (5, 8))
    assert counted.gflop == pytest.approx(2 * (5 * 16 * 8 + 16 * 7 * 5 + 5 * 7 * 16) / 1e9)
    assert counted.layers == 3
