"""What the server knows about a method: its name, what it takes, and how its handler is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError

from facet.server.errors import UnreadableMessage
from facet.server.wire import shape

_HEALTH = "/grpc.health.v1.Health/"


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a service.

    Attributes:
        path: its full name, ``/facet.v1.Service/Method``.
        handler: its handler, as generated code registers it.
    """

    path: str
    handler: grpc.RpcMethodHandler[Any, Any]

    @property
    def name(self) -> str:
        """The method without its service."""
        return self.path.rpartition("/")[2]

    @property
    def is_health(self) -> bool:
        """Whether it belongs to the health service."""
        return self.path.startswith(_HEALTH)

    @property
    def is_stream(self) -> bool:
        """Whether it streams requests or responses."""
        return bool(self.handler.request_streaming or self.handler.response_streaming)

    def parse(self, data: bytes) -> Any:
        """Parse a request.

        Raises:
            MessageTooComplex: it has too many fields.
            UnreadableMessage: it is not the message that the method takes.
        """
        read: Any = self.handler.request_deserializer
        descriptor: Descriptor = read.__self__.DESCRIPTOR
        shape.check(data, descriptor)
        try:
            return read(data)
        except DecodeError:
            raise UnreadableMessage from None

    def serialize(self, response: Any) -> bytes:
        """Encode a response."""
        write: Any = self.handler.response_serializer
        encoded: bytes = write(response)
        return encoded
