"""What became of the files of a folder: each is in exactly one count, and those that failed are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from facet.cli.gallery.migrate.gaps.fill import _plain, _print
from facet.cli.gallery.migrate.gaps.originals import Original
from facet.v1 import migrations_pb2 as pb

ONE, OTHER = pb.FilledTemplate(subject_id="ann", template_id="1"), pb.FilledTemplate(subject_id="bob", template_id="2")
DONE = [
    Original(Path("filled.jpg"), pb.FillMigrationGapResponse(templates=[ONE])),
    Original(Path("no-face.jpg"), pb.FillMigrationGapResponse(not_found=[OTHER])),
    Original(Path("meanwhile.jpg"), pb.FillMigrationGapResponse()),
    Original(Path("other.jpg")),
    Original(Path("for-one.jpg"), pb.FillMigrationGapResponse(), "BUSY", "the server was busy for the second person"),
    Original(Path("damaged.jpg"), None, "INVALID_PICTURE", "the picture is cut off"),
]


def test_every_file_is_accounted_for(capsys: pytest.CaptureFixture[str]) -> None:
    _print("team", Path("originals"), DONE, [], pb.Migration())
    said = " ".join(capsys.readouterr().out.split())
    assert "filled 1 template of 1 person" in said
    assert "no face where it was 1: no-face.jpg" in said
    assert "not needed 2 files" in said
    assert "failed: not a readable picture damaged.jpg: the picture is cut off" in said


def test_programs_get_the_templates_of_each_picture() -> None:
    plain = _plain(DONE)
    assert (plain["filled"], plain["not_needed"]) == (1, 2)
    assert [each["path"] for each in plain["pictures"]] == ["filled.jpg", "no-face.jpg", "for-one.jpg", "damaged.jpg"]
    assert plain["pictures"][1]["not_found"] == [{"subject_id": "bob", "template_id": "2"}]
