from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.datasets.video import read_clip

RATE, COUNT = 10, 12


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Frames that grow lighter, ten a second."""
    path = tmp_path / "clip.avi"
    file = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (64, 48))
    for at in range(COUNT):
        file.write(np.full((48, 64, 3), 20 * at, np.uint8))
    file.release()
    return path


def test_all_frames_are_read_with_the_times_of_the_file(video: Path) -> None:
    clip = read_clip(video)
    assert clip.times == pytest.approx([at / RATE for at in range(COUNT)])
    assert clip.end == pytest.approx(COUNT / RATE)
    assert clip.size == (64, 48)
    light = [float(frame.mean()) for frame in clip.frames()]
    assert light == pytest.approx([20 * at for at in range(COUNT)], abs=3)


def test_a_lower_frame_rate_takes_the_first_frame_that_is_due(video: Path) -> None:
    clip = read_clip(video, fps=4)
    assert clip.places == (0, 3, 5, 8, 10)
    assert clip.end == pytest.approx(COUNT / RATE)
    assert [float(frame.mean()) for frame in clip.frames()] == pytest.approx([0, 60, 100, 160, 200], abs=3)
    assert read_clip(video, fps=100).places == tuple(range(COUNT))


def test_a_file_that_is_not_a_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="there is no such file"):
        read_clip(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(LabelError, match="is no video that can be decoded"):
        read_clip(tmp_path / "text.mp4")


def test_a_clip_that_changes_during_the_run_is_refused(video: Path) -> None:
    clip = read_clip(video)
    video.write_text("no video")
    with pytest.raises(LabelError, match="has no frame 0 any more"):
        list(clip.frames())
