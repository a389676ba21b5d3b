"""Prepares a graph for OpenVINO: it takes 8-bit pictures, and loses little accuracy in bf16.

bf16 has a significand of 8 bits. Three measures avoid most of the error that this causes in detectors and recognition
models:

- Normalised samples need more than 8 bits. The graph takes the 8-bit samples themselves, which fit, and the scale moves
  into the weights of the first convolution.
- The first layers pass their errors on to all others. They stay in float32.
- The last layers compute coordinates of hundreds of pixels. They stay in float32.

``facet bench drift`` measures the remaining error.
"""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset1
from openvino.preprocess import PrePostProcessor

from facet.runtime.inference.session import Normalization

FIRST_EXACT = 5
LAST_EXACT = 3
"""Number of convolutions and matrix products at either end that stay in float32, with the layers around them."""
GROUP_WIDTH = 16
"""Channels per group for which the CPU plugin has a fast bf16 kernel. A layer of MobileFaceNet has two per group and
would take a quarter of the model's time."""

_WIDENED = "/widened"
_PRODUCTS = frozenset({"Convolution", "GroupConvolution", "MatMul"})


def taking_pictures(model: ov.Model, normalization: Normalization) -> ov.Model:
    """Make a model of RGB planes take 8-bit BGR pictures ``(n, h, w, 3)`` and normalise them itself."""
    folded = _fold_into_first_weights(model, 1 / normalization.scale)
    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout("NCHW"))
    step = steps.input().preprocess().convert_element_type(ov.Type.f32)
    if normalization.mean:
        step = step.mean(normalization.mean)
    if not folded:
        step.scale(normalization.scale).reverse_channels()
    return steps.build()


def keep_sensitive_exact(core: ov.Core, model: ov.Model) -> ov.Model:
    """Mark the layers that stay in float32 when the model is compiled for bf16.

    The CPU plugin looks for the attribute "precise" on a node (openvinotoolkit/openvino#21440). Python cannot set it,
    but the XML of OpenVINO's own format can.
    """
    _use_plain_softmax(model)
    _widen_groups(model)
    with tempfile.TemporaryDirectory(prefix="facet-") as folder:
        graph, weights = Path(folder) / "model.xml", Path(folder) / "model.bin"
        ov.save_model(model, graph, compress_to_fp16=False)
        tree = ET.parse(graph)  # noqa: S314 - OpenVINO has just written it
        _mark(tree)
        tree.write(graph)
        return core.read_model(graph, weights)


def _mark(tree: Any) -> None:
    layers = [layer for layer in tree.getroot().find("layers") if layer.get("type") != "Const"]
    products = sum(layer.get("type") in _PRODUCTS for layer in layers)
    number = -1
    for layer in layers:
        number += layer.get("type") in _PRODUCTS
        outer = number < FIRST_EXACT or number >= products - LAST_EXACT
        if outer and not layer.get("name").endswith(_WIDENED):
            info = layer.find("rt_info")
            if info is None:
                info = ET.SubElement(layer, "rt_info")
            ET.SubElement(info, "attribute", {"name": "precise", "version": "0"})


def _use_plain_softmax(model: ov.Model) -> None:
    """Replace newer versions of Softmax by the first: OpenVINO would do so later and lose the attribute."""
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Softmax":
            axis = node.get_attributes()["axis"] % len(node.get_output_partial_shape(0))
            plain = opset1.softmax(node.input_value(0), axis)
            plain.set_friendly_name(node.get_friendly_name())
            _replace(node, plain)


def _widen_groups(model: ov.Model) -> None:
    """Merge narrow groups of convolutions into wider ones, with zeros in the additional weights."""
    for node in model.get_ordered_ops():
        if node.get_type_name() != "GroupConvolution" or node.input(1).get_partial_shape().is_dynamic:
            continue
        groups, outputs, inputs, *kernel = node.input(1).get_shape()
        joined = GROUP_WIDTH // outputs
        narrow = 1 < outputs == inputs < GROUP_WIDTH and GROUP_WIDTH % outputs == 0 and groups % joined == 0
        weights = _constant(node.input_value(1).get_node())
        if not narrow or weights is None:
            continue
        old = weights.reshape(groups // joined, joined, outputs, inputs, *kernel)
        new = np.zeros((groups // joined, joined, outputs, joined, inputs, *kernel), np.float32)
        for group in range(joined):
            new[:, group, :, group] = old[:, group]
        wide = opset1.group_convolution(
            node.input_value(0),
            opset1.constant(new.reshape(groups // joined, GROUP_WIDTH, GROUP_WIDTH, *kernel)),
            *(node.get_attributes()[name] for name in ("strides", "pads_begin", "pads_end", "dilations", "auto_pad")),
        )
        wide.set_friendly_name(node.get_friendly_name() + _WIDENED)
        _replace(node, wide)


def _constant(node: Any) -> NDArray[np.float32] | None:
    """Return the values of a float32 constant, also behind a Reshape; ``None`` if the node is something else."""
    if node.get_type_name() == "Reshape":
        node = node.input_value(0).get_node()
    is_float32 = node.get_type_name() == "Constant" and node.get_element_type() == ov.Type.f32
    return np.asarray(node.data, np.float32) if is_float32 else None


def _fold_into_first_weights(model: ov.Model, scale: float) -> bool:
    """Scale the first convolution's weights and reverse their channels; False if there is no such convolution."""
    consumers = list(model.inputs[0].get_target_inputs())
    first = consumers[0].get_node()
    weights = _constant(first.input_value(1).get_node()) if first.get_type_name() == "Convolution" else None
    if len(consumers) != 1 or weights is None or weights.shape[1] != 3:
        return False
    folded = np.ascontiguousarray(weights[:, ::-1]) * np.float32(scale)
    first.input(1).replace_source_output(opset1.constant(folded).output(0))
    return True


def _replace(node: Any, other: Any) -> None:
    for consumer in list(node.output(0).get_target_inputs()):
        consumer.replace_source_output(other.output(0))
