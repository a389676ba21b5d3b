"""Names of the nodes in an ONNX file."""

from __future__ import annotations

import onnx
import pytest

from facet.runtime.models import find_model, packaged_names
from facet.runtime.onnx_nodes import node_names


@pytest.mark.parametrize("name", packaged_names())
def test_node_names_are_those_that_onnx_reads(name: str) -> None:
    path = find_model(name).path
    expected = [node.name for node in onnx.load(path).graph.node]
    assert expected
    assert node_names(path.read_bytes()) == expected


@pytest.mark.parametrize("data", [b"\xff" * 20, b"\x3a\x05ab", b"\x3b", b"\x3d\x00"])
def test_what_is_not_onnx_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not an ONNX model"):
        node_names(data)
