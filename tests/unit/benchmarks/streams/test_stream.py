"""How the runs of simulated cameras are summarised, and the scenes that they show."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from facet.benchmarks.serving.pictures import decoded
from facet.benchmarks.streams.cameras import Answer, CameraRun, Load
from facet.benchmarks.streams.scenes import filmed, size_of, street
from facet.benchmarks.streams.stream import summary


def run(*ages: float, sent: int, dropped: int = 0, error: str = "", ended: float = 1.0) -> CameraRun:
    return CameraRun(sent, [Answer(age, 1, 2, error) for age in ages], dropped, [0.001] * sent, ended)


def test_runs_of_all_cameras_are_summarised() -> None:
    cameras = [run(0.1, 0.2, sent=4, dropped=2), run(0.3, 0.4, sent=2)]
    measured = summary(Load(2, 3.0, 1.0), cameras, (640, 360), "street")
    assert (measured.cameras, measured.fps_in, measured.fps_answered, measured.dropped) == (2, 6.0, 4.0, 2)
    assert (measured.age_p50_ms, measured.age_p95_ms, measured.age_p99_ms) == (300.0, 400.0, 400.0)
    assert (measured.embeddings_per_frame, measured.faces_per_frame) == (1.0, 2.0)
    assert measured.lag_p99_ms == 1.0


def test_answers_after_the_end_of_the_load_lower_the_answered_rate() -> None:
    assert summary(Load(1, 2.0, 1.0), [run(0.1, 1.1, sent=2, ended=2.0)], (1, 1), "").fps_answered == 1.0


def test_failed_frames_are_counted_by_reason_and_not_as_answered() -> None:
    measured = summary(Load(1, 2.0, 1.0), [run(0.1, 0.1, sent=2, error="INTERNAL")], (1, 1), "")
    assert (measured.answered, measured.failed, measured.age_p95_ms) == (0, {"INTERNAL": 2}, None)
    assert measured.embeddings_per_frame == 0.0


def test_the_street_moves_and_returns_to_its_start() -> None:
    frames = street(2, 320)
    assert len(frames) == 8
    assert {size_of(frame) for frame in frames} == {(320, 180)}
    first, second, last = (decoded(frames[at]).astype(int) for at in (0, 1, -1))
    assert np.abs(first - second).mean() > 1
    assert np.abs(first - last).mean() < 2 * np.abs(first - second).mean()


@pytest.mark.parametrize(
    ("fps", "shown"), [(10, [0, 1, 2, 3, 2, 1]), (5, [0, 2]), (20, [0, 0, 1, 1, 2, 2, 3, 3, 3, 2, 2, 1, 1, 0])]
)
def test_a_video_is_shown_forwards_and_backwards_at_the_rate(tmp_path: Path, fps: float, shown: list[int]) -> None:
    film = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for value in range(4):
        writer.write(np.full((48, 64, 3), 50 * value, np.uint8))
    writer.release()
    assert [round(float(decoded(frame).mean()) / 50) for frame in filmed(film, fps, 64)] == shown


def test_a_file_that_is_not_a_video_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a video")
    with pytest.raises(OSError, match="it is not a video"):
        filmed(file, 5, 64)
