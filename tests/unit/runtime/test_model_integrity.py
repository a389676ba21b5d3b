"""What is loaded is what the digest covers: weights beside the file, files that change, and files that are none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from facet.runtime.inference.session import OnnxSession
from facet.runtime.inference.sessions import RuntimeName, open_session
from facet.runtime.inference.slots import InferenceSlots
from facet.runtime.models import DigestMismatch, ModelError, UnsupportedModel, find_model, read_model, sha256_of
from facet.runtime.onnx_nodes import external_file
from recognizer.embedding import Embedder

SLOTS = InferenceSlots(1, 1)


def weights(value: float) -> TensorProto:
    return numpy_helper.from_array(np.full((1, 3, 4, 4), value, np.float32), "w")


def model_of(nodes: list[onnx.NodeProto], initializers: list[TensorProto]) -> onnx.ModelProto:
    picture = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 4, 4))
    answer = helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 3, 4, 4))
    graph = helper.make_graph(nodes, "g", [picture], [answer], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def simple(value: float = 1.0) -> onnx.ModelProto:
    return model_of([helper.make_node("Mul", ["x", "w"], ["y"])], [weights(value)])


def move_beside(tensor: TensorProto) -> None:
    onnx.external_data_helper.set_external_data(tensor, location="weights.bin")
    tensor.ClearField("raw_data")


def in_initializer() -> onnx.ModelProto:
    model = simple()
    move_beside(model.graph.initializer[0])
    return model


def in_constant() -> onnx.ModelProto:
    tensor = weights(1.0)
    move_beside(tensor)
    nodes = [helper.make_node("Constant", [], ["w"], value=tensor), helper.make_node("Mul", ["x", "w"], ["y"])]
    return model_of(nodes, [])


def in_subgraph() -> onnx.ModelProto:
    tensor = weights(1.0)
    move_beside(tensor)
    inner = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["z"])],
        "inner",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, 3, 4, 4))],
        [tensor],
    )
    condition = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.array(True), "t"))
    return model_of([condition, helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)], [])


@pytest.mark.parametrize("make", [in_initializer, in_constant, in_subgraph])
def test_weights_in_a_file_beside_the_model_are_refused(tmp_path: Path, make: Callable[[], onnx.ModelProto]) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(make().SerializeToString())
    (tmp_path / "weights.bin").write_bytes(np.ones(48, np.float32).tobytes())
    for load in (lambda: find_model(str(path)), lambda: OnnxSession(path), lambda: open_session(path, slots=SLOTS)):
        with pytest.raises(UnsupportedModel, match=r"'weights\.bin'.*onnx\.save"):
            load()


def test_the_command_of_the_refusal_makes_one_file(tmp_path: Path) -> None:
    path, whole = tmp_path / "model.onnx", tmp_path / "whole.onnx"
    onnx.save(simple(2.0), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert external_file(path.read_bytes()) == "weights.bin"
    onnx.save(onnx.load(path), whole)
    pictures = np.full((1, 4, 4, 3), 3, np.uint8)
    assert OnnxSession(whole).run(pictures)[0].max() == 6


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_model_that_is_swapped_after_its_digest_was_taken_is_not_loaded(tmp_path: Path, runtime: RuntimeName) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(simple(1.0).SerializeToString())
    found = find_model(str(path))
    session = open_session(path, sha256=found.sha256, slots=SLOTS, runtime=runtime)
    path.write_bytes(simple(2.0).SerializeToString())
    assert session.run(np.full((1, 4, 4, 3), 3, np.uint8))[0].max() == 3
    with pytest.raises(DigestMismatch, match="replaced while it was loaded"):
        open_session(path, sha256=found.sha256, slots=SLOTS, runtime=runtime)


def test_the_graph_that_decides_the_normalisation_is_that_of_the_digest(tmp_path: Path) -> None:
    packaged = find_model("w600k_mbf")
    path = tmp_path / "mbf.onnx"
    path.write_bytes(packaged.path.read_bytes())
    found = find_model(str(path))
    session = OnnxSession(path, sha256=found.sha256)
    path.write_bytes(simple().SerializeToString())
    with pytest.raises(DigestMismatch):
        Embedder(session, found)


@pytest.mark.parametrize("cut", [0, 1, 40, -1])
def test_a_truncated_model_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(simple().SerializeToString()[:cut])
    for runtime in ("openvino", "onnxruntime"):
        with pytest.raises(ModelError, match=r"model\.onnx"):
            open_session(path, slots=SLOTS, runtime=runtime)


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.onnx"
    os.mkfifo(pipe)
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "endless.onnx").symlink_to("/dev/zero")
    for name in ("pipe", "folder", "endless"):
        with pytest.raises(ModelError):
            read_model(tmp_path / f"{name}.onnx")
        with pytest.raises(ModelError):
            find_model(name, tmp_path)
    (tmp_path / "linked.onnx").symlink_to(find_model("w600k_mbf").path)
    assert find_model("linked", tmp_path).sha256 == sha256_of(tmp_path / "linked.onnx")


def test_nested_graphs_end_the_walk() -> None:
    def field(number: int, content: bytes) -> bytes:
        length, size = bytearray(), len(content)
        while size > 127:
            length.append(size & 127 | 128)
            size >>= 7
        return bytes([number << 3 | 2, *length, size]) + content

    graph = b""
    for _ in range(500):
        graph = field(1, field(5, field(6, graph)))
    with pytest.raises(ValueError, match="nested too deeply"):
        external_file(field(7, graph))
