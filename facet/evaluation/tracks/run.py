"""A clip through IdentifyStream: enrol a gallery of its own, send every frame in order, delete it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from uuid import uuid4

import cv2

from facet import CENTRAL, AsyncClient, FacetError
from facet.client.errors import from_status
from facet.client.requests import enroll_request
from facet.client.retry import retry_while_busy_async
from facet.client.streams import stream_frame
from facet.evaluation.calls import IN_FLIGHT, ITEM_ERRORS, Stopped, call_all, reason_of
from facet.evaluation.datasets.protocol import Entry
from facet.evaluation.datasets.video import Clip
from facet.evaluation.galleries import delete_gallery
from facet.evaluation.tracks.figures import SeenFrame, SeenTrack
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.types_pb2 import Box

_ENVELOPE = 4096
"""Bytes of a message beside its picture, at the most."""
_CUT_SHORT = "DATA_LOSS"
"""The reason of a stream that ended well before every frame was answered."""


@dataclass(frozen=True, slots=True)
class TracksRun:
    """What the service answered.

    Attributes:
        frames: one for every frame of the clip, in order; where the server went away, those before.
        refused: why pictures of the gallery were not enrolled, by their names.
        not_enrolled: subjects without a template.
        stopped: where the server went away; ``None`` where it did not.
        left_behind: the id of the gallery, where it could not be deleted; empty where it was.
    """

    frames: tuple[SeenFrame, ...]
    refused: dict[str, str]
    not_enrolled: tuple[str, ...]
    stopped: Stopped | None = None
    left_behind: str = ""


async def run_tracks(
    client: AsyncClient,
    gallery: Sequence[Entry],
    clip: Clip,
    *,
    threshold: float | None,
    detection_interval: int,
    advance: Callable[[], None],
) -> TracksRun:
    """Enrol the gallery and send the clip, every frame of it in order, with the times of its file.

    Args:
        client: the connection.
        gallery: whom to enrol, by the central face of each picture, poor ones and look-alikes included.
        clip: what to send: decoded frames as they are, or as PNG where that does not fit in a message.
        threshold: to decide by; ``None`` for the stream's own.
        detection_interval: faces are looked for in every so manyth frame.
        advance: called once for every picture and frame that is done.

    Raises:
        FacetError: the server went away before it did anything, or refuses everything.
        LabelError: the clip cannot be decoded any more.
    """
    most = (await client.get_server_info()).limits.max_message_bytes - _ENVELOPE
    made = (await client.create_gallery(f"evaluation-{uuid4()}", display_name="a running evaluation")).gallery_id
    left_behind = made
    try:
        refused, enrolled, stopped = await _enroll(client, made, gallery, advance)
        frames: list[SeenFrame] = []
        if stopped is None:
            settings = pb.StreamSettings(
                camera=f"evaluation of {clip.path.name}"[:128].encode("ascii", "replace").decode("ascii"),
                gallery_id=made,
                threshold=threshold,
                lossless=True,
                detection_interval=detection_interval,
            )
            try:
                async for response in client.identify_stream(settings, _messages(clip, most)):
                    frames.append(_seen(response, clip.times))
                    advance()
            except FacetError as error:
                if not frames:
                    raise
                stopped = _stopped(clip, len(frames), reason_of(error))
            if stopped is None and len(frames) < len(clip.times):
                stopped = _stopped(clip, len(frames), _CUT_SHORT)
    finally:
        if await delete_gallery(client, made):
            left_behind = ""
    subjects = dict.fromkeys(entry.subject for entry in gallery)
    return TracksRun(
        frames=tuple(frames),
        refused=refused,
        not_enrolled=tuple(subject for subject in subjects if subject not in enrolled),
        stopped=stopped,
        left_behind=left_behind,
    )


async def _enroll(
    client: AsyncClient, gallery_id: str, gallery: Sequence[Entry], advance: Callable[[], None]
) -> tuple[dict[str, str], set[str], Stopped | None]:
    """Enrol everybody: why pictures were refused, by name; who has a template; where the server went away."""

    async def enroll(entry: Entry) -> str:
        try:
            request = enroll_request(
                gallery_id, entry.subject, entry.path, face=CENTRAL, accept_low_quality=True, accept_lookalike=True
            )
            await retry_while_busy_async(lambda: client.galleries.EnrollFace(request))
        except ITEM_ERRORS as error:
            return reason_of(error)
        finally:
            advance()
        return ""

    found = await call_all(gallery, enroll, name=lambda entry: entry.image, in_flight=IN_FLIGHT)
    refused = {gallery[place].image: reason for place, reason in found.by_item.items() if reason}
    enrolled = {gallery[place].subject for place, reason in found.by_item.items() if not reason}
    return refused, enrolled, found.stopped


def _stopped(clip: Clip, done: int, reason: str) -> Stopped:
    return Stopped(f"frame {done} of {clip.path.name}", done, len(clip.times), reason)


def _messages(clip: Clip, most: int) -> Iterator[pb.StreamFrame]:
    for at, (time, frame) in enumerate(zip(clip.times, clip.frames(), strict=True)):
        yield stream_frame(at, frame if frame.nbytes <= most else cv2.imencode(".png", frame)[1].tobytes(), time)


def _seen(response: pb.IdentifyStreamResponse, times: Sequence[float]) -> SeenFrame:
    failure = reason_of(from_status(response.status)) if response.status.code else ""
    tracks = tuple(
        SeenTrack(
            track_id=track.track_id,
            subject=track.subject_id if track.decision == pb.TRACK_DECISION_IDENTIFIED else "",
            face=_corners(track.face_box) if track.HasField("face_box") else None,
            person=_corners(track.person_box) if track.HasField("person_box") else None,
        )
        for track in response.tracks
    )
    return SeenFrame(times[response.frame_id], () if failure else tracks, response.embedded, failure)


def _corners(box: Box) -> tuple[float, float, float, float]:
    return box.x1, box.y1, box.x2, box.y2
