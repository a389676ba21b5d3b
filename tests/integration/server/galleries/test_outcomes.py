"""Answers that are reported as right or wrong, over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from facet import Client, FacetError, InvalidArgument, NotFound, stream_frame
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb

if TYPE_CHECKING:
    from tests.conftest import Pictures


def answer_of(client: Client, gallery: str, picture: bytes, threshold: float | None = None) -> pb.Identification:
    (face,) = client.identify(gallery, picture, threshold=threshold).faces
    return face.identification


def test_an_answer_is_reported_corrected_listed_and_names_nobody_who_is_forgotten(
    client: Client, team: str, pictures: Pictures
) -> None:
    answer = answer_of(client, team, pictures.yaoming)
    assert answer.decision == pb.DECISION_MATCH
    assert not answer.review_requested
    client.report_outcome(team, answer.answer_id, False, true_nobody=True)
    client.report_outcome(team, answer.answer_id, True, true_subject_id="yao")
    (said,) = client.iter_outcomes(team)
    assert (said.decision, said.verdict, said.truth) == (pb.DECISION_MATCH, pb.VERDICT_RIGHT, gallery_pb.TRUTH_SUBJECT)
    assert (said.subject_id, said.true_subject_id, said.names_nobody) == ("yao", "yao", False)
    assert (said.similarity, said.threshold) == (answer.candidates[0].similarity, answer.threshold)

    client.delete_subject(team, "yao")
    (counted,) = client.iter_outcomes(team)
    assert (counted.verdict, counted.truth) == (pb.VERDICT_RIGHT, gallery_pb.TRUTH_SUBJECT)
    assert (counted.subject_id, counted.true_subject_id, counted.names_nobody) == ("", "", True)
    assert not counted.HasField("similarity")


def test_every_way_to_identify_gives_ids_that_can_be_reported(client: Client, team: str, pictures: Pictures) -> None:
    ((_, batch),) = client.identify_batch(team, [("one", pictures.yaoming)])
    assert isinstance(batch, pb.IdentifyResponse)
    (found,) = client.analyze_faces(pictures.yaoming, include_embeddings=True).faces
    searched = client.search_embedding(team, found.embedding, threshold=1.0).identification
    assert searched.decision == pb.DECISION_UNKNOWN
    settings = pb.StreamSettings(gallery_id=team, camera="door", lossless=True)
    frames = [stream_frame(number, pictures.yaoming, captured=number / 5) for number in range(4)]
    events = [event for each in client.identify_stream(settings, frames) for event in each.events]
    (decided,) = (each for each in events if each.kind == pb.TRACK_EVENT_KIND_IDENTIFIED)
    assert [bool(each.answer_id) for each in events] == [each is decided for each in events]

    client.report_outcome(team, batch.faces[0].identification.answer_id, True)
    client.report_outcome(team, searched.answer_id, False, true_subject_id="yao")
    client.report_outcome(team, decided.answer_id, True)
    said = list(client.iter_outcomes(team, page_size=2))
    assert [(each.decision, each.verdict, each.source) for each in said] == [
        (pb.DECISION_MATCH, pb.VERDICT_RIGHT, "caller:anonymous"),
        (pb.DECISION_UNKNOWN, pb.VERDICT_WRONG, "caller:anonymous"),
        (pb.DECISION_MATCH, pb.VERDICT_RIGHT, "camera:door"),
    ]


def test_what_cannot_be_true_is_refused_and_changes_nothing(client: Client, team: str, pictures: Pictures) -> None:
    match = answer_of(client, team, pictures.yaoming).answer_id
    unknown = answer_of(client, team, pictures.yaoming, threshold=1.0).answer_id
    client.report_outcome(team, match, True)
    for answer_id, is_right, subject_id, nobody in (
        (match, True, "", True),
        (match, False, "yao", False),
        (unknown, True, "yao", False),
        (unknown, False, "", True),
    ):
        with pytest.raises(InvalidArgument) as contradiction:
            client.report_outcome(team, answer_id, is_right, true_subject_id=subject_id, true_nobody=nobody)
        assert contradiction.value.reason == "INVALID_FIELD"
    with pytest.raises(NotFound) as nobody_there:
        client.report_outcome(team, match, False, true_subject_id="nobody of this name")
    assert nobody_there.value.reason == "SUBJECT_NOT_FOUND"
    with pytest.raises(InvalidArgument):
        client.recognition.ReportOutcome(pb.ReportOutcomeRequest(gallery_id=team, answer_id=match))
    (said,) = client.iter_outcomes(team)
    assert said.verdict == pb.VERDICT_RIGHT


def test_an_id_that_is_none_of_the_gallery_is_refused(client: Client, team: str, pictures: Pictures) -> None:
    other = client.create_gallery().gallery_id
    answer_id = answer_of(client, team, pictures.yaoming).answer_id
    for where, what in ((other, answer_id), (team, answer_id[:-8]), (team, "x" * 5000), (team, "\u2603")):
        assert reason(client, where, what) == "ANSWER_UNKNOWN"
    assert reason(client, "no-such-gallery", answer_id) == "GALLERY_NOT_FOUND"
    assert not list(client.iter_outcomes(team))


def reason(client: Client, gallery: str, answer_id: str) -> str:
    """The reason why an answer cannot be reported."""
    with pytest.raises(FacetError) as refused:
        client.report_outcome(gallery, answer_id, True)
    return refused.value.reason
