"""Ids of answers: what is in them, who can read them, for how long, and which are marked for review."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facet.server.errors import AnswerExpired, AnswerUnknown
from facet.server.outcomes.answer_ids import AnswerIds
from facet.server.outcomes.sealing import MOST_CHARACTERS, AnswerSeal, CannotOpenAnswer, new_nonce
from facet.v1 import recognition_service_pb2 as pb
from gallery.galleries import Galleries
from gallery.records.identifications import Decision
from gallery.records.outcomes import GivenAnswer
from tests.unit.gallery.samples import opened

NOW = datetime(2026, 5, 20, 12, 30, 15, 678901, tzinfo=UTC)
KEY = bytes(range(32))
CONTRACT = "9cc6e4a7" * 8
ANSWER = GivenAnswer(bytes(12), NOW, Decision.MATCH, "Zoë 人", 0.75, 0.125, 0.5, "entrance, north", 0.25, CONTRACT)


class Setting:
    """A gallery "g" whose clock the test sets."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.path = folder / "facet.db"
        self.galleries = self.reopened()
        self.galleries.create_gallery("g", display_name="", threshold=0.5)

    def reopened(self) -> Galleries:
        return opened(self.path, clock=lambda: self.now)

    def ids(self, *, days: float = 30, review_share: float = 0.0) -> AnswerIds:
        return AnswerIds(self.galleries, days=days, review_share=review_share)


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    setting = Setting(tmp_path)
    yield setting
    setting.galleries.close()


def match(subject_id: str = "ann") -> pb.Identification:
    return pb.Identification(
        decision=pb.DECISION_MATCH,
        candidates=[pb.Candidate(subject_id=subject_id, similarity=0.75)],
        threshold=0.5,
        margin=0.25,
    )


def test_an_id_contains_the_answer() -> None:
    answers = [
        ANSWER,
        replace(ANSWER, decision=Decision.UNKNOWN, review_share=None, margin=None),
        replace(ANSWER, subject_id="", similarity=None, margin=None, source=""),
        replace(ANSWER, contract=""),
        replace(ANSWER, subject_id="s" * 128, source="c" * 128),
    ]
    seal = AnswerSeal(KEY)
    assert [seal.open(seal.seal(each), NOW) for each in answers] == answers
    assert all(len(seal.seal(each)) < MOST_CHARACTERS for each in answers)


def test_an_id_is_short_and_shows_nothing_of_the_answer() -> None:
    seal = AnswerSeal(KEY)
    one, other = (seal.seal(replace(ANSWER, subject_id="ann", nonce=new_nonce())) for _ in range(2))
    assert len(one) <= 210
    assert b"ann" not in base64.urlsafe_b64decode(one + "==")
    same = sum(a == b for a, b in zip(one[2:], other[2:], strict=True))
    assert same < len(one) / 4  # of random base64, one character in 64 is the same


@pytest.mark.parametrize(
    ("answer_id", "told"),
    [
        (
            "AQAAAAAAAAAAAAAAAF3Y3Wa_5_VkR_yzfjLrFPm32aX1XslsH82JFhhNRO6Scnv8msjwm5fcZYbNxaoXQu_wYFb45h3FnuoUQ_Kn7908"
            "O1r7XVJyY2cmFdhpBtA8",
            ANSWER,
        ),
        (
            "AQAAAAAAAAAAAAAAAF3Y3Wa_5_VkR_yzfjLrFPm32aX1XslsH82yF7XmBWtJqRr4ld3jm5jeYcuMyqQENtPHTmDQ59LIRRybVZITivM",
            replace(ANSWER, subject_id="ann", source="a" * 18),
        ),
    ],
    ids=["padded", "without padding"],
)
def test_ids_that_were_given_before_they_told_the_model_are_opened(answer_id: str, told: GivenAnswer) -> None:
    assert AnswerSeal(KEY).open(answer_id, NOW) == replace(told, contract="")


def test_a_forged_or_foreign_id_is_not_opened() -> None:
    seal = AnswerSeal(KEY)
    made = seal.seal(ANSWER)
    content = bytearray(base64.urlsafe_b64decode(made + "=" * (-len(made) % 4)))
    forged = []
    for place in range(len(content)):
        changed = content.copy()
        changed[place] ^= 1
        forged.append(base64.urlsafe_b64encode(changed).decode().rstrip("="))
    texts = ["", "x", "§", "not base64!", made[:-4], made + "AAAA", made * 50, AnswerSeal(bytes(32)).seal(ANSWER)]
    for text in (*forged, *texts):
        with pytest.raises(CannotOpenAnswer):
            seal.open(text, NOW)


