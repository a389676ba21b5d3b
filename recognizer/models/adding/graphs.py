"""Changes ONNX graphs: what they take, what they give, and which axes are open.

None of this proves that the changed graph gives the same answers. Callers run both and compare.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facet.runtime.extras import install_command
from facet.runtime.models import ModelError, UnsupportedModel
from recognizer.alignment import CROP_SIZE
from recognizer.models.adding.preprocessing import InputForm, Preprocessing

_MIN_OPSET = 7
"""The first in which Sub and Mul broadcast."""
_WEIGHTS_ALONE = 4
"""The first version of the format in which a weight need not be an input."""
_PREFIX = "facet"


def taking_aligned_faces(content: bytes, name: str, form: InputForm, how: Preprocessing, *, batch: int | None) -> bytes:
    """Put nodes around a recogniser, so that it takes what :class:`recognizer.embedding.Embedder` gives.

    The first nodes subtract and multiply, and are named so: by InsightFace's rule such a model takes raw samples, RGB
    ``(n, 3, 112, 112)``. Two matrix products interpolate to the model's side, in every version of ONNX and with equal
    results in all runtimes. What was float16 becomes float32, and the only output is that of ``form``.

    Args:
        content: the ONNX file.
        name: of the model, for messages.
        form: of the original.
        how: the original's preprocessing.
        batch: the number of pictures of the new model; ``None`` for any.

    Raises:
        UnsupportedModel: it is no ONNX file, or of a version before operators broadcast.
        ModelError: the package onnx is missing.
    """
    onnx = _onnx()
    model = _loaded(content, name)
    graph = model.graph
    _widen(graph)
    (given,) = graph.input
    if form.batch is not None and batch is None:
        _open_batch(graph, form.batch)
    nodes: list[Any] = []
    current = start = _unused(graph, "rgb")

    def then(
        operator: str, label: str, constant: NDArray[Any] | None = None, *, first: bool = False, **options: Any
    ) -> None:
        nonlocal current
        inputs = [current]
        if constant is not None:
            held = _hold(graph, f"{label}_constant", constant)
            inputs = [held, current] if first else [current, held]
        current = _unused(graph, label)
        nodes.append(onnx.helper.make_node(operator, inputs, [current], name=f"{operator}_{current}", **options))

    then("Sub", "mean", np.array(how.mean, np.float32).reshape(1, 3, 1, 1))
    then("Mul", "scale", (1 / np.array(how.std, np.float32)).reshape(1, 3, 1, 1))
    if form.side != CROP_SIZE:
        interpolation = _interpolation(form.side)
        then("MatMul", "rows", interpolation, first=True)
        then("MatMul", "columns", np.ascontiguousarray(interpolation.T))
    if how.channels == "bgr":
        then("Gather", "channels", np.array([2, 1, 0], np.int64), axis=1)
    if form.channels_last:
        then("Transpose", "channels_last", perm=[0, 2, 3, 1])
    nodes[-1].output[0] = given.name
    answered = graph.output[form.output]
    result = answered.name
    if not form.flat:
        result = _unused(graph, "embedding")
        graph.node.append(onnx.helper.make_node("Flatten", [answered.name], [result], name=result, axis=1))
    width = max(axis.dim_value for axis in answered.type.tensor_type.shape.dim[1:]) or "d"
    old = list(graph.node)
    del graph.node[:], graph.value_info[:], graph.output[:]
    graph.node.extend([*nodes, *old])
    graph.input.remove(given)
    float32, pictures = onnx.TensorProto.FLOAT, "n" if batch is None else batch
    shape = (pictures, 3, CROP_SIZE, CROP_SIZE)
    graph.input.insert(0, onnx.helper.make_tensor_value_info(start, float32, shape))
    graph.output.append(onnx.helper.make_tensor_value_info(result, float32, (pictures, width)))
    return bytes(model.SerializeToString(deterministic=True))


def taking_any_size(content: bytes, name: str) -> bytes:
    """Open height and width of a detector ``(1, 3, h, w)``: its enlargements become factors, its lists get any length.

    Raises:
        UnsupportedModel: it is no ONNX file.
        ModelError: the package onnx is missing.
    """
    onnx = _onnx()
    model = _loaded(content, name)
    graph = model.graph
    shapes = _shapes(onnx.shape_inference.infer_shapes(model).graph)
    constants = dict(_constants(graph))
    for node in graph.node:
        if node.op_type == "Resize" and len(node.input) == 4 and node.input[3] in constants:
            sizes = onnx.numpy_helper.to_array(constants[node.input[3]])
            before = shapes.get(node.input[0], ())
            if len(before) == len(sizes) and all(before):
                factors = _hold(graph, f"factors_{node.output[0]}", np.array(sizes / np.array(before), np.float32))
                roi = node.input[1]
                del node.input[1:]
                node.input.extend([roi, factors])
        elif node.op_type == "Reshape" and node.input[1] in constants:
            shape = np.array(onnx.numpy_helper.to_array(constants[node.input[1]]))
            if (shape > 0).all():
                shape[shape.argmax()] = -1
                node.input[1] = _hold(graph, f"shape_{node.output[0]}", shape)
    del graph.value_info[:]
    for axis, side in zip(graph.input[0].type.tensor_type.shape.dim[2:], ("height", "width"), strict=True):
        axis.dim_param = side
    for answered in graph.output:
        axes = answered.type.tensor_type.shape.dim
        axes[len(axes) - 2].dim_param = f"anchors_{answered.name}"
    return bytes(model.SerializeToString(deterministic=True))


def _onnx() -> Any:
    try:
        import onnx
        import onnx.shape_inference
    except ImportError as error:
        raise ModelError(
            f"converting a model needs the package onnx, which is not installed: {install_command('models')}"
        ) from error
    return onnx


def _loaded(content: bytes, name: str) -> Any:
    onnx = _onnx()
    model = onnx.load_model_from_string(content)
    version = max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0)
    if version < _MIN_OPSET:
        raise UnsupportedModel(f"{name} has version {version} of ONNX's operators, expected {_MIN_OPSET} or newer")
    if model.ir_version < _WEIGHTS_ALONE:  # all weights are inputs, too
        weights = {each.name for each in model.graph.initializer}
        inputs = [each for each in model.graph.input if each.name not in weights]
        del model.graph.input[:]
        model.graph.input.extend(inputs)
        model.ir_version = _WEIGHTS_ALONE
    return model


def _widen(graph: Any) -> None:
    """Make float32 of everything that is float16, in graphs inside this one as well."""
    onnx = _onnx()
    half, full = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT

    def widen(tensor: Any) -> None:
        if tensor.data_type == half:
            values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))

    for tensor in graph.initializer:
        widen(tensor)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == half:
            value.type.tensor_type.elem_type = full
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype") and attribute.i == half:
                attribute.i = full
            for tensor in (attribute.t, *attribute.tensors):
                widen(tensor)
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _widen(inner)


def _open_batch(graph: Any, batch: int) -> None:
    """Let shapes that name the number of pictures take any."""
    onnx = _onnx()
    constants = dict(_constants(graph))
    for node in graph.node:
        if node.op_type != "Reshape" or node.input[1] not in constants:
            continue
        shape = np.array(onnx.numpy_helper.to_array(constants[node.input[1]]))
        if shape.size > 1 and shape[0] == batch:
            shape[0] = 0 if (shape == -1).any() else -1
            node.input[1] = _hold(graph, f"shape_{node.output[0]}", shape)


def _constants(graph: Any) -> Iterator[tuple[str, Any]]:
    for tensor in graph.initializer:
        yield tensor.name, tensor
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    yield node.output[0], attribute.t


def _shapes(graph: Any) -> dict[str, tuple[int, ...]]:
    """The shapes of all tensors whose shape is known; an open axis is 0."""
    return {
        each.name: tuple(axis.dim_value for axis in each.type.tensor_type.shape.dim)
        for each in (*graph.input, *graph.value_info, *graph.output)
    }


def _hold(graph: Any, label: str, values: NDArray[Any]) -> str:
    """Add a constant to the graph; its name."""
    name = _unused(graph, label)
    graph.initializer.append(_onnx().numpy_helper.from_array(values, name))
    return name


def _unused(graph: Any, label: str) -> str:
    """A name for a tensor that the graph does not have: a model may be converted that was converted before."""
    taken = {name for node in graph.node for name in node.output}
    taken |= {each.name for each in (*graph.input, *graph.initializer)}
    name = f"{_PREFIX}_{label}"
    while name in taken:
        name += "_"
    return name


def _interpolation(side: int) -> NDArray[np.float32]:
    """Bilinear interpolation from 112 pixels to a side, as a matrix ``(side, 112)``; as ``cv2.INTER_LINEAR``."""
    centres = np.clip((np.arange(side) + 0.5) * CROP_SIZE / side - 0.5, 0, CROP_SIZE - 1)
    distance = np.abs(centres[:, None] - np.arange(CROP_SIZE))
    return np.asarray(np.maximum(0, 1 - distance), np.float32)
