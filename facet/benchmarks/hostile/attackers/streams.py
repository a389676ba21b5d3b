"""Attackers that open streams and do not read them, send slowly, or open thousands."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from itertools import count

from facet.benchmarks.hostile.attackers.attacker import Attacker, Tally, Target, crowd
from facet.benchmarks.hostile.attackers.frames import (
    GALLERIES,
    RECOGNITION,
    data_frame,
    field_header,
    header_block,
    headers_frame,
    message,
    request_headers,
    streams,
)
from facet.benchmarks.hostile.attackers.wire import Caller, EndedEarlyError, raw_http2
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.types_pb2 import Picture

_PADDED = 12 << 20
_STREAMS = 20
_PER_CONNECTION = 100
_OPENED_CONNECTIONS = 50
_TRICKLE_PAUSE = 1.0
_FRAME_FIELD = pb.IdentifyStreamRequest.FRAME_FIELD_NUMBER


class UnreadStreams(Attacker):
    """Opens streams, sends messages as long as the server takes them, and reads no answer."""

    needs_token = True
    path: str

    def first(self, _: Target, /) -> bytes:
        """What comes before the items, with its prefix."""
        return b""

    @abstractmethod
    def item(self, target: Target, /) -> bytes:
        """The message that is repeated, serialised."""

    def numbered(self, item: bytes, _: int, /) -> Sequence[bytes]:
        """The parts of one message."""
        return (self._prefix, item)

    def prepare(self, target: Target, /) -> None:
        """Serialise the messages: their sender has no time for that."""
        self._first, self._item = self.first(target), self.item(target)
        self._prefix = message(b"", claimed=len(self._item))

    async def attack(self, target: Target, tally: Tally) -> None:
        """Open a stream on each of its connections."""

        async def member(_: int) -> None:
            async with Caller.open(target, tally, reads=False) as caller:
                stream = await caller.start(self.path)
                try:
                    await caller.send(stream, self._first)
                    for number in count(1):
                        for part in self.numbered(self._item, number):
                            await caller.send(stream, part)
                        tally["messages"] += 1
                except EndedEarlyError:
                    tally["streams ended"] += 1

        await crowd(_STREAMS, member, tally)


def padded(picture: bytes) -> Picture:
    """A valid picture followed by twelve megabytes that decoders ignore."""
    return Picture(encoded=picture + bytes(_PADDED))


class UnreadBatches(UnreadStreams):
    """Sends a batch."""

    name = "unread-batches"
    what = f"opens {_STREAMS} batch streams, sends messages of 12 MB and reads no answer"
    path = RECOGNITION + "IdentifyBatch"

    def item(self, target: Target, /) -> bytes:
        """An item with a large picture."""
        request = pb.IdentifyRequest(gallery_id=target.gallery, picture=padded(target.picture))
        return pb.IdentifyBatchRequest(item_id="x" * 64, identification=request).SerializeToString()


class UnreadEnrollments(UnreadStreams):
    """Sends a batch of enrolments."""

    name = "unread-enrollments"
    what = f"opens {_STREAMS} enrolment streams, sends messages of 12 MB and reads no answer"
    path = GALLERIES + "EnrollBatch"

    def item(self, target: Target, /) -> bytes:
        """An item with a large picture, for a gallery that does not exist."""
        request = gallery_pb.EnrollFaceRequest(gallery_id="nothing", subject_id="x", picture=padded(target.picture))
        return gallery_pb.EnrollBatchRequest(item_id="x" * 64, enrollment=request).SerializeToString()


class UnreadLossless(UnreadStreams):
    """Sends frames of a file."""

    name = "unread-lossless"
    what = f"opens {_STREAMS} lossless streams, sends frames of 12 MB and reads no answer"
    path = RECOGNITION + "IdentifyStream"
    lossless = True

    def first(self, target: Target, /) -> bytes:
        """The settings of the stream."""
        settings = pb.StreamSettings(gallery_id=target.gallery, lossless=self.lossless)
        return message(pb.IdentifyStreamRequest(settings=settings).SerializeToString())

    def item(self, target: Target, /) -> bytes:
        """A frame without its number."""
        return pb.StreamFrame(picture=padded(target.picture)).SerializeToString()

    def numbered(self, item: bytes, number: int, /) -> Sequence[bytes]:
        """The frame, and its number behind it: fields may come in any order, and the frame stays as it was built."""
        last = pb.StreamFrame(frame_id=number).SerializeToString()
        before = field_header(_FRAME_FIELD, len(item) + len(last))
        return (message(before, claimed=len(before) + len(item) + len(last)), item, last)


class UnreadCameras(UnreadLossless):
    """Sends frames of a camera."""

    name = "unread-cameras"
    what = f"opens {_STREAMS} camera streams, sends frames of 12 MB and reads no answer"
    lossless = False


class StreamOpenings(Attacker):
    """Opens thousands of streams of cameras that send nothing."""

    name = "thousands-of-streams"
    what = f"opens {_PER_CONNECTION * _OPENED_CONNECTIONS:,} streams of cameras that send no frame"
    token_matters = True

    async def attack(self, target: Target, tally: Tally) -> None:
        """Open streams with their settings."""
        block = header_block(request_headers(RECOGNITION + "IdentifyStream", target.token))
        settings = pb.IdentifyStreamRequest(settings=pb.StreamSettings(gallery_id=target.gallery))
        first = message(settings.SerializeToString())
        opened = b"".join(
            headers_frame(stream, block) + data_frame(stream, first) for stream in streams(_PER_CONNECTION)
        )

        async def member(_: int) -> None:
            async with raw_http2(target, tally) as writer:
                writer.write(opened)
                tally["streams"] += _PER_CONNECTION

        await crowd(_OPENED_CONNECTIONS, member, tally)


class TricklingTransfers(Attacker):
    """Imports and calibrates a byte at a time."""

    name = "trickling-transfers"
    what = "opens 64 imports and calibrations and sends a little of each once per second"
    needs_token = True

    async def attack(self, target: Target, tally: Tally) -> None:
        """Send a little at a time."""
        start = {
            "ImportGallery": gallery_pb.ImportGalleryRequest(target=gallery_pb.ImportTarget(gallery_id="trickle")),
            "CalibrateGallery": gallery_pb.CalibrateGalleryRequest(
                settings=gallery_pb.CalibrationSettings(gallery_id=target.gallery, target_fpir=0.01)
            ),
        }
        next_part = {
            "ImportGallery": gallery_pb.ImportGalleryRequest(chunk=b"P"),
            "CalibrateGallery": gallery_pb.CalibrateGalleryRequest(
                probe=gallery_pb.CalibrationProbe(subject_id="x", picture=Picture(encoded=b"no picture"))
            ),
        }

        async def member(at: int) -> None:
            method = ("ImportGallery", "CalibrateGallery")[at % 2]
            async with Caller.open(target, tally) as caller:
                stream = await caller.start(GALLERIES + method)
                try:
                    await caller.send(stream, message(start[method].SerializeToString()))
                    while True:
                        await caller.send(stream, message(next_part[method].SerializeToString()))
                        tally["messages"] += 1
                        await asyncio.sleep(_TRICKLE_PAUSE)
                except EndedEarlyError:
                    tally["streams ended"] += 1

        await crowd(64, member, tally)


ATTACKERS = (UnreadBatches, UnreadEnrollments, UnreadLossless, UnreadCameras, StreamOpenings, TricklingTransfers)
