"""What becomes of a camera's answers: an annotated video, events as JSON lines, a window."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.camera.stream_statistics import EVENTS, named
from facet.v1 import recognition_service_pb2 as pb

_LONGEST_STILL = 2.0
"""Seconds for which a picture stands where no further one comes; a longer gap is as short as this in the video."""
_ESCAPE = 27
_PROBE_SECONDS = 30


class OutputError(Exception):
    """An output cannot be made. The message is one line for people."""


class Video:
    """An MP4 file of pictures with their times: each stands until the next one, so that the video keeps time.

    The first picture says of what size all are. The file can be played once it is closed.

    Args:
        path: the file.
        fps: frames a second.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path, fps: float) -> None:
        with _writing(path):
            path.open("wb").close()
        self._path, self._fps = path, fps
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._zero, self._place = 0.0, 0
        self._last: NDArray[np.uint8] | None = None

    def add(self, picture: NDArray[np.uint8], seconds: float) -> None:
        """Add a picture, BGR ``(h, w, 3)``, by its time, which rises.

        Raises:
            OutputError: it cannot be written.
        """
        if self._last is None:
            self._begin(picture, seconds)
        else:
            longest = round(_LONGEST_STILL * self._fps)
            stands = round((seconds - self._zero) * self._fps) - self._place
            if stands > longest:
                self._zero += (stands - longest) / self._fps
                stands = longest
            if stands < 0:
                self._zero += stands / self._fps
                stands = 0
            for _ in range(stands):
                self._write(self._last)
            self._place += stands
        self._last = picture

    def close(self) -> None:
        """Bring the file into its last form; without a picture there is none."""
        if self._writer is None or self._last is None:
            self._path.unlink(missing_ok=True)
            return
        self._write(self._last)
        self._writer.release()

    def _begin(self, picture: NDArray[np.uint8], seconds: float) -> None:
        self._size = picture.shape[1] & ~1, picture.shape[0] & ~1  # MPEG-4 has no odd sizes
        self._zero = seconds
        self._writer = cv2.VideoWriter(str(self._path), cv2.VideoWriter.fourcc(*"mp4v"), self._fps, self._size)
        if not self._writer.isOpened():
            raise OutputError(f"cannot write {self._path}: OpenCV makes no video of {self._size} pixels in such a file")

    def _write(self, picture: NDArray[np.uint8]) -> None:
        assert self._writer is not None  # noqa: S101 - a picture is kept only once it is
        if picture.shape[1::-1] != self._size:
            picture = np.asarray(cv2.resize(picture, self._size), np.uint8)
        self._writer.write(picture)


class Events:
    """A file of JSON lines, each written as it comes; lines that were in it stay.

    Args:
        path: the file.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with _writing(path):
            self._file = path.open("a", encoding="utf-8")

    def add(self, row: dict[str, Any]) -> None:
        """Write a line.

        Raises:
            OutputError: it cannot be written.
        """
        with _writing(self._path):
            self._file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class Window:
    """A window on this machine's screen.

    Args:
        title: of the window.

    Raises:
        OutputError: there is no screen, or OpenCV has no windows.
    """

    def __init__(self, title: str) -> None:
        # Where there is no screen, Qt ends its process: so another one tries first.
        trial = [sys.executable, "-c", "import cv2; cv2.namedWindow('trial')"]
        if subprocess.run(trial, capture_output=True, timeout=_PROBE_SECONDS, check=False).returncode:
            raise OutputError("--show needs a screen, and there is none here: write a video with --out instead")
        self._title = title
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)

    def show(self, picture: NDArray[np.uint8]) -> bool:
        """Show a picture, BGR ``(h, w, 3)``; false once the window was closed, or q or Escape pressed."""
        cv2.imshow(self._title, picture)
        pressed = cv2.waitKey(1) & 0xFF
        return pressed not in (ord("q"), _ESCAPE) and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Close it."""
        cv2.destroyAllWindows()


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where answers go; each may be nowhere."""

    video: Video | None = None
    events: Events | None = None
    window: Window | None = None


@contextmanager
def opened(video: Path | None, events: Path | None, title: str | None, fps: float) -> Iterator[Outputs]:
    """The outputs: a video of that rate, events, and a window of that title.

    Raises:
        OutputError: one of them cannot be made.
    """
    with ExitStack() as stack:
        window = stack.enter_context(closing(Window(title))) if title is not None else None
        lines = stack.enter_context(closing(Events(events))) if events is not None else None
        film = stack.enter_context(closing(Video(video, fps))) if video is not None else None
        yield Outputs(film, lines, window)


def event_row(
    camera: str, connection: int, frame_id: int, event: pb.TrackEvent, seconds: float, *, recorded: bool
) -> dict[str, Any]:
    """An event as a line of JSON has it. Of a recording it has no time of day, so that it is the same in every run."""
    return {
        "seconds": round(seconds, 3),
        "time": None if recorded else event.time.ToDatetime(UTC).isoformat(timespec="milliseconds"),
        "camera": camera,
        "connection": connection,
        "frame_id": frame_id,
        "event": EVENTS[event.kind],
        "track_id": event.track_id,
        "subject_id": event.subject_id or None,
        "display_name": event.display_name or None,
        "previous_subject_id": event.previous_subject_id or None,
        "similarity": round(event.similarity, 4) if event.HasField("similarity") else None,
    }


def event_line(event: pb.TrackEvent, seconds: float, *, recorded: bool) -> str:
    """An event for people."""
    when = f"{seconds:9.2f} s" if recorded else f"{event.time.ToDatetime(UTC).astimezone():%H:%M:%S}"
    name, similarity = named(event), f", similarity {event.similarity:.2f}" if event.HasField("similarity") else ""
    if event.kind == pb.TRACK_EVENT_KIND_APPEARED:
        said = "appeared"
    elif event.kind == pb.TRACK_EVENT_KIND_LEFT:
        said = f"left: {name}" if name else "left"
    elif event.kind == pb.TRACK_EVENT_KIND_IDENTIFIED:
        said = f"is {name}{similarity}"
    else:
        said = f"is {name}{similarity}, not {event.previous_subject_id}" if name else "has no name any more"
    return f"{when}  #{event.track_id} {said}"


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
