"""The shape of messages: what is refused before anything is parsed."""

from __future__ import annotations

import pytest
from google.protobuf.struct_pb2 import Value
from hypothesis import given
from hypothesis import strategies as some

from facet.server.errors import MessageTooComplex, UnreadableMessage
from facet.server.wire.shape import MAX_DEPTH, MAX_FIELDS, check
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.types_pb2 import Embedding

DETECT = pb.DetectRequest.DESCRIPTOR
SEARCH = gallery_pb.SearchEmbeddingRequest.DESCRIPTOR


def test_the_largest_valid_requests_are_taken() -> None:
    check(pb.DetectRequest(class_names=["n" * 100] * 1000).SerializeToString(), DETECT)
    embedding = gallery_pb.SearchEmbeddingRequest(embedding=Embedding(values=[0.5] * 4096))
    check(embedding.SerializeToString(), SEARCH)


def test_elements_count_in_lists_of_either_form() -> None:
    packed = gallery_pb.SearchEmbeddingRequest(embedding=Embedding(values=[0.5] * MAX_FIELDS))
    with pytest.raises(MessageTooComplex):
        check(packed.SerializeToString(), SEARCH)
    with pytest.raises(MessageTooComplex):
        check(pb.DetectRequest(class_names=[""] * (MAX_FIELDS + 1)).SerializeToString(), DETECT)


def test_pictures_are_not_walked() -> None:
    request = pb.DetectRequest()
    request.picture.encoded = b"\x0b" * 100_000  # as a message, these would be groups
    check(request.SerializeToString(), DETECT)


def test_nesting_is_limited() -> None:
    value = Value(string_value="x")
    for _ in range(MAX_DEPTH):
        outer = Value()
        outer.list_value.values.append(value)
        value = outer
    with pytest.raises(MessageTooComplex):
        check(value.SerializeToString(), Value.DESCRIPTOR)


@pytest.mark.parametrize(
    "data",
    [b"\x0b", b"\x0c", b"\x0f", b"\x80", b"\x80" * 20 + b"\x01", b"\x0a", b"\x0a\x05abc", b"\x0d\x00", b"\x08"],
    ids=[
        "group",
        "end of group",
        "type 7",
        "half a key",
        "long key",
        "no length",
        "short",
        "half a number",
        "no value",
    ],
)
def test_what_ends_within_a_field_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableMessage):
        check(data, DETECT)


@given(some.binary(max_size=200))
def test_nothing_else_is_raised_for_any_bytes(data: bytes) -> None:
    try:
        check(data, DETECT)
    except (MessageTooComplex, UnreadableMessage):
        return
