"""A clip through IdentifyStream: create a gallery, enrol, send the frames in order, delete it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2

from facet import AsyncClient, FacetError
from facet.client.errors import from_status
from facet.client.streams import stream_frame
from facet.evaluation.calls import Stopped, reason_of
from facet.evaluation.datasets.protocol import Entry
from facet.evaluation.datasets.video import Clip
from facet.evaluation.galleries import create_gallery, delete_gallery, enroll_entries
from facet.evaluation.tracks.figures import FrameAnswer, TrackAnswer
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.types_pb2 import Box

_ENVELOPE = 4096
"""Bytes reserved in a message for everything but the picture."""
_STREAM_ENDED = "DATA_LOSS"
"""The reason if the stream ends without an error before every frame is answered."""
_MAX_CAMERA_LENGTH = 128


@dataclass(frozen=True, slots=True)
class TracksRun:
    """The answers of the service.

    Attributes:
        frames: the answers to the frames, in order; they end where the server went away.
        refused: reasons by the gallery pictures that were not enrolled.
        not_enrolled: subjects without a template.
        stopped: where the server went away; ``None`` if it did not.
        left_behind: id of the gallery if it could not be deleted; otherwise empty.
    """

    frames: tuple[FrameAnswer, ...]
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
    """Enrol the gallery and send the frames of the clip in order, with the times of the file.

    Args:
        client: the connection.
        gallery: the pictures to enrol, including faces of low quality and look-alikes.
        clip: the clip. Frames are sent uncompressed, or as PNG if they do not fit into a message.
        threshold: threshold of the stream; ``None`` for its own.
        detection_interval: run detection every this many frames.
        advance: called once per finished picture and frame.

    Raises:
        FacetError: the server went away before it answered anything, or refuses everything.
        LabelError: the clip can no longer be decoded.
    """
    max_bytes = (await client.get_server_info()).limits.max_message_bytes - _ENVELOPE
    gallery_id = left_behind = (await create_gallery(client)).gallery_id
    try:
        refused, enrolled, stopped = await _enroll(client, gallery_id, gallery, advance)
        frames: list[FrameAnswer] = []
        if stopped is None:
            settings = pb.StreamSettings(
                camera=f"evaluation of {clip.path.name}"[:_MAX_CAMERA_LENGTH]
                .encode("ascii", "replace")
                .decode("ascii"),
                gallery_id=gallery_id,
                threshold=threshold,
                lossless=True,
                detection_interval=detection_interval,
            )
            try:
                async for response in client.identify_stream(settings, _stream_frames(clip, max_bytes)):
                    frames.append(_frame_answer(response, clip.times))
                    advance()
            except FacetError as error:
                if not frames:
                    raise
                stopped = _stopped(clip, len(frames), reason_of(error))
            if stopped is None and len(frames) < len(clip.times):
                stopped = _stopped(clip, len(frames), _STREAM_ENDED)
    finally:
        if await delete_gallery(client, gallery_id):
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
    """Enrol the gallery. Returns the reasons by refused picture, the enrolled subjects, and where the run stopped."""
    answers = await enroll_entries(
        client, gallery_id, gallery, accept_low_quality=True, accept_lookalike=True, advance=advance
    )
    refused: dict[str, str] = {}
    enrolled: set[str] = set()
    for index, answer in answers.by_item.items():
        if isinstance(answer, str):
            refused[gallery[index].image] = answer
        else:
            enrolled.add(gallery[index].subject)
    return refused, enrolled, answers.stopped


def _stopped(clip: Clip, done: int, reason: str) -> Stopped:
    return Stopped(f"frame {done} of {clip.path.name}", done, len(clip.times), reason)


def _stream_frames(clip: Clip, max_bytes: int) -> Iterator[pb.StreamFrame]:
    for frame_id, (time, frame) in enumerate(zip(clip.times, clip.frames(), strict=True)):
        source = frame if frame.nbytes <= max_bytes else cv2.imencode(".png", frame)[1].tobytes()
        yield stream_frame(frame_id, source, time)


def _frame_answer(response: pb.IdentifyStreamResponse, times: Sequence[float]) -> FrameAnswer:
    failure = reason_of(from_status(response.status)) if response.status.code else ""
    tracks = tuple(
        TrackAnswer(
            track_id=track.track_id,
            subject=track.subject_id if track.decision == pb.TRACK_DECISION_IDENTIFIED else "",
            face=_corners(track.face_box) if track.HasField("face_box") else None,
            person=_corners(track.person_box) if track.HasField("person_box") else None,
        )
        for track in response.tracks
    )
    return FrameAnswer(times[response.frame_id], () if failure else tracks, response.embedded, failure)


def _corners(box: Box) -> tuple[float, float, float, float]:
    return box.x1, box.y1, box.x2, box.y2
