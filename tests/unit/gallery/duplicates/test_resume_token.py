"""A resume token is accepted for its own gallery only."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from gallery.duplicates.resume_token import ResumeToken, decoded, identity_of
from gallery.duplicates.similarity_model import SimilarityModel
from gallery.errors import InvalidResumeToken
from gallery.records.galleries import Gallery
from tests.unit.gallery.duplicates.conftest import NOW

GALLERY = Gallery("team", "", 0.34, 1, "c", 0, 0, NOW, NOW, "e")
TOKEN = ResumeToken(
    identity_of(GALLERY), ("ann", "t1"), 7, SimilarityModel(0.25, 0.03, 0.01, 0.07, 0.62, 0.12, 0.1, 0.01)
)


def changed(**values: object) -> str:
    """Return the token with other values, by their position."""
    found = json.loads(base64.urlsafe_b64decode(TOKEN.encoded()))
    for position, value in values.items():
        found[int(position.removeprefix("at_"))] = value
    return base64.urlsafe_b64encode(json.dumps(found).encode()).decode()


def test_a_token_is_read_back() -> None:
    assert decoded(TOKEN.encoded(), GALLERY) == TOKEN


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "AAAA",
        base64.urlsafe_b64encode(b"{}").decode(),
        base64.urlsafe_b64encode(b"[1]").decode(),
        base64.urlsafe_b64encode(b"[" * 2000).decode(),
        "A" * 5000,
        changed(at_0=2),
        changed(at_3="\ud800"),
        changed(at_4="\x00"),
        changed(at_4=7),
        changed(at_5=-1),
        changed(at_6=float("nan")),
        changed(at_7=0.0),
        changed(at_12=1.0),
        changed(at_13="ann"),
    ],
    ids=[
        "no base64",
        "no JSON",
        "an object",
        "too short",
        "deep",
        "too long",
        "another version",
        "a lone surrogate",
        "a NUL",
        "a number for an id",
        "a negative count",
        "not a number",
        "a scale of zero",
        "a share of one",
        "a text for a number",
    ],
)
def test_anything_else_is_refused(token: str) -> None:
    with pytest.raises(InvalidResumeToken):
        decoded(token, GALLERY)


def test_a_token_of_a_gallery_that_was_created_anew_is_refused() -> None:
    later = replace(GALLERY, create_time=NOW.replace(year=2027))
    with pytest.raises(InvalidResumeToken):
        decoded(TOKEN.encoded(), later)
