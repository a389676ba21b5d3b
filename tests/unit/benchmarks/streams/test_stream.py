"""The arithmetic of cameras on one server, and what they see."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from facet.benchmarks.serving.pictures import decoded
from facet.benchmarks.streams.scenes import filmed, size_of, street
from facet.benchmarks.streams.stream import Answered, Load, Seen, summary


def seen(*ages: float, sent: int, dropped: int = 0, error: str = "", ended: float = 1.0) -> Seen:
    return Seen(sent, [Answered(age, 1, 2, error) for age in ages], dropped, [0.001] * sent, ended)


def test_cameras_are_summed_up() -> None:
    cameras = [seen(0.1, 0.2, sent=4, dropped=2), seen(0.3, 0.4, sent=2)]
    measured = summary(Load(2, 3.0, 1.0), cameras, (640, 360), "street")
    assert (measured.cameras, measured.fps_in, measured.fps_answered, measured.dropped) == (2, 6.0, 4.0, 2)
    assert (measured.age_p50_ms, measured.age_p95_ms, measured.age_p99_ms) == (300.0, 400.0, 400.0)
    assert (measured.embeddings_per_frame, measured.faces_per_frame) == (1.0, 2.0)
    assert measured.lag_p99_ms == 1.0


def test_answers_that_come_after_the_load_took_that_time_as_well() -> None:
    assert summary(Load(1, 2.0, 1.0), [seen(0.1, 1.1, sent=2, ended=2.0)], (1, 1), "").fps_answered == 1.0


def test_frames_that_failed_are_told_apart() -> None:
    measured = summary(Load(1, 2.0, 1.0), [seen(0.1, 0.1, sent=2, error="INTERNAL")], (1, 1), "")
    assert (measured.answered, measured.failed, measured.age_p95_ms) == (0, {"INTERNAL": 2}, None)
    assert measured.embeddings_per_frame == 0.0


def test_the_street_sways_and_comes_back_to_where_it_began() -> None:
    frames = street(2, 320)
    assert len(frames) == 8
    assert {size_of(frame) for frame in frames} == {(320, 180)}
    first, second, last = (decoded(frames[at]).astype(int) for at in (0, 1, -1))
    assert np.abs(first - second).mean() > 1
    assert np.abs(first - last).mean() < 2 * np.abs(first - second).mean()


@pytest.mark.parametrize(
    ("fps", "shown"), [(10, [0, 1, 2, 3, 2, 1]), (5, [0, 2]), (20, [0, 0, 1, 1, 2, 2, 3, 3, 3, 2, 2, 1, 1, 0])]
)
def test_a_video_is_shown_forwards_and_backwards_at_a_rate(tmp_path: Path, fps: float, shown: list[int]) -> None:
    film = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for value in range(4):
        writer.write(np.full((48, 64, 3), 50 * value, np.uint8))
    writer.release()
    assert [round(float(decoded(frame).mean()) / 50) for frame in filmed(film, fps, 64)] == shown


def test_what_is_no_video_is_told(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no film")
    with pytest.raises(OSError, match="it is no video"):
        filmed(file, 5, 64)
