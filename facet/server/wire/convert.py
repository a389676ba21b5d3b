"""Converts messages to pictures and choices, and results to messages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.yolo import Detections
from facet.runtime.pictures import DecodedPicture, from_raw
from facet.runtime.pictures.raw import ORDERS, Order
from facet.server.errors import InvalidField
from facet.server.wire import validate
from facet.server.wire.terms import consent_message, optional_timestamp, policy_message, timestamp
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import migrations_pb2 as migrations_pb
from facet.v1 import recognition_service_pb2 as recognition_pb
from facet.v1 import types_pb2 as pb
from gallery.calibration.forecast import Forecast, UnreliableReason
from gallery.records.calibrations import (
    Calibration,
    CalibrationSource,
    CalibrationState,
    CalibrationStatus,
    StaleReason,
)
from gallery.records.galleries import Gallery
from gallery.records.identifications import Candidate, Decision, Identification
from gallery.records.policies import GalleryPolicy
from gallery.records.subjects import Subject
from gallery.records.templates import Template
from gallery.transfer.subject_export import CompleteTemplate
from recognizer import choice
from recognizer.analysis import AlignedFace, Analysis
from recognizer.faces import Faces
from recognizer.progress import Turns
from recognizer.sources import Decode, Encoded, Source

_ORDERS: dict[int, Order] = {pb.PixelFormat.Value(f"PIXEL_FORMAT_{order.upper()}"): order for order in ORDERS}
_SEARCHES = frozenset((pb.SEARCH_UNSPECIFIED, pb.SEARCH_FAST, pb.SEARCH_THOROUGH))
_TURNS: dict[int, int | None] = {
    pb.TURN_UNSPECIFIED: None,
    pb.TURN_AS_IS: 0,
    pb.TURN_90: 90,
    pb.TURN_180: 180,
    pb.TURN_270: 270,
}
_DECISIONS = {
    Decision.MATCH: recognition_pb.DECISION_MATCH,
    Decision.UNKNOWN: recognition_pb.DECISION_UNKNOWN,
    Decision.REFUSED: recognition_pb.DECISION_REFUSED,
}
_STATES = {
    CalibrationState.NOT_CALIBRATED: pb.CALIBRATION_STATE_NOT_CALIBRATED,
    CalibrationState.CURRENT: pb.CALIBRATION_STATE_CURRENT,
    CalibrationState.STALE: pb.CALIBRATION_STATE_STALE,
}
_STALE_REASONS = {
    StaleReason.OUTGROWN: gallery_pb.STALE_REASON_OUTGROWN,
    StaleReason.CONTRACT_CHANGED: gallery_pb.STALE_REASON_CONTRACT_CHANGED,
    StaleReason.THRESHOLD_CHANGED: gallery_pb.STALE_REASON_THRESHOLD_CHANGED,
    StaleReason.MEAN_OF_BEST_CHANGED: gallery_pb.STALE_REASON_MEAN_OF_BEST_CHANGED,
}
_SOURCES = {
    CalibrationSource.PROBES: gallery_pb.CALIBRATION_SOURCE_PROBES,
    CalibrationSource.ITSELF: gallery_pb.CALIBRATION_SOURCE_ITSELF,
    CalibrationSource.ITSELF_AND_COHORT: gallery_pb.CALIBRATION_SOURCE_ITSELF_AND_COHORT,
}
_UNRELIABLE_REASONS = {
    UnreliableReason.OWN_PICTURES_MISSED: gallery_pb.UNRELIABLE_REASON_OWN_PICTURES_MISSED,
    UnreliableReason.THRESHOLD_OUT_OF_RANGE: gallery_pb.UNRELIABLE_REASON_THRESHOLD_OUT_OF_RANGE,
    UnreliableReason.CONTAMINATED: gallery_pb.UNRELIABLE_REASON_CONTAMINATED,
    UnreliableReason.UNCERTAIN: gallery_pb.UNRELIABLE_REASON_UNCERTAIN,
}


@dataclass(frozen=True, slots=True)
class Raw:
    """A picture as raw rows of pixels."""

    width: int
    height: int
    order: Order
    pixels: bytes
    stride: int = 0
    turn: int | None = None

    def decode(self, _: Decode, max_pixels: int, _longer_side: int | None, /) -> Turns[DecodedPicture]:
        """See :class:`recognizer.sources.Source`."""
        return DecodedPicture.full(
            from_raw(
                self.pixels,
                width=self.width,
                height=self.height,
                order=self.order,
                max_pixels=max_pixels,
                stride=self.stride,
            )
        )
        yield

    def claimed_pixels(self) -> int:
        """See :class:`recognizer.sources.Source`."""
        return self.width * self.height

    def sha256(self) -> str:
        """See :class:`recognizer.sources.Source`; the digest includes size, order and stride."""
        stride = f" {self.stride}" if self.stride else ""
        digest = hashlib.sha256(f"{self.width}x{self.height} {self.order}{stride}\n".encode())
        digest.update(self.pixels)
        return digest.hexdigest()


def source(picture: pb.Picture, field: str = "picture") -> Source:
    """Return the picture of a request; it is decoded later.

    Raises:
        InvalidField: the picture is missing, or its pixel format or turn is unknown.
    """
    kind = picture.WhichOneof("data")
    if kind is None:
        raise InvalidField(field, "is missing: encoded or raw must be set")
    if kind == "encoded":
        return Encoded(picture.encoded, turn(picture.turn, f"{field}.turn"))
    raw = picture.raw
    if raw.pixel_format not in _ORDERS:
        raise InvalidField(
            f"{field}.raw.pixel_format", f"must be one of PIXEL_FORMAT_{', _'.join(map(str.upper, ORDERS))}"
        )
    return Raw(
        raw.width, raw.height, _ORDERS[raw.pixel_format], raw.pixels, raw.stride, turn(picture.turn, f"{field}.turn")
    )


def turn(wanted: pb.Turn.ValueType, field: str) -> int | None:
    """Return the clockwise turn that makes a picture upright, degrees; ``None`` if it is to be found out.

    Raises:
        InvalidField: there is no such turn.
    """
    if wanted not in _TURNS:
        raise InvalidField(field, f"is no known turn: {wanted}")
    return _TURNS[wanted]


def face_choice(wanted: pb.FaceChoice, field: str) -> Callable[[Faces, tuple[int, ...]], int] | None:
    """Return a function from faces and the picture's shape to the index of the chosen face; ``None`` for no choice.

    Raises:
        InvalidField: the box has no area, or the rule is unknown.
    """
    kind = wanted.WhichOneof("choice")
    if kind == "box":
        corners = wanted.box.x1, wanted.box.y1, wanted.box.x2, wanted.box.y2
        box = np.array(validate.box(*corners, field=f"{field}.box"), np.float32)
        return lambda faces, _shape: choice.nearest(faces, box)
    if kind is None or wanted.rule == pb.FACE_RULE_UNSPECIFIED:
        return None
    if wanted.rule == pb.FACE_RULE_CENTRAL:
        return choice.central
    if wanted.rule == pb.FACE_RULE_LARGEST:
        return lambda faces, _shape: choice.largest(faces)
    raise InvalidField(f"{field}.rule", f"is no known rule: {wanted.rule}")


def is_thorough(search: pb.Search.ValueType) -> bool:
    """Whether a request asks for a thorough search.

    Raises:
        InvalidField: the search is unknown.
    """
    if search not in _SEARCHES:
        raise InvalidField("search", f"is no known search: {search}")
    return search == pb.SEARCH_THOROUGH


def picture_size(picture: DecodedPicture) -> pb.PictureSize:
    """Return the size of an upright picture, as it was sent."""
    return pb.PictureSize(width=picture.shape[1], height=picture.shape[0])


def objects(detections: Detections, class_names: tuple[str, ...]) -> list[pb.DetectedObject]:
    """Convert detected objects, in their order."""
    return [
        pb.DetectedObject(class_name=class_names[class_id], class_id=class_id, score=score, box=box_message(box))
        for box, score, class_id in zip(
            detections.boxes.tolist(), detections.scores.tolist(), detections.class_ids.tolist(), strict=True
        )
    ]


def face(found: AlignedFace) -> pb.DetectedFace:
    """Convert an aligned face."""
    quality = found.quality
    return pb.DetectedFace(
        box=box_message(found.faces.boxes[0].tolist()),
        landmarks=landmarks(found.faces.landmarks[0]),
        score=float(found.faces.scores[0]),
        quality=pb.Quality(
            value=quality.value,
            size=quality.size,
            sharpness=quality.sharpness,
            yaw=quality.yaw,
            pitch=quality.pitch,
            roll=quality.roll,
            directional_sharpness=quality.directional_sharpness,
            noise=quality.noise,
            brightness=quality.brightness,
            overexposure=quality.overexposure,
            polarity=quality.polarity,
            eye_detail=quality.eye_detail,
            mouth_detail=quality.mouth_detail,
        ),
        person=found.person if found.person >= 0 else None,
        turn=found.turn,
    )


def analysis_objects(analysis: Analysis, class_names: tuple[str, ...], *, wanted: bool) -> list[pb.DetectedObject]:
    """Convert the objects of a picture; none unless ``wanted``."""
    return objects(analysis.objects, class_names) if wanted else []


def identification(found: Identification, faces: Sequence[int] = ()) -> recognition_pb.Identification:
    """Convert the result of a search; ``faces`` are the indices in the response of the probes of the search."""
    is_compared = found.decision is not Decision.REFUSED
    return recognition_pb.Identification(
        decision=_DECISIONS[found.decision],
        candidates=map(_candidate, found.candidates),
        threshold=found.threshold,
        margin=found.margin,
        templates_compared=found.templates_compared,
        calibration=_STATES[found.calibration] if is_compared else pb.CALIBRATION_STATE_UNSPECIFIED,
        false_positive_rate=found.false_positive_rate,
        taken=[
            recognition_pb.TakenSubject(candidate=_candidate(each.candidate), face=faces[each.probe])
            for each in found.taken
        ],
        too_close_to=found.too_close_to,
    )


def _candidate(found: Candidate) -> recognition_pb.Candidate:
    return recognition_pb.Candidate(
        subject_id=found.subject_id,
        display_name=found.display_name,
        similarity=found.similarity,
        template_id=found.template_id,
    )


def gallery(
    record: Gallery,
    statuses: Sequence[CalibrationStatus],
    migration: migrations_pb.Migration | None,
    *,
    problem: str,
    revision: str,
) -> gallery_pb.Gallery:
    """Convert a gallery.

    Args:
        record: the gallery.
        statuses: the states of its calibration, and of that of the other model of its migration.
        migration: its migration.
        problem: why it cannot be searched; empty if it can.
        revision: how far it has changed, as searches know it.
    """
    status = statuses[0]
    message = gallery_pb.Gallery(
        gallery_id=record.gallery_id,
        display_name=record.display_name,
        threshold=record.threshold,
        contract=record.contract,
        subject_count=record.subject_count,
        template_count=record.template_count,
        create_time=timestamp(record.create_time),
        update_time=timestamp(record.update_time),
        etag=record.etag,
        mean_of_best=record.mean_of_best,
        calibration=None if record.calibration is None else calibration(record.calibration),
        calibration_state=_STATES[status.state],
        stale_reasons=[_STALE_REASONS[reason] for reason in status.reasons],
        policy=policy_message(record.policy),
        migration=migration,
        problem=problem,
        revision=revision,
    )
    if record.migration is not None and len(statuses) > 1:
        other = record.migration.other.calibration
        message.MergeFrom(
            gallery_pb.Gallery(
                other_calibration=None if other is None else calibration(other),
                other_calibration_state=_STATES[statuses[1].state],
                other_stale_reasons=[_STALE_REASONS[reason] for reason in statuses[1].reasons],
            )
        )
    return message


def calibration(record: Calibration) -> gallery_pb.Calibration:
    """Convert a calibration."""
    return gallery_pb.Calibration(
        target_fpir=record.target_fpir,
        threshold=record.threshold,
        fpir=record.fpir,
        fpir_low=record.fpir_low,
        fpir_high=record.fpir_high,
        model=record.model,
        source=_SOURCES[record.source],
        data_set=record.data_set,
        data_set_sha256=record.data_set_sha256,
        search_count=record.searches,
        identity_count=record.identities,
        failure_count=record.failures,
        template_count=record.templates,
        for_template_count=record.for_templates,
        contract=record.contract,
        mean_of_best=record.mean_of_best,
        create_time=timestamp(record.create_time),
        curve=[gallery_pb.CalibrationPoint(similarity=similarity, fpir=fpir) for similarity, fpir in record.curve],
    )


def forecast(record: Forecast) -> gallery_pb.CalibrationForecast:
    """Convert what a threshold will do."""
    return gallery_pb.CalibrationForecast(
        fpir=record.fpir,
        fpir_low=record.fpir_low,
        fpir_high=record.fpir_high,
        fnir=record.fnir,
        fnir_low=record.fnir_low,
        fnir_high=record.fnir_high,
        own_search_count=record.own_searches,
        own_missed_count=record.own_missed,
        own_missed_subject_count=record.own_missed_subjects,
        contamination=record.contamination,
        contamination_low=record.contamination_low,
        contamination_high=record.contamination_high,
        unreliable_reasons=[_UNRELIABLE_REASONS[reason] for reason in record.unreliable],
        people_needed=record.people_needed,
    )


def subject(record: Subject, policy: GalleryPolicy) -> gallery_pb.Subject:
    """Convert a subject of a gallery with this policy."""
    return gallery_pb.Subject(
        gallery_id=record.gallery_id,
        subject_id=record.subject_id,
        display_name=record.display_name,
        template_count=record.template_count,
        create_time=timestamp(record.create_time),
        update_time=timestamp(record.update_time),
        etag=record.etag,
        consent=None if record.consent is None else consent_message(record.consent),
        expire_time=optional_timestamp(record.expire_time),
        effective_expire_time=optional_timestamp(policy.subject_expiry(record)),
    )


def template(record: Template, policy: GalleryPolicy) -> gallery_pb.Template:
    """Convert a template of a gallery with this policy."""
    return gallery_pb.Template(
        template_id=record.template_id,
        gallery_id=record.gallery_id,
        subject_id=record.subject_id,
        picture_sha256=record.picture_sha256,
        box=box_message(record.box),
        quality=record.quality,
        create_time=timestamp(record.create_time),
        face_model=record.face_model,
        embedding_model=record.embedding_model,
        has_crop=record.has_crop,
        expire_time=optional_timestamp(record.expire_time),
        effective_expire_time=optional_timestamp(policy.template_expiry(record)),
    )


def complete_template(record: CompleteTemplate, policy: GalleryPolicy) -> gallery_pb.StoredTemplate:
    """Convert a template with everything that is stored for it."""
    embeddings = [
        pb.Embedding(contract=contract, values=values.tolist()) for contract, values in record.embeddings.items()
    ]
    return gallery_pb.StoredTemplate(
        template=template(record.template, policy),
        embedding=embeddings[0],
        crop=record.crop or b"",
        request_ids=record.request_ids,
        other_embedding=embeddings[1] if len(embeddings) > 1 else None,
    )


def landmarks(points: NDArray[np.float32]) -> pb.Landmarks:
    """Convert the landmarks of a face, ``(5, 2)`` pixels."""
    left_eye, right_eye, nose, left_mouth, right_mouth = (pb.Point(x=x, y=y) for x, y in points.tolist())
    return pb.Landmarks(
        left_eye=left_eye, right_eye=right_eye, nose=nose, left_mouth=left_mouth, right_mouth=right_mouth
    )


def box_message(corners: tuple[float, ...] | list[float]) -> pb.Box:
    """Convert a box, xyxy pixels."""
    x1, y1, x2, y2 = corners
    return pb.Box(x1=x1, y1=y1, x2=x2, y2=y2)
