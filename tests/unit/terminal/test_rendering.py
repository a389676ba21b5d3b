"""Answers as tables."""

from __future__ import annotations

from rich.console import Console

from facet.terminal.rendering import faces_table
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.types_pb2 import Box, DetectedFace


def response(*turns: int, name: str = "Ann", least_face_height: float = 24.0) -> pb.IdentifyResponse:
    """An answer with a match for each face."""
    found = pb.Identification(decision=pb.DECISION_MATCH, candidates=[pb.Candidate(subject_id=name, similarity=0.5)])
    box = Box(x1=1, y1=2, x2=3, y2=4)
    faces = [pb.IdentifiedFace(face=DetectedFace(box=box, turn=turn), identification=found) for turn in turns]
    return pb.IdentifyResponse(faces=faces, least_face_height=least_face_height)


def printed(answer: pb.IdentifyResponse, *, thorough: bool = False, width: int = 80) -> str:
    console = Console(width=width, soft_wrap=True)
    with console.capture() as captured:
        console.print(faces_table("a.jpg", answer, thorough=thorough))
    return captured.get()


def test_a_table_of_upright_faces_has_no_column_of_turns() -> None:
    assert "turned" not in printed(response(0, 0))


def test_a_table_with_a_turned_face_shows_the_turn_of_each() -> None:
    lines = printed(response(0, 180)).splitlines()
    assert "turned" in lines[1]
    assert [line.split()[2] for line in lines if "Ann" in line] == ["0\u00b0", "180\u00b0"]
    assert max(map(len, lines)) <= 80


def test_a_large_picture_says_which_faces_may_be_missed_and_what_to_do() -> None:
    assert "missed" not in printed(response(0))
    said = printed(response(0, least_face_height=360))
    assert "faces below 360 pixels in height may be missed" in said
    assert "--thorough" in said


def test_a_thorough_search_does_not_ask_for_a_thorough_one() -> None:
    assert "below 90 pixels" in printed(response(0, least_face_height=90), thorough=True)
    assert "--thorough" not in printed(response(0, least_face_height=90), thorough=True)


def test_a_name_does_not_act_on_the_terminal() -> None:
    said = printed(response(0, name="\u202eAnn\x1b[2J"))
    assert r"\u202eAnn\x1b[2J" in said
    assert "\u202e" not in said


def test_a_face_near_two_people_who_were_told_apart_names_both() -> None:
    answer = response(0)
    found = answer.faces[0].identification
    found.decision, found.too_close_to = pb.DECISION_UNKNOWN, "beth\x1b[2J"
    said = printed(answer, width=160)
    assert "unknown: Ann or beth" in said
    assert "\x1b" not in said
