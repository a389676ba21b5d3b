"""Where a camera's answers go: a video, a file of events, a window."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from facet.camera.errors import OutputError, writing
from facet.camera.window import Window
from facet.terminal import private_files
from facet.terminal.visible import json_line

if TYPE_CHECKING:
    from facet.camera.video import VideoFile

STANDARD_OUTPUT = Path("-")
"""Stands for standard output in place of a file of events."""


class EventFile:
    """A file of JSON lines. Each line is written at once; lines that were in the file stay.

    Args:
        path: the file; :data:`STANDARD_OUTPUT` for standard output.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._is_standard = path == STANDARD_OUTPUT
        self._name = "standard output" if self._is_standard else path
        with writing(self._name):
            self._file = sys.stdout if self._is_standard else _appending(path)

    def add(self, row: dict[str, Any]) -> None:
        """Write a line.

        Raises:
            OutputError: it cannot be written.
        """
        with writing(self._name):
            self._file.write(json_line(row) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file; standard output stays open."""
        if not self._is_standard:
            self._file.close()


def _appending(path: Path) -> TextIO:
    return os.fdopen(private_files.open_descriptor(path, os.O_WRONLY | os.O_APPEND), "a", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where answers go; each output is optional."""

    video: VideoFile | None = None
    events: EventFile | None = None
    window: Window | None = None


@contextmanager
def open_outputs(video: Path | None, events: Path | None, title: str | None, fps: float) -> Iterator[Outputs]:
    """Open the outputs.

    Args:
        video: the file of a video; ``None`` for none.
        events: the file of events; :data:`STANDARD_OUTPUT` for standard output, ``None`` for none.
        title: the title of a window; ``None`` for none.
        fps: frames per second of the video.

    Raises:
        OutputError: one of them cannot be opened.
    """
    with ExitStack() as stack:
        window = stack.enter_context(closing(Window(title))) if title is not None else None
        event_file = stack.enter_context(closing(EventFile(events))) if events is not None else None
        video_file = stack.enter_context(closing(_open_video(video, fps))) if video is not None else None
        yield Outputs(video_file, event_file, window)


def _open_video(path: Path, fps: float) -> VideoFile:
    try:
        from facet.camera.video import VideoFile
    except ImportError:
        raise OutputError("writing a video needs PyAV, which is not installed") from None
    return VideoFile(path, fps)
