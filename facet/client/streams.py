"""A camera's frames as messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from facet.client.messages import Messages
from facet.client.requests import PictureSource, picture
from facet.v1 import recognition_service_pb2 as pb


def stream_frame(frame_id: int, source: PictureSource, captured: float | datetime | None = None) -> pb.StreamFrame:
    """A frame.

    Args:
        frame_id: higher than all before in the stream.
        source: the picture.
        captured: when: seconds of any clock, or a moment (UTC where it has no zone); ``None`` for when it arrives.

    Raises:
        OSError: the file cannot be read.
        ValueError: the array is of another shape or type, or the time is not of the years 1 to 9999.
    """
    frame = pb.StreamFrame(frame_id=frame_id, picture=picture(source))
    if isinstance(captured, datetime):
        frame.capture_time.FromDatetime(captured)
    elif captured is not None:
        frame.capture_time.CopyFrom(_moment(captured))
    return frame


class StreamRequests(Messages[pb.IdentifyStreamRequest]):
    """The messages of a stream, one after the other; a frame is asked for when there is room to send it.

    Args:
        settings: how it is followed.
        frames: the frames.

    Attributes:
        error: what iterating the frames failed with, which gRPC does not pass on.
    """

    def __init__(self, settings: pb.StreamSettings, frames: Iterable[pb.StreamFrame]) -> None:
        super().__init__(_messages(settings, frames))


def _messages(settings: pb.StreamSettings, frames: Iterable[pb.StreamFrame]) -> Iterator[pb.IdentifyStreamRequest]:
    yield pb.IdentifyStreamRequest(settings=settings)
    for frame in frames:
        yield pb.IdentifyStreamRequest(frame=frame)


def _moment(seconds: float) -> Timestamp:
    message = Timestamp()
    message.FromMicroseconds(round(seconds * 1e6))
    return message
