"""Gives answers their ids, chooses which of them are to be reviewed, and reads ids that come back."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import timedelta

from facet.server.access import identity
from facet.server.errors import AnswerExpired, AnswerUnknown
from facet.server.outcomes.sealing import AnswerSeal, CannotOpenAnswer, new_nonce
from facet.v1 import recognition_service_pb2 as pb
from gallery.errors import GalleryNotFound
from gallery.galleries import Galleries
from gallery.records.identifications import Decision
from gallery.records.outcomes import GivenAnswer

_MOST_SEALS = 1024


class AnswerIds:
    """The ids of answers. No answer is stored: its id contains it, sealed under a key of its gallery.

    Args:
        galleries: know the keys.
        days: how long an id is valid; 0 gives none.
        review_share: the share of answers that are marked for review, [0, 1].
    """

    def __init__(self, galleries: Galleries, *, days: float, review_share: float) -> None:
        self._galleries = galleries
        self._valid_for = timedelta(days=days)
        self._review_share = review_share
        self._seals: dict[str, AnswerSeal] = {}

    def mark(self, gallery_id: str, answers: Iterable[pb.Identification], source: str, contract: str) -> None:
        """Give identifications their ids; a refused face gets none. May ask the store; it does not raise for that.

        Args:
            gallery_id: the gallery that was searched.
            answers: the identifications.
            source: see :class:`gallery.records.outcomes.GivenAnswer`, like ``contract``.
            contract: the embedding contract of the model that searched.
        """
        seal = self._seal(gallery_id)
        if seal is None:
            return
        now = self._galleries.clock()
        for each in answers:
            if each.decision == pb.DECISION_REFUSED:
                continue
            best = each.candidates[0] if each.candidates else None
            share = self._drawn()
            each.answer_id = seal.seal(
                GivenAnswer(
                    new_nonce(),
                    now,
                    Decision.MATCH if each.decision == pb.DECISION_MATCH else Decision.UNKNOWN,
                    best.subject_id if best else "",
                    best.similarity if best else None,
                    each.margin if each.HasField("margin") else None,
                    each.threshold,
                    source,
                    share,
                    contract,
                )
            )
            each.review_requested = share is not None

    def mark_events(
        self, gallery_id: str, events: Iterable[pb.TrackEvent], threshold: float, source: str, contract: str
    ) -> None:
        """Give the decisions of a stream their ids: those events that name a subject, and those that name nobody."""
        decided = [each for each in events if _is_decision(each)]
        seal = self._seal(gallery_id) if decided else None
        if seal is None:
            return
        now = self._galleries.clock()
        for each in decided:
            share = self._drawn()
            each.answer_id = seal.seal(
                GivenAnswer(
                    new_nonce(),
                    now,
                    Decision.MATCH if each.subject_id else Decision.UNKNOWN,
                    each.subject_id,
                    each.similarity if each.HasField("similarity") else None,
                    None,
                    threshold,
                    source,
                    share,
                    contract,
                )
            )
            each.review_requested = share is not None

    def read(self, gallery_id: str, answer_id: str) -> GivenAnswer:
        """Return the answer of an id.

        Raises:
            AnswerUnknown: it is no id of an answer of this gallery.
            AnswerExpired: it is too old.
            GalleryNotFound: the gallery does not exist.
            StorageError: the store cannot be read.
        """
        now = self._galleries.clock()
        for key in self._galleries.outcomes.opening_keys(gallery_id):
            try:
                answer = AnswerSeal(key).open(answer_id, now)
            except CannotOpenAnswer:
                continue
            if answer.time + self._valid_for <= now:
                raise AnswerExpired
            return answer
        raise AnswerUnknown

    def _seal(self, gallery_id: str) -> AnswerSeal | None:
        if not self._valid_for:
            return None
        try:
            key = self._galleries.outcomes.sealing_key(gallery_id)
        except GalleryNotFound:  # deleted after the search
            return None
        if key is None:
            return None
        seal = self._seals.get(gallery_id)
        if seal is None or seal.key is not key:
            if len(self._seals) >= _MOST_SEALS:
                self._seals.clear()
            seal = self._seals[gallery_id] = AnswerSeal(key)
        return seal

    def _drawn(self) -> float | None:
        """Draw whether an answer is to be reviewed: the share of those that are, or ``None``."""
        return self._review_share if self._review_share and random.random() < self._review_share else None  # noqa: S311 - a sample, no secret


def source_of_call() -> str:
    """The source of the answers of this call, as observations have it: ``caller:`` and the id of its caller."""
    return f"caller:{identity.current().id}"


def source_of_camera(name: str) -> str:
    """The source of the answers of a stream, as observations have it; an unnamed camera is its caller."""
    return f"camera:{name}" if name else source_of_call()


def _is_decision(event: pb.TrackEvent) -> bool:
    if event.kind == pb.TRACK_EVENT_KIND_UNKNOWN:
        return True
    names = event.kind in (pb.TRACK_EVENT_KIND_IDENTIFIED, pb.TRACK_EVENT_KIND_CHANGED)
    return names and bool(event.subject_id)
