"""Many pictures through one stream: what is sent, and whose the answers are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any, Generic, TypeVar

import grpc
from google.protobuf import any_pb2
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from facet.client.errors import DataLoss, FacetError, InvalidArgument, from_status
from facet.client.messages import Messages
from facet.client.requests import PictureSource, picture
from facet.v1 import recognition_service_pb2 as pb

K = TypeVar("K")

Answer = pb.IdentifyResponse | FacetError
"""What became of a picture: who is in it, or why that cannot be said."""


class IdentifyRequests(Messages[pb.IdentifyBatchRequest], Generic[K]):
    """The messages of a batch, one after the other; each picture is read when its turn has come.

    A picture that cannot be sent is sent empty, and answered with what is wrong with it when that is answered: so its
    answer comes in turn, and a disk that fails altogether does not run ahead of who reads the answers.

    Args:
        gallery_id: the gallery to search.
        items: what to call each picture, and the picture.
        most: bytes of a message that the server takes.
        fields: further ones of IdentifyRequest.

    Attributes:
        error: what iterating the items failed with, which gRPC does not pass on.
    """

    def __init__(self, gallery_id: str, items: Iterable[tuple[K, PictureSource]], most: int, **fields: Any) -> None:
        self._under_way: dict[str, tuple[K, FacetError | None]] = {}
        self._common = pb.IdentifyRequest(gallery_id=gallery_id, **fields)
        self._most = most
        super().__init__(self._made(items))

    def take(self, response: pb.IdentifyBatchResponse) -> tuple[K, Answer]:
        """Whose an answer is, and what it is."""
        key, error = self._under_way.pop(response.item_id)
        if error is not None:
            return key, error
        return key, from_status(response.status) if response.status.code else response.identification

    def finish(self) -> None:
        """See that every picture was answered.

        Raises:
            DataLoss: the stream ended too early.
        """
        if self._under_way:
            status = Status(code=grpc.StatusCode.DATA_LOSS.value[0], message="the stream ended before every answer")
            raise DataLoss(grpc.StatusCode.DATA_LOSS, status)

    def _made(self, items: Iterable[tuple[K, PictureSource]]) -> Iterator[pb.IdentifyBatchRequest]:
        for number, (key, source) in enumerate(items):
            item_id = str(number)
            try:
                request = pb.IdentifyRequest(picture=picture(self._read(source)))
                request.MergeFrom(self._common)
                message = pb.IdentifyBatchRequest(item_id=item_id, identification=request)
                self._need_room(message.ByteSize())
                self._under_way[item_id] = key, None
            except (OSError, ValueError, InvalidArgument) as error:
                message = pb.IdentifyBatchRequest(item_id=item_id)
                self._under_way[item_id] = key, _told(error)
            yield message

    def _read(self, source: PictureSource) -> PictureSource:
        """The bytes of a file; what is no file as it is."""
        if not isinstance(source, (str, PathLike)):
            return source
        with Path(source).open("rb") as file:
            self._need_room(os.fstat(file.fileno()).st_size)
            return file.read()

    def _need_room(self, size: int) -> None:
        if size > self._most:
            raise _invalid("FILE_TOO_LARGE", f"{size} bytes, the server takes {self._most}")


def _told(error: OSError | ValueError | InvalidArgument) -> InvalidArgument:
    if isinstance(error, InvalidArgument):
        return error
    if isinstance(error, OSError):
        return _invalid("CANNOT_READ", error.strerror or str(error))
    return _invalid("INVALID_PICTURE", str(error))


def _invalid(reason: str, message: str) -> InvalidArgument:
    """An error as the server would answer it."""
    code = grpc.StatusCode.INVALID_ARGUMENT
    detail = any_pb2.Any()
    detail.Pack(ErrorInfo(reason=reason))
    return InvalidArgument(code, Status(code=code.value[0], message=message, details=[detail]))
