"""How a graph is prepared for OpenVINO, so that bf16 costs it as little as may be.

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
from openvino import opset1
from openvino.preprocess import PrePostProcessor

from runtime.session import Normalization

FIRST_EXACT = 5
LAST_EXACT = 8
"""Convolutions and products at either end that are computed in float32, with what lies around them."""

_PRODUCTS = frozenset({"Convolution", "GroupConvolution", "MatMul"})


def taking_pixels(model: ov.Model, normalization: Normalization) -> ov.Model:
    """Let a model take 8-bit samples and normalise them by itself."""
    scaled = _scale_first_weights(model, 1 / normalization.scale)
    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(ov.Type.u8)
    step = steps.input().preprocess().convert_element_type(ov.Type.f32)
    if normalization.mean:
        step = step.mean(normalization.mean)
    if not scaled:
        step.scale(normalization.scale)
    return steps.build()


def keep_sensitive_exact(core: ov.Core, model: ov.Model) -> ov.Model:
    """Mark what stays in float32 when the model is compiled for bf16.

    The CPU plugin looks for the mark "precise" on a node (openvinotoolkit/openvino#21440). There is no way to set it
    from Python, but in the XML of OpenVINO's own format there is.
    """
    _use_plain_softmax(model)
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
        if number < FIRST_EXACT or number >= products - LAST_EXACT:
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


def _scale_first_weights(model: ov.Model, factor: float) -> bool:
    """Scale the weights of the convolution that takes the input; whether there is such a one."""
    takers = list(model.inputs[0].get_target_inputs())
    first = takers[0].get_node()
    if len(takers) != 1 or first.get_type_name() != "Convolution":
        return False
    weights = first.input_value(1).get_node()
    if weights.get_type_name() != "Constant":
        return False
    first.input(1).replace_source_output(opset1.constant(weights.data * np.float32(factor)).output(0))
    return True


def _redirect(node: Any, other: Any) -> None:
    for taker in list(node.output(0).get_target_inputs()):
        taker.replace_source_output(other.output(0))
