"""What is enrolled from folders, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from facet.cli.shared import sources


@pytest.mark.parametrize("subject_id", ["", "Ann"])
def test_hidden_pictures_are_not_enrolled_but_named(
    subject_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("Ann/1.jpg", "Ann/._1.jpg", ".thumbs/x.jpg", "Ann/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = sources.read([tmp_path], subject_id, "").pictures
    assert [(each.subject_id, each.path) for each in found] == [("Ann", tmp_path / "Ann" / "1.jpg")]
    said = " ".join(capsys.readouterr().err.split())
    assert f"are pictures: {tmp_path}/Ann/notes.txt" in said
    assert f"left out 2, as hidden and system files are not read: {tmp_path}/.thumbs, {tmp_path}/Ann/._1.jpg" in said
