"""What clients say about answers: checked against the answer, stored, and listed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from facet.server.access import identity
from facet.server.errors import InvalidField
from facet.server.outcomes.answer_ids import AnswerIds
from facet.server.wire import validate
from facet.server.wire.terms import timestamp
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb
from gallery.errors import SubjectNotFound
from gallery.galleries import Galleries
from gallery.records.identifications import Decision
from gallery.records.outcomes import GivenAnswer, Outcome, Truth

_VERDICTS = {pb.VERDICT_RIGHT: True, pb.VERDICT_WRONG: False}
_TRUTHS = {
    Truth.UNSAID: gallery_pb.TRUTH_UNSPECIFIED,
    Truth.SUBJECT: gallery_pb.TRUTH_SUBJECT,
    Truth.NOBODY: gallery_pb.TRUTH_NOBODY,
}
_DECISIONS = {Decision.MATCH: pb.DECISION_MATCH, Decision.UNKNOWN: pb.DECISION_UNKNOWN}


class Outcomes:
    """Takes reports about answers, and lists them.

    Args:
        galleries: where they are kept.
        answer_ids: read the ids.
        most: outcomes that a gallery keeps.
    """

    def __init__(self, galleries: Galleries, answer_ids: AnswerIds, *, most: int) -> None:
        self._galleries = galleries
        self._answer_ids = answer_ids
        self._most = most

    async def report(self, request: pb.ReportOutcomeRequest) -> pb.ReportOutcomeResponse:
        """Store what a client says about an answer; it replaces what was said before.

        A caller who may not list subjects does not learn whether the true subject exists: the verdict is stored alone.

        Raises:
            InvalidField: a field is missing, or what is said contradicts itself.
            AnswerUnknown: it is no id of an answer of this gallery.
            AnswerExpired: the answer is too old.
            GalleryError: the gallery or the subject does not exist, or outcomes cannot be stored.
        """
        gallery_id = validate.gallery_id(request.gallery_id)
        if not request.answer_id:
            raise InvalidField("answer_id", "is missing: the answer_id of an identification")
        if request.verdict not in _VERDICTS:
            raise InvalidField("verdict", "must be VERDICT_RIGHT or VERDICT_WRONG")
        is_right = _VERDICTS[request.verdict]
        kind = request.WhichOneof("truth")
        subject_id = (
            validate.subject_id(request.true_subject_id, "true_subject_id") if kind == "true_subject_id" else ""
        )
        if kind == "true_nobody" and not request.true_nobody:
            raise InvalidField("true_nobody", "must be true, or left out")
        truth = {None: Truth.UNSAID, "true_subject_id": Truth.SUBJECT, "true_nobody": Truth.NOBODY}[kind]

        caller = identity.current()

        def store() -> None:
            answer = self._answer_ids.read(gallery_id, request.answer_id)
            _check_consistent(answer, truth, subject_id, is_right=is_right)
            said = Outcome("", answer, is_right, truth, subject_id, self._galleries.clock())
            try:
                self._galleries.outcomes.report(gallery_id, said, reporter=caller.id, most=self._most)
            except SubjectNotFound as error:
                if caller.has("enroll"):
                    error.request_field = "true_subject_id"
                    raise
                unnamed = replace(said, truth=Truth.UNSAID, truth_subject_id="")
                self._galleries.outcomes.report(gallery_id, unnamed, reporter=caller.id, most=self._most)

        await asyncio.to_thread(store)
        return pb.ReportOutcomeResponse()

    async def list(self, request: gallery_pb.ListOutcomesRequest) -> gallery_pb.ListOutcomesResponse:
        """List what was said about the answers of a gallery.

        Raises:
            InvalidField: a field is out of range.
            GalleryError: the gallery does not exist, or the token is not one of this list.
        """
        gallery_id = validate.gallery_id(request.gallery_id)
        size = validate.page_size(request.page_size)

        def read() -> gallery_pb.ListOutcomesResponse:
            page = self._galleries.outcomes.list(gallery_id, page_size=size, page_token=request.page_token)
            contracts = {each.answer.contract for each in page.items}
            names = {contract: self._galleries.outcomes.model_name(gallery_id, contract) for contract in contracts}
            return gallery_pb.ListOutcomesResponse(
                outcomes=[_message(each, names[each.answer.contract]) for each in page.items],
                next_page_token=page.next_page_token,
            )

        return await asyncio.to_thread(read)


def _check_consistent(answer: GivenAnswer, truth: Truth, subject_id: str, *, is_right: bool) -> None:
    """Raise InvalidField if a report cannot be true of its answer."""
    is_match = answer.decision is Decision.MATCH
    if is_match and truth is Truth.SUBJECT and (subject_id == answer.subject_id) != is_right:
        problem = "is the subject of the match, so" if subject_id == answer.subject_id else "is another subject, so"
        raise InvalidField("true_subject_id", f"{problem} the answer is {'wrong' if is_right else 'right'}")
    if truth is Truth.NOBODY and is_match == is_right:
        raise InvalidField("true_nobody", f"contradicts the verdict: the answer is {'wrong' if is_right else 'right'}")
    if not is_match and truth is Truth.SUBJECT and is_right:
        raise InvalidField("true_subject_id", "contradicts the verdict: the person is enrolled and was not identified")


def _message(outcome: Outcome, model: str) -> gallery_pb.Outcome:
    answer = outcome.answer
    return gallery_pb.Outcome(
        decision=_DECISIONS[answer.decision],
        subject_id=answer.subject_id,
        similarity=answer.similarity,
        margin=answer.margin,
        threshold=answer.threshold,
        source=answer.source,
        answer_time=timestamp(answer.time),
        review_share=answer.review_share,
        verdict=pb.VERDICT_RIGHT if outcome.is_right else pb.VERDICT_WRONG,
        truth=_TRUTHS[outcome.truth],
        true_subject_id=outcome.truth_subject_id,
        report_time=timestamp(outcome.report_time),
        names_nobody=outcome.is_forgotten,
        contract=answer.contract,
        model=model,
    )
