"""How a graph is prepared for OpenVINO: to take pictures as they are, and for bf16 to cost it little.

bf16 keeps 8 bits of a number. Three things make most of the difference to float32 that it would make in face and
object detectors and in recognisers:

- Normalised samples have more than 8 bits: the graph is given the 8-bit samples themselves, which fit, and the scale
  goes into the weights of the first convolution.
- The first layers see the whole picture and pass their errors on to all others: they stay in float32.
- The last layers compute coordinates of hundreds of pixels: they stay in float32.

What that leaves is measured by ``scripts/bench.py drift``.
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

from facet.runtime.session import Normalization

FIRST_EXACT = 5
LAST_EXACT = 3
"""Convolutions and products at either end that are computed in float32, with what lies around them."""
GROUP_WIDTH = 16
"""Channels of a group that the CPU plugin has a fast bf16 kernel for. MobileFaceNet has a layer of two, which would
take a quarter of its time."""

_WIDENED = "/widened"
_PRODUCTS = frozenset({"Convolution", "GroupConvolution", "MatMul"})


def taking_pictures(model: ov.Model, normalization: Normalization) -> ov.Model:
    """Let a model of RGB planes take BGR pictures of 8-bit samples ``(n, h, w, 3)``, and normalise them by itself."""
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
    """Mark what stays in float32 when the model is compiled for bf16.

    The CPU plugin looks for the mark "precise" on a node (openvinotoolkit/openvino#21440). There is no way to set it
    from Python, but in the XML of OpenVINO's own format there is.
    """
    _use_plain_softmax(model)
    _widen_groups(model)
    with tempfile.TemporaryDirectory(prefix="facet-") as folder:
        graph, weights = Path(folder) / "model.xml", Path(folder) / "model.bin"
        ov.save_model(model, graph, compress_to_fp16=False)
        tree = ET.parse(graph)  # noqa: S314 - what OpenVINO wrote a moment before
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
    """Replace newer softmaxes by the first kind: OpenVINO would, later, and lose their mark."""
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Softmax":
            axis = node.get_attributes()["axis"] % len(node.get_output_partial_shape(0))
            plain = opset1.softmax(node.input_value(0), axis)
            plain.set_friendly_name(node.get_friendly_name())
            _redirect(node, plain)


def _widen_groups(model: ov.Model) -> None:
    """Join the groups of convolutions that have a few channels each, their weights filled up with zeros."""
    for node in model.get_ordered_ops():
        if node.get_type_name() != "GroupConvolution" or node.input(1).get_partial_shape().is_dynamic:
            continue
        groups, outputs, inputs, *kernel = node.input(1).get_shape()
        joined = GROUP_WIDTH // outputs
        narrow = 1 < outputs == inputs < GROUP_WIDTH and GROUP_WIDTH % outputs == 0 and groups % joined == 0
        weights = _constant_behind(node.input_value(1).get_node())
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
        _redirect(node, wide)


def _constant_behind(node: Any) -> NDArray[np.float32] | None:
    """The numbers of a float32 constant, also of one that is given another shape; ``None`` where there is none."""
    if node.get_type_name() == "Reshape":
        node = node.input_value(0).get_node()
    is_float32 = node.get_type_name() == "Constant" and node.get_element_type() == ov.Type.f32
    return np.asarray(node.data, np.float32) if is_float32 else None


def _fold_into_first_weights(model: ov.Model, scale: float) -> bool:
    """Scale, and reverse the channels of, the weights of the convolution that takes the input; whether there is one."""
    takers = list(model.inputs[0].get_target_inputs())
    first = takers[0].get_node()
    weights = _constant_behind(first.input_value(1).get_node()) if first.get_type_name() == "Convolution" else None
    if len(takers) != 1 or weights is None or weights.shape[1] != 3:
        return False
    folded = np.ascontiguousarray(weights[:, ::-1]) * np.float32(scale)
    first.input(1).replace_source_output(opset1.constant(folded).output(0))
    return True


def _redirect(node: Any, other: Any) -> None:
    for taker in list(node.output(0).get_target_inputs()):
        taker.replace_source_output(other.output(0))
