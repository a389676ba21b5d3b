"""Limits the number of fields and the nesting of a message before it is parsed.

A message of 16 MiB can hold millions of empty messages of two bytes, and each becomes an object of a hundred bytes. So
its bytes are walked first. The walk stops at the limit, skips strings and bytes by their length, and builds nothing.
Reference: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from facet.server.errors import MessageTooComplex, UnreadableMessage

MAX_FIELDS = 10_000
"""Fields of a message with all that is nested in it; every element of a list counts. The largest valid requests have an
embedding of 4096 values, or 1000 class names (see :mod:`facet.server.wire.validate`)."""
MAX_DEPTH = 16
"""Messages nested in each other. Requests have fewer than 8."""

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10
_MORE = 0x80
_FIXED = {
    FieldDescriptor.TYPE_DOUBLE: 8,
    FieldDescriptor.TYPE_FIXED64: 8,
    FieldDescriptor.TYPE_SFIXED64: 8,
    FieldDescriptor.TYPE_FLOAT: 4,
    FieldDescriptor.TYPE_FIXED32: 4,
    FieldDescriptor.TYPE_SFIXED32: 4,
}

_Fields: TypeAlias = "Mapping[int, Descriptor | int]"


@dataclass(slots=True)
class _Walk:
    data: bytes
    fields: int = 0

    def message(self, start: int, end: int, descriptor: Descriptor, depth: int) -> None:
        """Walk the bytes of one message."""
        known = _long_fields(descriptor)
        position = start
        while position < end:
            self._count(1)
            key, position = self._varint(position, end)
            wire_type = key & 7
            if wire_type == _LENGTH:
                length, position = self._varint(position, end)
                if position + length > end:
                    raise UnreadableMessage
                kind = known.get(key >> 3)
                if isinstance(kind, Descriptor):
                    if depth == MAX_DEPTH:
                        raise MessageTooComplex
                    self.message(position, position + length, kind, depth + 1)
                elif kind is not None:
                    self._count(length // kind)
                position += length
            elif wire_type == _VARINT:
                _, position = self._varint(position, end)
            elif wire_type in (_FIXED32, _FIXED64):
                position += 4 if wire_type == _FIXED32 else 8
            else:  # groups, which no request has
                raise UnreadableMessage
        if position != end:
            raise UnreadableMessage

    def _count(self, number: int) -> None:
        self.fields += number
        if self.fields > MAX_FIELDS:
            raise MessageTooComplex

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        value = shift = 0
        for index in range(position, min(position + _MAX_VARINT_BYTES, end)):
            byte = self.data[index]
            value |= (byte & 0x7F) << shift
            if byte < _MORE:
                return value, index + 1
            shift += 7
        raise UnreadableMessage


def check(data: bytes, descriptor: Descriptor) -> None:
    """Check the shape of an encoded message.

    Args:
        data: the message.
        descriptor: its type.

    Raises:
        MessageTooComplex: it exceeds :data:`MAX_FIELDS` or :data:`MAX_DEPTH`.
        UnreadableMessage: it ends within a field, or has groups.
    """
    _Walk(data).message(0, len(data), descriptor, 1)


@cache
def _long_fields(descriptor: Descriptor) -> _Fields:
    """By number: the type of each field that holds messages, the minimum bytes of an element of each packed list."""
    found: dict[int, Descriptor | int] = {}
    for field in descriptor.fields:
        if field.message_type is not None:
            found[field.number] = field.message_type
        elif field.is_repeated and field.type not in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
            found[field.number] = _FIXED.get(field.type, 1)
    return found
