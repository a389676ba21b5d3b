"""How similar strangers are to their most similar subject."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from facet.benchmarks.streams.impostors import impostors, measured
from facet.terminal import console


def test_larger_galleries_have_more_similar_strangers_and_nobody_is_compared_with_themselves() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal((300, 64)).astype(np.float32)
    people = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    small, large = (measured(people, size, rng) for size in (1, 100))
    assert small.reaching["0.22"] < large.reaching["0.22"] < 1
    assert small.one_in_1000 < large.one_in_1000 < 0.6
    assert (small.threshold, large.threshold) == pytest.approx((0.225, 0.329))


def test_one_person_under_two_names_is_left_out() -> None:
    people = np.repeat(np.eye(4, dtype=np.float32), 2, axis=0)
    assert measured(people, 7, np.random.default_rng(0)).one_in_1000 <= 0


def test_a_gallery_larger_than_the_people_is_refused_before_anybody_is_looked_at(tmp_path: Path) -> None:
    for name in ("anne", "ben", "carl"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "1.png"), np.zeros((8, 8, 3), np.uint8))
    app = typer.Typer()
    app.command()(impostors)
    done = CliRunner().invoke(app, [str(tmp_path), "--size", "1", "--size", "1000"])
    assert done.exit_code == console.USAGE
    assert "there are 3 people, --size 1000 needs 1001" in " ".join(done.output.split())
