"""Sources, and the frames that are read from a recording."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from facet.camera.errors import SourceError
from facet.camera.reader import Frame, FrameOptions, Pace, Reader
from facet.camera.source import parse_source

FPS, COUNT, WIDTH, HEIGHT = 20, 12, 64, 48
PATIENCE = 30.0


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A clip that grows brighter frame by frame."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (WIDTH, HEIGHT))
    for number in range(COUNT):
        writer.write(np.full((HEIGHT, WIDTH, 3), 20 * number, np.uint8))
    writer.release()
    return path


def options(*, fps: float = 0.0, width: int = 0, lossless: bool = True) -> FrameOptions:
    return FrameOptions(fps, width, 90, lossless)


def frames_of(film: Path, wanted: FrameOptions) -> list[Frame]:
    """All frames that are read from a film."""
    frames: list[Frame] = []
    problems: list[str] = []
    ended = threading.Event()

    def end(problem: str) -> None:
        problems.append(problem)
        ended.set()

    reader = Reader(parse_source(str(film)), wanted, None)
    assert reader.recorded
    reader.start(frames.append, end, lost=lambda _: problems.append("lost"), say=problems.append)
    assert ended.wait(PATIENCE)
    reader.close()
    assert problems == [""]
    return frames


def brightness(frames: list[Frame]) -> list[int]:
    return [round(float(frame.picture.mean()) / 20) for frame in frames]


def test_a_number_is_a_webcam() -> None:
    assert parse_source("1").target == 1


def test_the_name_of_an_address_has_no_password() -> None:
    source = parse_source("rtsp://user:secret@camera.example:554/stream1?token=abc")
    assert source.is_address
    assert source.name == "camera.example/stream1"
    assert source.target == "rtsp://user:secret@camera.example:554/stream1?token=abc"


@pytest.mark.parametrize("text", ["", "nowhere.mp4", "-1", "ftp://host/film.mp4", "rtsp://", "http://[/"])
def test_an_invalid_source_is_refused(text: str) -> None:
    with pytest.raises(SourceError):
        parse_source(text)


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no film")
    with pytest.raises(SourceError, match=r"cannot open notes\.txt: it is no video"):
        Reader(parse_source(str(file)), options(), None)


def test_every_frame_of_a_recording_comes_in_order_with_its_own_time(film: Path) -> None:
    frames = frames_of(film, options())
    assert brightness(frames) == list(range(COUNT))
    assert [frame.captured for frame in frames] == pytest.approx([number / FPS for number in range(COUNT)])


def test_a_rate_picks_frames_evenly(film: Path) -> None:
    assert brightness(frames_of(film, options(fps=FPS / 4))) == [0, 4, 8]


def test_a_recording_that_is_played_keeps_its_own_times(film: Path) -> None:
    frames = frames_of(film, options(lossless=False))
    assert brightness(frames) == list(range(COUNT))
    assert [frame.captured for frame in frames] == pytest.approx([number / FPS for number in range(COUNT)])


def test_frames_are_only_scaled_down_and_the_jpeg_shows_the_picture(film: Path) -> None:
    assert {frame.picture.shape for frame in frames_of(film, options(width=32))} == {(24, 32, 3)}
    frames = frames_of(film, options(width=1000))
    assert {frame.picture.shape for frame in frames} == {(HEIGHT, WIDTH, 3)}
    decoded = cv2.imdecode(np.frombuffer(frames[5].data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert np.abs(decoded.astype(int) - frames[5].picture).max() < 8


@pytest.mark.parametrize(("own", "rate"), [(25, 10), (30, 20), (30, 30), (30, 1), (10, 30)])
def test_a_pace_keeps_its_average_rate_whatever_the_source(own: int, rate: int) -> None:
    pace = Pace(rate)
    due = sum(pace.is_due(number / own) for number in range(10 * own))
    assert due == pytest.approx(10 * min(own, rate), abs=1)


def test_a_pace_does_not_catch_up_after_a_gap() -> None:
    pace = Pace(10)
    assert pace.is_due(0.0)
    assert pace.is_due(60.0)
    assert sum(pace.is_due(60 + number / 100) for number in range(1, 101)) <= 11
