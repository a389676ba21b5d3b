"""The video that a camera writes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facet.camera.errors import OutputError
from facet.camera.video import VideoFile

FPS = 10.0


def grey(value: int, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    return np.full((height, width, 3), value, np.uint8)


def written(path: Path) -> list[int]:
    """The grey of every frame of a video, to the nearest 50."""
    capture = cv2.VideoCapture(str(path))
    values: list[int] = []
    while True:
        found, picture = capture.read()
        if not found or picture is None:
            return values
        values.append(50 * round(float(np.asarray(picture).mean()) / 50))


def test_the_video_plays_in_browsers(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    video = VideoFile(path, 12.5)
    for number in range(5):
        video.add(grey(50 * number, 65, 49), number / 12.5)
    video.close()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (64, 48)
        assert (stream.average_rate, stream.frames) == (Fraction(25, 2), 5)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "the index comes first"


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (17, 999)])
def test_pictures_may_have_odd_sizes(tmp_path: Path, width: int, height: int) -> None:
    video = VideoFile(tmp_path / "out.mp4", FPS)
    video.add(grey(100, width, height), 0.0)
    video.close()
    assert written(tmp_path / "out.mp4") == [100]


@pytest.mark.parametrize("name", ["out.nonsense", "out", "out.avi"])
def test_a_video_needs_a_known_suffix(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"ends in \.mp4"):
        VideoFile(tmp_path / name, FPS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["mov", "mkv", "MP4"])
def test_other_containers_hold_the_same_video(tmp_path: Path, suffix: str) -> None:
    video = VideoFile(tmp_path / f"out.{suffix}", FPS)
    video.add(grey(100), 0.0)
    video.close()
    assert written(tmp_path / f"out.{suffix}") == [100]


@pytest.mark.parametrize("name", ["no-such-folder/out.mp4", ".", "folder.mp4"])
def test_a_video_that_cannot_be_written_is_refused_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        VideoFile(tmp_path / name, FPS)


def test_a_picture_is_repeated_until_the_next_one(tmp_path: Path) -> None:
    video = VideoFile(tmp_path / "out.mp4", FPS)
    for value, seconds in ((0, 5.0), (50, 5.1), (100, 5.2), (200, 5.5)):
        video.add(grey(value), seconds)
    video.close()
    assert written(tmp_path / "out.mp4") == [0, 50, 100, 100, 100, 200]


def test_a_long_gap_is_cut_down(tmp_path: Path) -> None:
    video = VideoFile(tmp_path / "out.mp4", FPS)
    for value, seconds in ((0, 0.0), (50, 3600.0), (100, 3600.1)):
        video.add(grey(value), seconds)
    video.close()
    assert written(tmp_path / "out.mp4") == [0] * 20 + [50, 100]


def test_of_pictures_within_one_frame_the_last_is_kept(tmp_path: Path) -> None:
    video = VideoFile(tmp_path / "out.mp4", FPS)
    for value, seconds in ((0, 0.0), (50, 0.1), (100, 0.12), (150, 0.2)):
        video.add(grey(value), seconds)
    video.close()
    assert written(tmp_path / "out.mp4") == [0, 100, 150]


def test_the_first_picture_determines_the_size(tmp_path: Path) -> None:
    video = VideoFile(tmp_path / "out.mp4", FPS)
    video.add(grey(50, 65, 49), 0.0)
    video.add(grey(100, 128, 40), 0.1)
    video.close()
    assert written(tmp_path / "out.mp4") == [50, 100]


def test_without_pictures_there_is_no_file(tmp_path: Path) -> None:
    VideoFile(tmp_path / "out.mp4", FPS).close()
    assert list(tmp_path.iterdir()) == []
