"""Names in any script, as they are drawn on pictures."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from facet.terminal.pictures import fonts
from facet.terminal.pictures.drawing import draw_faces, drawable_name, without_fonts
from facet.terminal.pictures.lettering import is_drawable, lettered
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.types_pb2 import Box

SIZE = 40
UNASSIGNED = "\U000dfffd"

NAMES = {
    "Hindi": "\u0930\u093e\u091c\u0947\u0928\u094d\u0926\u094d\u0930",
    "Thai": "\u0e2a\u0e21\u0e0a\u0e32\u0e22 \u0e19\u0e49\u0e33",
    "Arabic": "\u0645\u062d\u0645\u062f",
    "Hebrew": "\u05e9\u05e8\u05d4",
    "Bengali": "\u09b0\u09ac\u09c0\u09a8\u09cd\u09a6\u09cd\u09b0",
    "Chinese": "\u59da\u660e",
    "Korean": "\uae40\ubbfc\uc218",
    "emoji": "\U0001f600\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "a heart": "Ann \u2764\ufe0f",
    "Vietnamese": "Nguy\u1ec5n V\u0103n \u0110\u1ee9c",
}


def boxes(count: int) -> NDArray[np.uint8]:
    return lettered(UNASSIGNED * count, SIZE)


@pytest.mark.parametrize("script", NAMES)
def test_there_is_a_font_for_every_script(script: str) -> None:
    assert is_drawable(NAMES[script])
    drawn = lettered(NAMES[script], SIZE)
    assert drawn.shape[0] < 3 * SIZE
    assert drawn.max() > 200


@pytest.mark.parametrize("name", [NAMES["Hindi"], NAMES["Bengali"], NAMES["emoji"], "\u0644\u0627"], ids=ascii)
def test_letters_join_their_neighbours(name: str) -> None:
    """Joined letters are narrower than the same letters one by one."""
    assert lettered(name, SIZE).shape[1] < sum(lettered(each, SIZE).shape[1] for each in name if each != "\u200d")


def test_hebrew_runs_to_the_left_and_latin_beside_it_to_the_right() -> None:
    """The first letter of a Hebrew word is the rightmost, also if a Latin word in another font follows."""
    first, word = lettered("\u05e9", SIZE), lettered("\u05e9\u05e8\u05d4", SIZE)
    ink = word[:, word.any(axis=0)]
    letter = first[:, first.any(axis=0)]
    height = min(ink.shape[0], letter.shape[0])
    assert np.abs(ink[-height:, -letter.shape[1] :].astype(int) - letter[-height:]).mean() < 8
    mixed = lettered("\u05e9\u05e8\u05d4 \u59da", SIZE)
    han = lettered("\u59da", SIZE)
    left = mixed[:, : han.shape[1]]
    assert abs(int(left.sum()) - int(han.sum())) < 0.05 * han.sum()


def test_a_name_without_a_font_gives_its_id_and_one_line_that_says_so() -> None:
    name = f"Ann {UNASSIGNED}"
    assert drawable_name(name, "ann") == "ann"
    assert drawable_name("Ann", "a-1") == "Ann"
    assert drawable_name(name, name) == name
    assert "no font here has all characters" in without_fonts(["Ann", name])
    assert without_fonts(["Ann", ""]) == ""
    assert boxes(2).max() > 0, "boxes are drawn if the id has no font either"


def test_one_font_is_used_for_a_name_if_it_has_all_characters() -> None:
    assert len(fonts.runs("Zo\u00eb 0.87")) == 1
    assert "".join(part for _, part in fonts.runs("Ann \U0001f600 \u59da")) == "Ann \U0001f600 \u59da"


def test_a_label_at_any_edge_stays_within_the_picture() -> None:
    picture = np.full((200, 200, 3), 90, np.uint8)
    for x, y in ((-30, -20), (150, -5), (190, 190), (-50, 195)):
        face = pb.IdentifiedFace()
        face.face.box.CopyFrom(Box(x1=x, y1=y, x2=x + 60, y2=y + 60))
        face.identification.decision = pb.DECISION_MATCH
        face.identification.candidates.add(subject_id="a", display_name=NAMES["Arabic"] * 20, similarity=0.9)
        assert draw_faces(picture, [face]).shape == (640, 640, 3)


@pytest.mark.parametrize("name", ["L" * 200, "\u0645\u062d\u0645\u062f " * 40, "\u0e01\u0e34" * 100])
def test_a_long_name_leaves_room_for_the_similarity(name: str) -> None:
    def drawn(similarity: float) -> NDArray[np.uint8]:
        found = pb.Identification(
            decision=pb.DECISION_MATCH, candidates=[pb.Candidate(display_name=name, similarity=similarity)]
        )
        face = pb.IdentifiedFace(identification=found)
        face.face.box.CopyFrom(Box(x1=300, y1=300, x2=400, y2=400))
        return draw_faces(np.zeros((480, 640, 3), np.uint8), [face])

    assert (drawn(0.11) != drawn(0.88)).any(), "the number is in the picture"
    assert len(np.unique(drawn(0.11)[:, -1], axis=0)) == 2, "the plate ends with a margin in its colour"
