"""The standard health service, grpc.health.v1.Health, without the package grpcio-health-checking."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from google.protobuf.wrappers_pb2 import Int32Value, StringValue


class ServingStatus(IntEnum):
    """Whether a server serves. The values are those of grpc.health.v1."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3

    @classmethod
    def _missing_(cls, _: object) -> ServingStatus:
        return cls.UNKNOWN


class HealthStub:
    """The calls of the health service, on a channel of either kind.

    A HealthCheckRequest is one string and a HealthCheckResponse one number, both field 1. On the wire that is what
    StringValue and Int32Value are, so these messages, which come with protobuf, stand in for them.
    """

    def __init__(self, channel: Any) -> None:
        codec = {"request_serializer": StringValue.SerializeToString, "response_deserializer": Int32Value.FromString}
        self.check = channel.unary_unary("/grpc.health.v1.Health/Check", **codec)
        self.watch = channel.unary_stream("/grpc.health.v1.Health/Watch", **codec)
