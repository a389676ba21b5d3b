"""Reads the names of the nodes in an ONNX file, without the packages onnx and protobuf.

ONNX Runtime does not show the graph of a model that it loads, and the package onnx is heavy for one list of names. This
module walks the protobuf wire format (https://protobuf.dev/programming-guides/encoding/) and skips all other fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_MODEL_GRAPH, _GRAPH_NODE, _NODE_NAME = 7, 1, 3
"""Field numbers of ``onnx.proto``."""

_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5
"""Wire types."""


def node_names(path: Path) -> list[str]:
    """The names of the graph's nodes, in the order of the file; empty for a node without a name.

    Raises:
        ValueError: the file is not an ONNX model.
    """
    model = memoryview(path.read_bytes())
    return [
        next((bytes(name).decode() for name in _fields(node, _NODE_NAME)), "")
        for graph in _fields(model, _MODEL_GRAPH)
        for node in _fields(graph, _GRAPH_NODE)
    ]


def _fields(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The length-delimited fields of a message that have a number."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            _, end = _varint(message, position)
        elif wire_type == _LENGTH_DELIMITED:
            length, position = _varint(message, position)
            end = position + length
        elif wire_type in (_FIXED64, _FIXED32):
            end = position + (8 if wire_type == _FIXED64 else 4)
        else:
            raise ValueError(f"not an ONNX model: wire type {wire_type} at byte {position}")
        if end > len(message):
            raise ValueError("not an ONNX model: a field reaches past the end")
        if number == wanted and wire_type == _LENGTH_DELIMITED:
            yield message[position:end]
        position = end


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """A variable-length integer, and the position behind it."""
    value = shift = 0
    while position < len(message) and shift < 64:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
    raise ValueError("not an ONNX model: a number is cut off")
