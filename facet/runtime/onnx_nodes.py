"""Reads what an ONNX file says about its nodes and weights, without the packages onnx and protobuf.

ONNX Runtime does not show the graph of a model that it loads, and the package onnx is heavy for some names. This module
walks the protobuf wire format (https://protobuf.dev/programming-guides/encoding/) and skips all other fields.
"""

from __future__ import annotations

from collections.abc import Iterator

# Field numbers of onnx.proto.
_MODEL_GRAPH, _MODEL_FUNCTIONS = 7, 25
_GRAPH_NODES, _GRAPH_WEIGHTS, _GRAPH_SPARSE_WEIGHTS = 1, 5, 15
_FUNCTION_NODES = 7
_NODE_NAME, _NODE_ATTRIBUTES = 3, 5
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
_SPARSE_TENSORS = (1, 2)
_TENSOR_EXTERNAL = 13
_ENTRY_KEY, _ENTRY_VALUE = 1, 2

_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5
"""Wire types."""
_DEEPEST = 32
"""Graphs inside graphs."""


def node_names(model: bytes) -> list[str]:
    """The names of the graph's nodes, in the order of the file; empty for a node without a name.

    Raises:
        ValueError: the bytes are not an ONNX model.
    """
    return [
        next((bytes(name).decode() for name in _fields(node, _NODE_NAME)), "")
        for graph in _fields(memoryview(model), _MODEL_GRAPH)
        for node in _fields(graph, _GRAPH_NODES)
    ]


def external_file(model: bytes) -> str | None:
    """The name of a file beside the model that holds some of its weights; ``None`` if it holds all of them itself.

    Raises:
        ValueError: the bytes are not an ONNX model.
    """
    return next(_external_files(memoryview(model)), None)


def _external_files(model: memoryview) -> Iterator[str]:
    for graph in _fields(model, _MODEL_GRAPH):
        yield from _files_of_graph(graph, 0)
    for function in _fields(model, _MODEL_FUNCTIONS):
        yield from _files_of_nodes(_fields(function, _FUNCTION_NODES), 0)


def _files_of_graph(graph: memoryview, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise ValueError("not an ONNX model: its graphs are nested too deeply")
    for tensor in _fields(graph, _GRAPH_WEIGHTS):
        yield from _files_of_tensor(tensor)
    for sparse in _fields(graph, _GRAPH_SPARSE_WEIGHTS):
        yield from _files_of_sparse(sparse)
    yield from _files_of_nodes(_fields(graph, _GRAPH_NODES), depth)


def _files_of_nodes(nodes: Iterator[memoryview], depth: int) -> Iterator[str]:
    for node in nodes:
        for attribute in _fields(node, _NODE_ATTRIBUTES):
            for tensor in _fields(attribute, *_ATTRIBUTE_TENSORS):
                yield from _files_of_tensor(tensor)
            for sparse in _fields(attribute, *_ATTRIBUTE_SPARSE):
                yield from _files_of_sparse(sparse)
            for graph in _fields(attribute, *_ATTRIBUTE_GRAPHS):
                yield from _files_of_graph(graph, depth + 1)


def _files_of_sparse(sparse: memoryview) -> Iterator[str]:
    for tensor in _fields(sparse, *_SPARSE_TENSORS):
        yield from _files_of_tensor(tensor)


def _files_of_tensor(tensor: memoryview) -> Iterator[str]:
    for entry in _fields(tensor, _TENSOR_EXTERNAL):
        key, value = (b"".join(map(bytes, _fields(entry, field))) for field in (_ENTRY_KEY, _ENTRY_VALUE))
        if key == b"location":
            yield value.decode("utf-8", "replace")


def _fields(message: memoryview, *wanted: int) -> Iterator[memoryview]:
    """The length-delimited fields of a message that have one of some numbers."""
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
        if number in wanted and wire_type == _LENGTH_DELIMITED:
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
