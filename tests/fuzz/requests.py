"""Every request message of every method, through a real server: no answer is a defect's.

An input is one call: a byte that chooses the method, then its messages. Streams have several, with a separator between
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.code_pb2 import INTERNAL

from tests.fuzz.serving import Defect, LocalServer

INSTRUMENTED = ("facet.server", "facet.tracking", "gallery", "recognizer")
SEPARATOR = b"\xff--\xff"
_GALLERY, _SUBJECT = "g", "s"
_CALLS_OF_A_GALLERY = 1000
_DEPTH = 4
_TEXTS = {"gallery_id": _GALLERY, "cohort_gallery_id": _GALLERY, "subject_id": _SUBJECT, "page_token": ""}


def methods() -> list[MethodDescriptor]:
    """The methods of all services, in the order in which an input's first byte counts them."""
    from facet.v1 import gallery_service_pb2, recognition_service_pb2, server_service_pb2

    files = (gallery_service_pb2, recognition_service_pb2, server_service_pb2)
    return [
        method for file in files for service in file.DESCRIPTOR.services_by_name.values() for method in service.methods
    ]


def prepare() -> Callable[[bytes], None]:
    """See :class:`tests.fuzz.target.Target`."""
    server, known, calls = LocalServer(), methods(), count()

    def fuzz(data: bytes) -> None:
        if next(calls) % _CALLS_OF_A_GALLERY == 0:
            _renew(server, known)
        method = known[data[0] % len(known)] if data else known[0]
        messages = data[1:].split(SEPARATOR) if method.client_streaming else [data[1:]]
        for response in server.call(path(method), messages):
            _check(method, response)

    return fuzz


def seeds() -> Iterable[bytes]:
    """See :class:`tests.fuzz.target.Target`."""
    for number, method in enumerate(methods()):
        messages = [example.SerializeToString() for example in _examples(method.input_type)]
        if method.client_streaming:
            yield bytes([number]) + SEPARATOR.join(messages)
        for message in messages:
            yield bytes([number]) + message


def repaired(data: bytes) -> bytes:
    """Nothing to repair: messages have no checksums."""
    return data


def path(method: MethodDescriptor) -> str:
    """The method's path in HTTP/2."""
    return f"/{method.containing_service.full_name}/{method.name}"


def _renew(server: LocalServer, known: list[MethodDescriptor]) -> None:
    """Delete what earlier inputs made, so that the server does not grow, and make a gallery for the next ones."""
    paths = {method.name: path(method) for method in known}
    from facet.v1 import gallery_service_pb2 as pb

    while listed := server.call(paths["ListGalleries"], [b""]):
        galleries = pb.ListGalleriesResponse.FromString(listed[0]).galleries
        if not galleries:
            break
        for gallery in galleries:
            request = pb.DeleteGalleryRequest(gallery_id=gallery.gallery_id, force=True)
            server.call(paths["DeleteGallery"], [request.SerializeToString()])
    server.call(paths["CreateGallery"], [pb.CreateGalleryRequest(gallery_id=_GALLERY).SerializeToString()])


def _check(method: MethodDescriptor, response: bytes) -> None:
    """Raise Defect if the response is not the method's, or says that an item failed by a defect."""
    try:
        message: Any = GetMessageClass(method.output_type).FromString(response)
    except DecodeError as error:
        raise Defect(f"{method.full_name}: the response does not parse") from error
    status: Any = getattr(message, "status", None)
    if getattr(status, "code", 0) == INTERNAL:
        raise Defect(f"{method.full_name}: an item failed: {status.message}")


def _examples(descriptor: Descriptor) -> Iterator[Message]:
    """A message with every field set; one for each choice of its first oneof."""
    choices = descriptor.oneofs[0].fields if descriptor.oneofs else [None]
    for chosen in choices:
        message = GetMessageClass(descriptor)()
        _fill(message, _DEPTH, chosen)
        yield message


def _fill(message: Any, depth: int, chosen: FieldDescriptor | None = None) -> None:
    for field in message.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if oneof is not None and field is not (chosen if chosen in oneof.fields else oneof.fields[0]):
            continue
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            if depth and not field.message_type.GetOptions().map_entry:
                part = getattr(message, field.name)
                if field.is_repeated:
                    _fill(part.add(), depth - 1)
                else:
                    part.SetInParent()
                    _fill(part, depth - 1)
            continue
        value = _value(field)
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)


def _value(field: FieldDescriptor) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            text = _TEXTS.get(field.name, "t")
            return _picture() if field.type == FieldDescriptor.TYPE_BYTES else text
        case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
            return 0.5
        case FieldDescriptor.CPPTYPE_BOOL:
            return True
        case FieldDescriptor.CPPTYPE_ENUM:
            return field.enum_type.values[-1].number if field.enum_type else 0
        case _:
            return 1


def _picture() -> bytes:
    from tests.fuzz import pictures

    return min(pictures.seeds(), key=len)