def test_the_clock_of_another_server_may_be_behind_and_ids_stay_readable_for_a_year() -> None:
    seal = AnswerSeal(KEY)
    made = seal.seal(ANSWER)
    assert seal.open(made, NOW - timedelta(minutes=5)) == ANSWER
    assert seal.open(made, NOW + timedelta(days=365)) == ANSWER


def test_another_server_on_the_same_store_reads_the_ids(setting: Setting) -> None:
    answer = match()
    setting.ids().mark("g", [answer], "lobby", CONTRACT)
    setting.galleries.close()
    setting.galleries = setting.reopened()
    read = setting.ids().read("g", answer.answer_id)
    assert (read.subject_id, read.similarity, read.margin, read.source) == ("ann", 0.75, 0.25, "lobby")
    assert (read.decision, read.time, read.review_share, read.contract) == (Decision.MATCH, NOW, None, CONTRACT)


def test_an_id_is_of_one_gallery_and_of_no_later_one_with_its_name(setting: Setting) -> None:
    setting.galleries.create_gallery("h", display_name="", threshold=0.5)
    answer, ids = match(), setting.ids()
    ids.mark("g", [answer], "", CONTRACT)
    with pytest.raises(AnswerUnknown):
        ids.read("h", answer.answer_id)
    setting.galleries.delete_gallery("g")
    setting.galleries.create_gallery("g", display_name="", threshold=0.5)
    with pytest.raises(AnswerUnknown):
        ids.read("g", answer.answer_id)


def test_an_id_expires(setting: Setting) -> None:
    answer, ids = match(), setting.ids(days=30)
    ids.mark("g", [answer], "", CONTRACT)
    setting.now = NOW + timedelta(days=30) - timedelta(microseconds=1)
    assert ids.read("g", answer.answer_id).subject_id == "ann"
    setting.now = NOW + timedelta(days=30)
    with pytest.raises(AnswerExpired):
        ids.read("g", answer.answer_id)


def test_each_face_has_its_own_id_and_a_refused_one_has_none(setting: Setting) -> None:
    unknown = pb.Identification(decision=pb.DECISION_UNKNOWN, threshold=0.5)
    answers = [match(), match(), unknown, pb.Identification(decision=pb.DECISION_REFUSED, threshold=0.5)]
    setting.ids().mark("g", answers, "", CONTRACT)
    ids = [each.answer_id for each in answers]
    assert (len(set(ids[:3])), ids[3]) == (3, "")
    read = setting.ids().read("g", ids[2])
    assert (read.decision, read.subject_id, read.similarity) == (Decision.UNKNOWN, "", None)


def test_no_answer_has_an_id_if_none_are_wanted_or_the_gallery_is_gone(setting: Setting) -> None:
    answers = [match(), match()]
    setting.ids(days=0).mark("g", answers[:1], "", CONTRACT)
    setting.ids().mark("no such gallery", answers[1:], "", CONTRACT)
    assert [each.answer_id for each in answers] == ["", ""]


def test_a_stated_share_of_the_answers_is_marked_for_review(setting: Setting) -> None:
    answers = [match() for _ in range(400)]
    setting.ids(review_share=0.25).mark("g", answers, "", CONTRACT)
    marked = [each for each in answers if each.review_requested]
    assert 50 < len(marked) < 160  # 400 draws of 0.25: beyond six standard deviations
    assert {setting.ids().read("g", each.answer_id).review_share for each in marked} == {0.25}
    assert not any(
        setting.ids().read("g", each.answer_id).review_share for each in answers if not each.review_requested
    )


def test_the_decisions_of_a_stream_have_ids_and_its_other_events_have_none(setting: Setting) -> None:
    kinds = [
        (pb.TRACK_EVENT_KIND_APPEARED, ""),
        (pb.TRACK_EVENT_KIND_IDENTIFIED, "ann"),
        (pb.TRACK_EVENT_KIND_CHANGED, "bob"),
        (pb.TRACK_EVENT_KIND_CHANGED, ""),
        (pb.TRACK_EVENT_KIND_UNKNOWN, ""),
        (pb.TRACK_EVENT_KIND_LEFT, "bob"),
    ]
    events = [pb.TrackEvent(kind=kind, track_id=1, subject_id=subject) for kind, subject in kinds]
    setting.ids().mark_events("g", events, 0.25, "door", CONTRACT)
    assert [bool(each.answer_id) for each in events] == [False, True, True, False, True, False]
    read = [setting.ids().read("g", each.answer_id) for each in events if each.answer_id]
    assert [(each.decision, each.subject_id) for each in read] == [
        (Decision.MATCH, "ann"),
        (Decision.MATCH, "bob"),
        (Decision.UNKNOWN, ""),
    ]
    assert {(each.source, each.threshold, each.contract) for each in read} == {("door", 0.25, CONTRACT)}
