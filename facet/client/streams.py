"""A camera's frames as messages."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from facet.client.pictures import PictureSource, picture
from facet.v1 import recognition_service_pb2 as pb


def stream_frame(frame_id: int, source: PictureSource, captured: float | datetime | None = None) -> pb.StreamFrame:
    """Make a message of a frame.

    Args:
        frame_id: higher than all before in the stream.
        source: the picture, see :func:`facet.picture`.
        captured: the time of capture: seconds of any clock, or a moment (UTC if it has no zone); ``None`` for the time
            of arrival.

    Raises:
        OSError: the file cannot be read.
        TypeError: the source is not a picture.
        ValueError: the array has another shape or type, or the time is not in the years 1 to 9999.
    """
    frame = pb.StreamFrame(frame_id=frame_id, picture=picture(source))
    if isinstance(captured, datetime):
        frame.capture_time.FromDatetime(captured)
    elif captured is not None:
        frame.capture_time.CopyFrom(_moment(captured))
    return frame


def _moment(seconds: float) -> Timestamp:
    message = Timestamp()
    message.FromMicroseconds(round(seconds * 1e6))
    return message
