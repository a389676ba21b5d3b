"""A stream's frames, one after the other, to who is there."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from facet.tracking.association import ByteTracker, Tracker
from facet.tracking.decision import Decision, Match, Verdict, decide
from facet.tracking.embedding_aggregate import Evidence, Sample
from facet.tracking.events import Story
from facet.tracking.records import SceneSettings, Senses, Step, Track
from facet.tracking.reidentification import known_again
from facet.tracking.shot_detection import CutDetector
from facet.tracking.track_associator import Bonds, Look
from facet.tracking.track_state import NOTHING, Presence
from recognizer.alignment import align
from recognizer.quality import measure

_FACE_MARGIN = 0.25
"""See :class:`facet.tracking.association.ByteTracker`."""
_INSTANT = 1e-6
"""Seconds: no two frames are at the same time."""


class Scene:
    """Follows the people in front of one camera.

    The same frames and times give the same steps: it has no clock and nothing random. One step at a time; from which
    thread does not matter.

    Args:
        settings: how the scene is followed.
    """

    def __init__(self, settings: SceneSettings | None = None) -> None:
        self._settings = settings or SceneSettings()
        self._bonds = Bonds(self._begin, self._settings.reunion.one_person)
        self._story = Story()
        self._cuts = CutDetector()
        self._faces, self._bodies = self._trackers()
        self._clock = 0.0
        self._captured: float | None = None
        self._until_look = 0
        self._looked = -math.inf
        self._revision: Hashable = None

    def step(self, picture: NDArray[np.uint8], time: float, senses: Senses) -> Step:
        """Take the next frame.

        Where one of the senses raises, so does this; what had happened by then is told by the next step.

        Args:
            picture: upright BGR ``(h, w, 3)``, of any size.
            time: when it was captured, seconds. Where that is not after the last frame, as good as no time has passed.
            senses: what to see with.

        Raises:
            ValueError: the time is not finite.
        """
        elapsed = self._tick(time)
        if self._cuts.is_cut(picture) or elapsed > self._settings.patience:
            self._begin_anew()
        self._revise(senses, time)
        overdue = self._clock - self._looked > self._settings.patience / 2
        detected, embedded = self._until_look <= 0 or overdue, 0
        try:
            if detected:
                embedded = self._look(picture, senses)
                self._looked, self._until_look = self._clock, self._settings.detection_interval
                self._forget_mistakes()
            else:
                self._move_on()
        finally:
            self._part()
        self._until_look -= 1
        self._story.note(self._everybody, time)
        return Step(self._tracks(), self._story.events(), detected, embedded)

    @property
    def _everybody(self) -> list[Presence]:
        return self._bonds.everybody

    def _begin(self, time: float) -> Presence:
        return Presence(Evidence(self._settings.evidence), time, pause=self._settings.pause)

    def _trackers(self) -> tuple[Tracker, Tracker]:
        settings = self._settings
        faces, bodies = (
            ByteTracker(
                new_score=settings.new_score, min_iou=settings.min_iou, patience=settings.patience, margin=margin
            )
            for margin in (_FACE_MARGIN, 0.0)
        )
        return faces, bodies

    def _tick(self, time: float) -> float:
        """Let the clock go on to a capture time; how far."""
        if not math.isfinite(time):
            raise ValueError(f"a capture time has to be finite, not {time}")
        elapsed = 0.0 if self._captured is None else max(_INSTANT, time - self._captured)
        self._clock += elapsed
        self._captured = time
        return elapsed

    def _begin_anew(self) -> None:
        """What is seen from now on continues no box; people are known again by their faces."""
        for presence in self._everybody:
            presence.lose()
        self._faces, self._bodies = self._trackers()
        self._until_look = 0

    def _revise(self, senses: Senses, time: float) -> None:
        """Where somebody was enrolled or forgotten, decide again about everybody."""
        revision = senses.revision()
        if revision == self._revision:
            return
        named = {each.verdict.subject_id for each in self._everybody if each.verdict.subject_id}
        gone = named.difference(senses.known(named)) if named else set()
        for presence in self._everybody:
            if presence.verdict.subject_id in gone:
                presence.verdict, presence.pause = Verdict(), self._settings.pause
        self._decide(self._everybody, senses)
        self._revision = revision
        self._story.note(self._everybody, time)

    def _look(self, picture: NDArray[np.uint8], senses: Senses) -> int:
        sight = senses.look(picture)
        self._bonds.tie(
            Look(
                sight.faces,
                self._faces.update(sight.faces.boxes, sight.faces.scores, self._clock),
                sight.persons,
                sight.person_scores,
                self._bodies.update(sight.persons, sight.person_scores, self._clock),
            ),
            self._clock,
        )
        self._coast()
        believed = [each for each in self._seen() if each.track_id or self._is_believed(each)]
        embedded = self._embed(picture, believed, senses)
        self._welcome(self._seen())
        self._decide([each for each in self._everybody if each.undecided], senses)
        return embedded

    def _welcome(self, seen: list[Presence]) -> None:
        """Who is new, or shows a face for the first time, may be an older track that was out of sight."""
        settings = self._settings
        for presence in seen:
            older = None
            if not presence.track_id or (presence.evidence.taken == 1 and presence.embedded == self._clock):
                older = known_again(presence, self._everybody, self._clock, settings.reunion, settings.evidence)
            if older is not None:
                self._bonds.join(older, presence)
            elif not presence.track_id and self._is_believed(presence):
                self._story.introduce(presence)

    def _seen(self) -> list[Presence]:
        return [each for each in self._everybody if each.seen == self._clock]

    def _is_believed(self, presence: Presence) -> bool:
        return presence.looks > 1 or presence.score >= self._settings.sure_score

    def _embed(self, picture: NDArray[np.uint8], presences: list[Presence], senses: Senses) -> int:
        """Embed the faces that can change what is known; how many."""
        crops: list[tuple[Presence, NDArray[np.uint8]]] = []
        for presence in presences:
            if presence.face_box is not None and presence.landmarks is not None:
                crop = align(picture, presence.landmarks)
                presence.quality = measure(presence.face_box, presence.landmarks, crop).value
                if self._is_worth(presence, presence.quality):
                    crops.append((presence, crop))
        crops.sort(key=lambda each: each[0].evidence.taken)
        del crops[self._settings.max_embeddings :]
        if not crops:
            return 0
        embeddings = senses.embed([crop for _, crop in crops])
        for (presence, _), embedding in zip(crops, embeddings, strict=True):
            sample = Sample(embedding, presence.quality or 0.0)
            is_other = presence.unverified and presence.evidence.is_stranger(sample)
            self._take(self._bonds.part(presence, self._clock) if is_other else presence, sample)
        return len(crops)

    def _is_worth(self, presence: Presence, quality: float) -> bool:
        """Whether an embedding of this face can change what is known of somebody."""
        settings, evidence = self._settings, presence.evidence
        waited = self._clock - presence.embedded
        few = presence.verdict.decision is Decision.UNDECIDED and evidence.taken < settings.decision.samples
        clearer = quality >= evidence.best_quality + settings.better and waited >= settings.pause
        return few or presence.unverified or evidence.in_doubt or clearer or waited >= presence.pause

    def _take(self, presence: Presence, sample: Sample) -> None:
        settings = self._settings
        if presence.evidence.add(sample):
            presence.verdict, presence.pause = Verdict(), settings.pause
        presence.embedded, presence.unverified, presence.undecided = self._clock, False, True
        if presence.evidence.taken >= settings.decision.unknown_samples:
            presence.pause = min(2 * presence.pause, settings.refresh)

    def _decide(self, presences: Sequence[Presence], senses: Senses) -> None:
        """Ask the gallery about people with evidence."""
        known = [(each, each.evidence.mean) for each in presences if each.evidence.mean is not None]
        if not known:
            return
        matches: Sequence[Match | None] = senses.search(np.stack([mean for _, mean in known]))
        for (presence, _), match in zip(known, matches, strict=True):
            presence.verdict = decide(presence.verdict, match, presence.evidence, self._clock, self._settings.decision)
            presence.undecided = False
            if presence.verdict.decision is not Decision.UNDECIDED:
                presence.pause = self._settings.refresh
        self._settle_rivals()

    def _settle_rivals(self) -> None:
        """Nobody is in a frame twice: of two who are seen together the more similar one keeps the name."""
        bearers: dict[str, Presence] = {}
        for presence in sorted(self._seen(), key=lambda each: -each.verdict.similarity):
            name = presence.verdict.subject_id
            if name and bearers.setdefault(name, presence) is not presence:
                presence.verdict, presence.pause = Verdict(), self._settings.pause

    def _coast(self) -> None:
        """Expect bodies that are not seen where their motion takes them, for a moment."""
        expected = self._bodies.predict(self._clock)
        for presence in self._everybody:
            recent = self._clock - presence.body_seen <= self._settings.coast
            if presence.body_box is None and presence.body != NOTHING and recent:
                presence.body_box = expected.get(presence.body)

    def _move_on(self) -> None:
        """Between looks everything moves on by its motion."""
        faces, bodies = self._faces.predict(self._clock), self._bodies.predict(self._clock)
        for presence in self._everybody:
            if presence.face_box is not None and presence.landmarks is not None and presence.face in faces:
                box = faces[presence.face]
                presence.landmarks = _carried(presence.landmarks, presence.face_box, box)
                presence.face_box = box
            if presence.body_box is not None:
                presence.body_box = bodies.get(presence.body, presence.body_box)

    def _forget_mistakes(self) -> None:
        """What was not believed at once and is not seen again was nobody."""
        self._bonds.everybody = [each for each in self._everybody if each.track_id or each.seen == self._clock]

    def _part(self) -> None:
        """Let go of those who were not seen for too long."""
        self._bonds.everybody = [each for each in self._everybody if self._clock - each.seen <= self._settings.patience]

    def _tracks(self) -> tuple[Track, ...]:
        present = [each for each in self._everybody if each.track_id and each.is_shown]
        return tuple(self._track(each) for each in sorted(present, key=lambda each: each.track_id))

    def _track(self, presence: Presence) -> Track:
        verdict = presence.verdict
        decided = verdict.decision is not Decision.UNDECIDED
        return Track(
            presence.track_id,
            presence.face_box,
            presence.landmarks,
            presence.quality,
            presence.body_box,
            verdict,
            self._clock - verdict.since if decided else 0.0,
            self._clock - presence.since,
        )


def _carried(
    landmarks: NDArray[np.float32], before: NDArray[np.float32], after: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Landmarks that move and grow with their box."""
    scale = (after[2:] - after[:2]) / np.maximum(before[2:] - before[:2], 1e-6)
    return np.asarray((landmarks - before[:2]) * scale + after[:2], np.float32)
