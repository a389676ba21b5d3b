"""How frames with names of somebody else are counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import typer
from typer.testing import CliRunner

from facet.benchmarks.streams.replacement import Shown, replacement, summary
from facet.terminal import console


def shown(person: str, *names: str, enrolled: bool = True) -> Shown:
    return Shown(person, enrolled, frozenset(names), 1)


def test_a_name_of_somebody_else_is_wrong_and_no_name_is_not() -> None:
    right: Sequence[Shown] = [shown("anne", "anne"), shown("ben", enrolled=False), shown("anne")]
    wrong = [shown("anne", "anne"), shown("ben", "anne", enrolled=False), shown("anne", "anne", "ben")]
    measured = summary(1.0, [right, wrong, []])
    assert (measured.trials, measured.trials_wrong, measured.frames, measured.frames_wrong) == (2, 1, 6, 2)
    assert measured.named_share == 0.75
    assert measured.embeddings_per_frame == 1


def test_a_person_who_comes_back_appears_twice() -> None:
    late = [
        *[shown("anne", "anne")] * 3,
        *[shown("ben", enrolled=False)] * 3,
        *[shown("anne")] * 2,
        shown("anne", "anne"),
    ]
    measured = summary(1.0, [late])
    assert measured.named_at_once == 0.5


def test_no_trial_gives_no_shares() -> None:
    assert summary(1.0, [[]]).named_share == 0


def test_a_folder_whose_pictures_are_refused_fails_with_a_way_to_see_why(tmp_path: Path) -> None:
    for name in ("anne", "ben"):
        (tmp_path / name).mkdir()
        for number in (1, 2):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), np.full((48, 48, 3), 60 * number, np.uint8))
    app = typer.Typer()
    app.command()(replacement)
    done = CliRunner().invoke(app, [str(tmp_path), "--trials", "1"])
    assert done.exit_code == console.FAILED
    said = "".join(done.output.split())
    assert f"mostpicturesarerefused:facetenroll{tmp_path}--dry-runsayswhy" in said
