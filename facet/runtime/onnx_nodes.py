"""The names of the nodes in an ONNX file, without the package onnx.

ONNX Runtime does not show the graph of a model that it loads, and the package onnx is heavy for one list of names. So
this declares the three fields of ``onnx.proto`` that lead to the names. Protobuf skips all others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_PACKAGE = "facet.onnx"


def node_names(path: Path) -> list[str]:
    """The names of the graph's nodes, in the order of the file.

    Raises:
        google.protobuf.message.DecodeError: the file is not an ONNX model.
    """
    return [node.name for node in _model_class().FromString(path.read_bytes()).graph.node]


def _model_class() -> Any:
    text, message = FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.TYPE_MESSAGE
    one, many = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED
    node = FieldDescriptorProto(name="name", number=3, type=text, label=one)
    graph = FieldDescriptorProto(name="node", number=1, type=message, type_name=f".{_PACKAGE}.Node", label=many)
    model = FieldDescriptorProto(name="graph", number=7, type=message, type_name=f".{_PACKAGE}.Graph", label=one)
    messages = {"Node": node, "Graph": graph, "Model": model}
    pool = DescriptorPool()
    pool.Add(
        FileDescriptorProto(
            name="facet/onnx.proto",
            package=_PACKAGE,
            message_type=[DescriptorProto(name=name, field=[field]) for name, field in messages.items()],
        )
    )
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Model"))
