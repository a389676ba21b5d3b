"""Every method that the server has, found in the descriptors of its services, and request messages for it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

import facet.v1

Path = tuple[str, ...]
"""Names of fields that lead from a request message to a field."""


@dataclass(frozen=True, slots=True)
class Rpc:
    """A method of a service."""

    descriptor: MethodDescriptor

    def __str__(self) -> str:
        return self.path

    @property
    def service(self) -> str:
        return str(self.descriptor.containing_service.full_name)

    @property
    def path(self) -> str:
        """Its full name, as in the headers of a call."""
        return f"/{self.service}/{self.descriptor.name}"

    @property
    def is_stream(self) -> bool:
        return bool(self.descriptor.client_streaming or self.descriptor.server_streaming)

    @property
    def gallery_paths(self) -> list[Path]:
        """Where its request names galleries."""
        return list(_gallery_paths(self.descriptor.input_type, ()))

    def request(self, galleries: Mapping[Path, str] | None = None) -> Message:
        """A request in which these fields are set, in this order, and all others are empty."""
        request: Message = GetMessageClass(self.descriptor.input_type)()
        for path, gallery_id in (galleries or {}).items():
            inner: Any = request
            for name in path[:-1]:
                inner = getattr(inner, name)
                if hasattr(inner, "add"):
                    inner = inner.add()
            if hasattr(getattr(inner, path[-1]), "append"):
                getattr(inner, path[-1]).append(gallery_id)
            else:
                setattr(inner, path[-1], gallery_id)
        return request

    def naming(self, path: Path, gallery_id: str, other: str) -> Message:
        """A request that names one gallery at a path, and another one wherever else it can."""
        return self.request({each: other for each in self.gallery_paths if each != path} | {path: gallery_id})


def all_rpcs() -> list[Rpc]:
    """The methods of every service of Facet's wire format, of the health service, and of reflection."""
    modules = [importlib.import_module(f"facet.v1.{each.name}") for each in pkgutil.iter_modules(facet.v1.__path__)]
    files = [module.DESCRIPTOR for module in modules if isinstance(getattr(module, "DESCRIPTOR", None), FileDescriptor)]
    files += [health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR]
    services = [service for file in files for service in file.services_by_name.values()]
    return [Rpc(method) for service in services for method in service.methods]


def _gallery_paths(message: Descriptor, path: Path) -> Iterator[Path]:
    for field in message.fields:
        if field.type == FieldDescriptor.TYPE_STRING and "galler" in field.name:
            yield (*path, field.name)
        elif (inner := field.message_type) is not None and inner.file.package == message.file.package:
            yield from _gallery_paths(inner, (*path, field.name))
