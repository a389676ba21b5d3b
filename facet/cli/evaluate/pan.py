"""``facet evaluate pan``: make a labelled clip from the pictures that come with the models."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from facet.cli.demo import FOLDER, PACKAGE
from facet.runtime.models import packaged_path
from facet.runtime.pictures import decode
from facet.terminal import console, private_files
from facet.terminal.command_line.program import spelled
from facet.terminal.console import AsJson

SUBJECT = "yao-ming"

_SIZE = (640, 360)
_VIEW = (480, 270)
"""Size of the part of a picture that a frame shows, pixels."""
_FACE = (716.0, 128.0, 768.0, 194.0)
_MIDDLE = (722.0, 144.0, 762.0, 186.0)
_BODY = (670.0, 122.0, 822.0, 522.0)
"""His face in the picture of the squad, where the middle of its detection lies, and his body: xyxy pixels."""
_SQUAD_TOP, _OTHERS_TOP = 90, 0
_FIRST = 150.0
"""Left edge of the first view of the squad, which does not show him."""
_NEAR = 480
"""Left edge of a view of the squad with him in the middle."""
_PIECE = 0.25
"""Longest label while the view moves, seconds."""
_HOLD = 2.0
"""Seconds that the view stands still."""
_EARLY = 1e-3
"""Seconds by which labels begin before their frame, for rounding."""
_MOST_PIXELS = 4_000_000
_COLUMNS = ("start", "end", "subject", "face", "presence", "x1", "y1", "x2", "y2")

_Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _View:
    """What a frame shows.

    Attributes:
        squad: it shows the squad; otherwise the strangers.
        left: left edge of the view in the picture, pixels.
        presence: name of his presence here.
    """

    squad: bool
    left: float
    presence: str

    @property
    def face(self) -> str:
        """His face: "visible", "hidden" if only a part of him is in the view, empty if he is not."""
        if not self.squad:
            return ""
        right = self.left + _VIEW[0]
        if self.left <= _FACE[0] and _FACE[2] <= right:
            return "visible"
        return "hidden" if self.left < _BODY[2] and _BODY[0] < right else ""

    @property
    def region(self) -> tuple[float, float, float, float]:
        """Where the middle of his face is, or his body if the face is hidden: xyxy pixels of the frame."""
        x1, y1, x2, y2 = _MIDDLE if self.face == "visible" else _BODY
        scale = _SIZE[0] / _VIEW[0]
        return (x1 - self.left) * scale, (y1 - _SQUAD_TOP) * scale, (x2 - self.left) * scale, (y2 - _SQUAD_TOP) * scale


def pan(
    folder: Annotated[Path, typer.Argument(help="Folder to write clip.mp4, labels.csv and people/ to.")],
    fps: Annotated[float, typer.Option(min=1, max=60, help="Frames per second.")] = 15.0,
    pace: Annotated[
        float, typer.Option(min=10, max=1000, help="Speed of the pan, pixels of the picture per second.")
    ] = 120.0,
    as_json: AsJson = False,
) -> None:
    """Make a labelled clip for [b]facet evaluate tracks[/b] from the pictures that come with the models.

    The view pans over a squad and back, cuts to three other people, and returns. The folder people/ has one man to
    enrol; everybody else is a stranger.

    [b]Example[/b]

      facet evaluate pan clip/

    Exit code: 0 done, 1 failed, 2 bad usage.
    """
    squad, others = _picture("players.jpg"), _picture("gdp.jpg")
    portrait = packaged_path(PACKAGE, f"{FOLDER}/yaoming.jpg")
    views = list(_views(fps, pace, squad.shape[1]))
    person = folder / "people" / SUBJECT
    clip, labels = folder / "clip.mp4", folder / "labels.csv"
    try:
        private_files.make_folder(person)
        private_files.write(person / portrait.name, portrait.read_bytes())
        private_files.write(labels, _labels(views, fps))
        private_files.make_empty(clip)
    except OSError as error:
        console.fail(f"cannot write to {folder}: {error.strerror}", console.USAGE)
    _write(clip, views, fps, squad, others)
    said = {"video": str(clip), "labels": str(labels), "gallery": str(person.parent), "frames": len(views)}
    if as_json:
        console.print_json(said)
        return
    console.out.print(f"{len(views)} frames, {len(views) / fps:.1f} s; to evaluate with it:")
    flags = " ".join(f"--{name} {shlex.quote(str(said[name]))}" for name in ("video", "labels", "gallery"))
    console.out.print(f"{spelled('facet evaluate tracks')} {flags}")


def _picture(name: str) -> _Picture:
    return decode(packaged_path(PACKAGE, f"{FOLDER}/{name}").read_bytes(), max_pixels=_MOST_PIXELS)


def _views(fps: float, pace: float, width: int) -> Iterator[_View]:
    there = np.arange(_FIRST, width - _VIEW[0], pace / fps)
    yield from (_View(True, float(left), "there") for left in there)
    yield from (_View(True, float(left), "and back") for left in there[::-1])
    still = round(_HOLD * fps)
    yield from (_View(False, 0.0, "") for _ in range(still))
    yield from (_View(True, float(_NEAR + each), "after a cut") for each in range(still))


def _labels(views: Sequence[_View], fps: float) -> str:
    text = io.StringIO()
    text.write("# made by facet evaluate pan: one man among strangers, and three other strangers\n")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(_COLUMNS)
    for first, last in _pieces(views, max(1, round(_PIECE * fps))):
        start, end = (f"{max(0.0, place / fps - _EARLY):.4f}" for place in (first, last + 1))
        view = views[first]
        if view.face:
            (x1, y1, x2, y2), (left, _, right, _) = view.region, views[last].region
            region = (f"{corner:.1f}" for corner in (min(x1, left), y1, max(x2, right), y2))
            rows.writerow([start, end, SUBJECT, view.face, view.presence, *region])
    rows.writerow([0, f"{len(views) / fps:.4f}", "", "", "", "", "", "", ""])
    return text.getvalue()


def _pieces(views: Sequence[_View], most: int) -> Iterator[tuple[int, int]]:
    """First and last frames of stretches with the same label, of at most ``most`` frames."""
    for _, group in groupby(enumerate(views), key=lambda each: (each[1].face, each[1].presence)):
        places = [place for place, _ in group]
        yield from ((places[at], places[min(at + most, len(places)) - 1]) for at in range(0, len(places), most))


def _write(clip: Path, views: Sequence[_View], fps: float, squad: _Picture, others: _Picture) -> None:
    file = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), fps, _SIZE)
    if not file.isOpened():
        console.fail(f"cannot write {clip}")
    try:
        for view in views:
            picture, top = (squad, _SQUAD_TOP) if view.squad else (others, _OTHERS_TOP)
            middle = (view.left + (_VIEW[0] - 1) / 2, top + (_VIEW[1] - 1) / 2)
            shown = cv2.getRectSubPix(picture, _VIEW, middle)
            file.write(cv2.resize(shown, _SIZE, interpolation=cv2.INTER_LINEAR))
    finally:
        file.release()
