"""Tracks the people in one stream: frames in, tracks and events out."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from facet.tracking.appearance import appearance, body_look, resemblance_nearby
from facet.tracking.byte_tracker import ByteTracker
from facet.tracking.decision import Decision, Identity, Match, decide, supports
from facet.tracking.embedding_aggregate import EmbeddingAggregate, Sample
from facet.tracking.events import EventRecorder
from facet.tracking.records import (
    FrameDetections,
    GalleryUnavailable,
    Perception,
    StepResult,
    Track,
    TrackerSettings,
    TrackEvent,
)
from facet.tracking.reidentification import reidentify
from facet.tracking.settled import SettledTracks
from facet.tracking.shot_detection import ShotDetector
from facet.tracking.track_associator import TrackAssociator, TrackedDetections
from facet.tracking.track_state import NO_ID, TrackState
from facet.tracking.verification import is_verified
from recognizer.alignment import align
from recognizer.fitness import meets
from recognizer.quality import EVIDENCE_LIMITS, measure

_FACE_MARGIN = 0.25
"""See :class:`facet.tracking.byte_tracker.ByteTracker`."""
_SAME_PREDICTED = 0.6
"""Minimum resemblance of a face and the crop at its predicted place."""
_MIN_ELAPSED = 1e-6
"""Seconds between two frames if their capture times do not rise."""


class StreamTracker:
    """Tracks the people in front of one camera.

    The same frames and times give the same results: there is no clock and no randomness. Steps must not overlap, but
    any thread may call them.

    Args:
        settings: how people are tracked.
    """

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self._settings = settings or TrackerSettings()
        self._associator = TrackAssociator(
            self._new_track,
            same_person_similarity=self._settings.reidentification.same_person_similarity,
        )
        self._events = EventRecorder()
        self._settled = SettledTracks()
        self._shots = ShotDetector()
        self._face_tracker, self._body_tracker = self._new_box_trackers()
        self._clock = 0.0
        self._captured: float | None = None
        self._frames_until_detection = 0
        self._last_detection = -math.inf
        self._contract: Hashable = None
        self._revision: Hashable = None

    def step(self, picture: NDArray[np.uint8], time: float, perception: Perception) -> StepResult:
        """Process the next frame.

        An error of ``perception`` is raised here. What happened until then is reported by the next step.

        Args:
            picture: upright BGR ``(h, w, 3)``, of any size.
            time: capture time, seconds. A time that does not rise counts as the same moment.
            perception: models and gallery.

        Raises:
            ValueError: the time is not finite.
        """
        elapsed = self._advance_clock(time)
        if self._shots.is_cut(picture) or elapsed > self._settings.lost_timeout:
            self._restart_box_trackers()
        self._apply_contract(perception)
        gallery_error = self._apply_gallery_changes(perception, time)
        detections, embedded = None, 0
        try:
            if self._is_detection_due() or self._has_changed(picture):
                detections = self._detect(picture, perception)
                embedded = self._embed(picture, perception)
                self._confirm_tracks()
                self._watch_bodies(picture)
                undecided = [each for each in self._tracks if each.needs_search]
                gallery_error = self._identify(undecided, perception) or gallery_error
                self._last_detection, self._frames_until_detection = self._clock, self._settings.detection_interval
                self._drop_unconfirmed()
        finally:
            self._drop_lost()
        self._frames_until_detection -= 1
        self._events.record(self._tracks, time)
        settled = self._settled.settle(self._tracks)
        return StepResult(self._visible_tracks(), self._events.take(), detections, embedded, gallery_error, settled)

    def finish(self, enrolled: Callable[[Collection[str]], Collection[str]]) -> tuple[TrackEvent, ...]:
        """End all tracks, for instance because the camera is gone; no step follows.

        Args:
            enrolled: see :meth:`facet.tracking.records.Perception.enrolled`.

        Returns:
            The events that no step has returned yet, then LEFT for each track, at the capture time of the last frame.
            None names a subject that is no longer enrolled.
        """
        self._events.forget(self._removed_subjects(enrolled))
        self._associator.tracks = []
        self._events.record([], self._captured or 0.0)
        return self._events.take()

    @property
    def _tracks(self) -> list[TrackState]:
        return self._associator.tracks

    def _new_track(self, time: float) -> TrackState:
        aggregate = EmbeddingAggregate(self._settings.aggregate)
        return TrackState(aggregate, time, embedding_interval=self._settings.embedding_interval)

    def _new_box_trackers(self) -> tuple[ByteTracker, ByteTracker]:
        settings = self._settings
        faces, bodies = (
            ByteTracker(
                track_activation_threshold=settings.track_activation_threshold,
                min_iou=settings.min_iou,
                lost_timeout=settings.lost_timeout,
                margin=margin,
            )
            for margin in (_FACE_MARGIN, 0.0)
        )
        return faces, bodies

    def _advance_clock(self, time: float) -> float:
        """Advance the tracker's clock to a capture time; return the seconds since the last frame."""
        if not math.isfinite(time):
            raise ValueError(f"a capture time has to be finite, not {time}")
        elapsed = 0.0 if self._captured is None else max(_MIN_ELAPSED, time - self._captured)
        self._clock += elapsed
        self._captured = time
        return elapsed

    def turned(self) -> None:
        """The next frame is turned otherwise than the ones before: their boxes do not continue."""
        self._restart_box_trackers()
        self._last_detection = -math.inf

    def _restart_box_trackers(self) -> None:
        """Let no box continue one before; people are re-identified by their faces."""
        for track in self._tracks:
            track.detach()
        self._face_tracker, self._body_tracker = self._new_box_trackers()
        self._frames_until_detection = 0

    def _apply_contract(self, perception: Perception) -> None:
        """Embed the faces of all tracks with the model of this step, so that embeddings of two are never compared.

        Tracks keep their names until the gallery has been searched with the new embeddings.
        """
        if perception.contract == self._contract:
            return
        tracks = [each for each in self._tracks if each.aggregate.sample_count]
        if tracks:
            settings = self._settings
            most = max(settings.decision.min_samples, settings.max_embeddings_anew // len(tracks))
            crops = [each.aggregate.crops(most) for each in tracks]
            embeddings = iter(perception.embed(list(chain.from_iterable(crops))))
            for track, own in zip(tracks, crops, strict=True):
                track.aggregate.embed_anew(list(islice(embeddings, len(own))))
        self._contract = perception.contract

    def _apply_gallery_changes(self, perception: Perception, time: float) -> Exception | None:
        """Decide again about all tracks if gallery or contract have changed; return why nobody can be named, if so."""
        gallery_error: Exception | None = None
        revision: Hashable = None
        try:
            revision = perception.contract, perception.revision()
        except GalleryUnavailable as error:
            gallery_error = error.error
        if revision == self._revision:
            return gallery_error
        removed = self._removed_subjects(perception.enrolled)
        self._events.forget(removed)
        for track in self._tracks:
            if track.identity.subject_id in removed:
                track.identity, track.embedding_interval = Identity(), self._settings.embedding_interval
        gallery_error = self._identify(self._tracks, perception) or gallery_error
        self._revision = revision
        self._events.record(self._tracks, time)
        return gallery_error

    def _removed_subjects(self, enrolled: Callable[[Collection[str]], Collection[str]]) -> set[str]:
        """The subjects of tracks and of events that are no longer enrolled."""
        subjects = {each.identity.subject_id for each in self._tracks if each.identity.subject_id}
        subjects |= self._events.subjects
        if not subjects:
            return set()
        try:
            return subjects.difference(enrolled(subjects))
        except GalleryUnavailable:
            return subjects

    def _is_detection_due(self) -> bool:
        overdue = self._clock - self._last_detection > self._settings.lost_timeout / 2
        return self._frames_until_detection <= 0 or overdue

    def _has_changed(self, picture: NDArray[np.uint8]) -> bool:
        """Predict all boxes, and tell whether somebody with a name does not look as before at the predicted place."""
        self._predict_boxes()
        return any(_looks_changed(track, picture) for track in self._tracks if track.identity.subject_id)

    def _detect(self, picture: NDArray[np.uint8], perception: Perception) -> FrameDetections:
        """Detect faces and persons, and assign them to tracks."""
        detections = perception.detect(picture)
        faces = detections.faces
        bodies, body_scores = (
            each[detections.persons] for each in (detections.objects.boxes, detections.objects.scores)
        )
        tracked = TrackedDetections(
            faces,
            self._face_tracker.update(faces.boxes, faces.scores, self._clock),
            bodies,
            body_scores,
            self._body_tracker.update(bodies, body_scores, self._clock),
        )
        self._associator.associate(tracked, self._clock)
        self._predict_missed_bodies()
        return detections

    def _detected_tracks(self) -> list[TrackState]:
        return [each for each in self._tracks if each.is_visible and each.last_seen == self._clock]

    def _confirm_tracks(self) -> None:
        """Give ids to new tracks, unless they continue an older one: by their first face, or by their place."""
        settings = self._settings
        for track in self._detected_tracks():
            older = None
            if not track.track_id or (track.aggregate.sample_count == 1 and track.needs_search):
                older = reidentify(track, self._tracks, self._clock, settings.reidentification, settings.aggregate)
            if older is not None:
                self._associator.merge(older, track)
            elif not track.track_id and self._is_confirmed(track):
                self._events.assign_id(track)

    def _watch_bodies(self, picture: NDArray[np.uint8]) -> None:
        for track in self._tracks:
            if track.body_box is not None and track.body_last_seen == self._clock:
                track.watch_body(body_look(picture, track.body_box), self._clock)

    def _is_confirmed(self, track: TrackState) -> bool:
        return bool(track.track_id) or track.hits > 1 or track.best_score >= self._settings.confirmation_score

    def _embed(self, picture: NDArray[np.uint8], perception: Perception) -> int:
        """Embed the faces that can change a decision; return how many."""
        crops: list[tuple[TrackState, NDArray[np.uint8]]] = []
        for track in filter(self._is_confirmed, self._detected_tracks()):
            if track.face_box is not None and track.landmarks is not None:
                crop = align(picture, track.landmarks)
                track.update_appearance(appearance(crop))
                quality = measure(track.face_box, track.landmarks, crop)
                track.measured, track.quality = quality, quality.value
                if meets(quality, EVIDENCE_LIMITS) and self._is_worth_embedding(track, track.quality):
                    crops.append((track, crop))
        crops.sort(key=lambda each: (not each[0].withholds_name, each[0].last_embedded))
        del crops[self._settings.max_embeddings :]
        if not crops:
            return 0
        embeddings = perception.embed([crop for _, crop in crops])
        for (track, crop), embedding in zip(crops, embeddings, strict=True):
            self._add_sample(track, Sample(embedding, track.quality or 0.0, crop), perception)
        return len(crops)

    def _is_worth_embedding(self, track: TrackState, quality: float) -> bool:
        """Whether an embedding of this face can change a decision."""
        settings, aggregate = self._settings, track.aggregate
        waited = self._clock - track.last_embedded
        has_few = (
            track.identity.decision is Decision.UNDECIDED and aggregate.sample_count < settings.decision.min_samples
        )
        is_better = quality >= aggregate.best_quality + settings.quality_gain and waited >= settings.embedding_interval
        patience = 0.0 if track.identity.subject_id else settings.embedding_interval
        is_in_doubt = track.needs_verification and waited >= patience
        return has_few or is_in_doubt or is_better or waited >= track.embedding_interval

    def _add_sample(self, track: TrackState, sample: Sample, perception: Perception) -> None:
        """Add a sample to the track, unless it does not show the track's person; split the track if it shows another.

        As long as nothing speaks against it, a face continues its track although it is turned away or blurred.
        """
        settings, track.last_embedded = self._settings, self._clock
        is_outlier = track.aggregate.is_outlier(sample)
        if is_outlier or (track.needs_verification and not is_verified(track, sample.embedding, perception)):
            track.unverified += 1
            if not (is_outlier and track.needs_verification) and track.unverified < settings.max_unverified:
                track.needs_verification = True
                return
            track = self._associator.split(track, self._clock)
            track.last_embedded = self._clock
        track.verify()
        track.aggregate.add(sample)
        track.needs_search = True
        if track.aggregate.sample_count >= settings.decision.unknown_min_samples:
            track.embedding_interval = min(2 * track.embedding_interval, settings.refresh_interval)

    def _identify(self, tracks: Sequence[TrackState], perception: Perception) -> Exception | None:
        """Search the gallery for tracks, and decide who they are; return why it cannot name anybody, if so."""
        searched = [(each, each.aggregate.mean) for each in tracks if each.aggregate.mean is not None]
        if not searched:
            return None
        gallery_error: Exception | None = None
        matches: Sequence[Match | None] = [None] * len(searched)
        try:
            matches = perception.search(np.stack([mean for _, mean in searched]))
        except GalleryUnavailable as error:
            gallery_error = error.error
        before = {track: track.identity for track in self._tracks}
        for (track, _), match in zip(searched, matches, strict=True):
            track.match = match
            track.identity = decide(track.identity, match, track.aggregate, self._clock, self._settings.decision)
            track.needs_search = False
        self._resolve_duplicates(before)
        for track, _ in searched:
            if self._may_lose_name(track):
                track.embedding_interval = self._settings.embedding_interval
            elif track.identity.decision is not Decision.UNDECIDED:
                track.embedding_interval = self._settings.refresh_interval
        return gallery_error

    def _may_lose_name(self, track: TrackState) -> bool:
        """Whether the last search does not support the track's name, and too little was seen of it to take it away."""
        settings = self._settings.decision
        is_identified = track.identity.decision is Decision.IDENTIFIED
        has_few = track.aggregate.sample_count < settings.unknown_min_samples
        return is_identified and has_few and not supports(track.match, track.identity, settings)

    def _resolve_duplicates(self, before: Mapping[TrackState, Identity]) -> None:
        """Nobody is in a frame twice: of the visible tracks of one subject, the most similar one keeps it.

        The others get their next candidate, or none. A track that had the subject keeps it unless another one is
        clearly more similar.

        Args:
            before: the identities of the tracks before the search.
        """
        settings, owners = self._settings.decision, set[str]()

        def rank(track: TrackState) -> float:
            is_held = bool(track.identity.subject_id) and before[track].subject_id == track.identity.subject_id
            return -track.identity.similarity - settings.switch_lead * is_held

        for track in sorted(self._detected_tracks(), key=rank):
            match = track.match
            if track.identity.subject_id in owners:
                while match is not None and match.subject_id in owners:
                    match = match.next
                held, fresh = before[track], decide(Identity(), match, track.aggregate, self._clock, settings)
                if (fresh.decision, fresh.subject_id) == (held.decision, held.subject_id):
                    fresh = replace(fresh, decided_at=held.decided_at)
                elif fresh.decision is Decision.UNDECIDED:  # it has just lost its name: evidence is wanted soon
                    track.embedding_interval = self._settings.embedding_interval
                track.identity = fresh
                track.needs_search = True  # the subject may become free
            if track.identity.subject_id:
                owners.add(track.identity.subject_id)

    def _predict_missed_bodies(self) -> None:
        """Predict the boxes of bodies that were detected a moment ago but not now."""
        predicted = self._body_tracker.predict(self._clock)
        for track in self._tracks:
            is_recent = self._clock - track.body_last_seen <= self._settings.prediction_window
            if track.body_box is None and track.body_id != NO_ID and is_recent:
                track.body_box = predicted.get(track.body_id)

    def _predict_boxes(self) -> None:
        """Move all visible boxes by their motion, in a frame without detection."""
        faces, bodies = self._face_tracker.predict(self._clock), self._body_tracker.predict(self._clock)
        for track in self._tracks:
            if track.face_box is not None and track.landmarks is not None and track.face_id in faces:
                box = faces[track.face_id]
                track.landmarks = _moved(track.landmarks, track.face_box, box)
                track.face_box = box
            if track.body_box is not None:
                track.body_box = bodies.get(track.body_id, track.body_box)

    def _drop_unconfirmed(self) -> None:
        """Drop tracks that were not confirmed at once and were not detected again."""
        self._associator.tracks = [each for each in self._tracks if each.track_id or each.last_seen == self._clock]

    def _drop_lost(self) -> None:
        """Drop tracks that were not detected for too long."""
        timeout = self._settings.lost_timeout
        self._associator.tracks = [each for each in self._tracks if self._clock - each.last_seen <= timeout]

    def _visible_tracks(self) -> tuple[Track, ...]:
        visible = [each for each in self._tracks if each.track_id and each.is_visible]
        return tuple(self._track(each) for each in sorted(visible, key=lambda each: each.track_id))

    def _track(self, track: TrackState) -> Track:
        is_watched = track.body_watched == self._last_detection and not any(map(track.is_covered_by, self._tracks))
        is_seen = track.face_box is not None or is_watched
        identity = track.identity if is_seen and track.shows_name else Identity()
        is_decided = identity.decision is not Decision.UNDECIDED
        return Track(
            track.track_id,
            track.face_box,
            track.landmarks,
            track.quality,
            track.body_box,
            identity,
            self._clock - identity.decided_at if is_decided else 0.0,
            self._clock - track.first_seen,
        )


def _looks_changed(track: TrackState, picture: NDArray[np.uint8]) -> bool:
    """Whether what bears the track's name is not at its predicted place any more."""
    if not track.shows_name:
        return False
    if track.landmarks is not None:
        return resemblance_nearby(track.appearance, appearance(align(picture, track.landmarks))) < _SAME_PREDICTED
    return track.body_box is not None and not track.is_body_like(body_look(picture, track.body_box))


def _moved(
    landmarks: NDArray[np.float32], before: NDArray[np.float32], after: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Landmarks that move and scale with their box."""
    scale = (after[2:] - after[:2]) / np.maximum(before[2:] - before[:2], 1e-6)
    return np.asarray((landmarks - before[:2]) * scale + after[:2], np.float32)
