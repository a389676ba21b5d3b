"""``facet identify``: say who is in pictures, as tables, lines of JSON, or pictures with names drawn."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import cv2
import typer

from facet import FacetError, picture
from facet.cli.shared import choices
from facet.client.errors import StatusCode
from facet.client.retry import GALLERY_UNUSABLE, retry_while_busy
from facet.evaluation.calls import reason_of
from facet.runtime.pictures import InvalidPicture, PictureError, decode
from facet.runtime.process import configure_for_pictures
from facet.terminal import console, private_files
from facet.terminal.command_line.help import Command
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.pictures.drawing import draw_faces, without_fonts
from facet.terminal.pictures.files import Unsendable, find_pictures, most_bytes, read, tell
from facet.terminal.pictures.folders import CANNOT_READ, LeftOut
from facet.terminal.rendering import as_dict, faces_table
from facet.terminal.visible import one_line
from facet.v1 import recognition_service_pb2 as pb

SERVER_GONE = frozenset({StatusCode.UNAVAILABLE, StatusCode.UNAUTHENTICATED})
"""Status codes after which no other picture can be answered, either."""

_MAX_PIXELS = 1_000_000_000
"""Of a picture to draw on. The server has taken it already."""

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command(cls=Command)
@grouped_options
def main(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.", show_default=False)],
    gallery: Annotated[str, typer.Option(help="The gallery to search.")] = "default",
    top_k: choices.TopK = 5,
    threshold: choices.Threshold = None,
    face: choices.Face = "",
    distinct_subjects: choices.DistinctSubjects = False,
    thorough: choices.Thorough = False,
    turn: choices.TurnOption = "auto",
    out: Annotated[
        Path | None, typer.Option(help="Folder for copies of the pictures with boxes and names drawn.")
    ] = None,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Say who is in pictures.

    Prints a table for each picture, or with [b]--json[/b] a line of JSON. If a picture fails, the line has an error
    with reason and message, and the command continues with the next picture. It waits while the server is busy.

    Pictures may be any way up. If a face was upright only after a turn, the table shows the turn in degrees, clockwise;
    boxes are those of the picture as it is. With [b]--turn[/b] you give the turn of all pictures. Small faces in a
    large picture may be missed: the last line says below which height, and [b]--thorough[/b] looks for smaller ones.

    Of a folder, hidden files and files that are no pictures are left out and named; with [b]--json[/b], each is a line
    with [i]path[/i] and [i]left_out[/i].

    With [b]--json[/b] each face has an [i]answer_id[/i]. To say afterwards whether the answer was right, type
    [b]facet outcome GALLERY ANSWER_ID right[/b], or [b]wrong[/b].

    [b]Examples[/b]

      facet identify squad.jpg --gallery team
      facet identify photos/ --gallery team --out named/
      facet identify panorama.jpg --gallery team --thorough
      facet identify photos/ --gallery team --json > found.jsonl

    Exit code: 0 every picture was answered and drawn, 1 some failed, 2 bad usage.
    """
    configure_for_pictures()
    left_out: list[LeftOut] = []
    found = {
        path: path.relative_to(source) if source.is_dir() else Path(path.name)
        for source in pictures
        for path in find_pictures([source], left_out)
    }
    tell(left_out)
    if not found:
        console.fail("there are no pictures in " + ", ".join(map(str, pictures)), console.USAGE)
    choice = choices.parse(face)
    if as_json:
        for each in left_out:
            console.print_json({"path": str(each.path), "left_out": each.reason})
    failures = sum(each.reason == CANNOT_READ for each in left_out)
    with connection.open() as client, console.progress("identifying", len(found)) as bar:
        most, said = most_bytes(client), ""
        for path, name in found.items():
            try:
                data = read(path, most)
                response = retry_while_busy(
                    partial(
                        client.identify,
                        gallery,
                        picture(data, turn=choices.parse_turn(turn)),
                        top_k=top_k,
                        threshold=threshold,
                        face=choice,
                        distinct_subjects=distinct_subjects,
                        search=choices.search(thorough=thorough),
                    )
                )
            except Unsendable as error:
                failures += 1
                _report_failure(path, error.reason, error.message, as_json=as_json)
            except FacetError as error:
                if error.code in SERVER_GONE or error.reason in GALLERY_UNUSABLE:
                    raise
                failures += 1
                _report_failure(path, reason_of(error), error.message, as_json=as_json)
            else:
                if as_json:
                    console.print_json({"path": str(path), **as_dict(response)})
                else:
                    console.out.print(faces_table(str(path), response, thorough=thorough))
                if out is not None and not _draw(path, data, response, out / name):
                    failures += 1
                if out is not None and not said and (said := without_fonts(_names(response))):
                    console.err.print(said)
            bar.advance(bar.task_ids[0])
    raise typer.Exit(console.FAILED if failures else console.DONE)


def _report_failure(path: Path, reason: str, message: str, *, as_json: bool) -> None:
    if as_json:
        console.print_json({"path": str(path), "error": {"reason": reason, "message": message}})
    console.err.print(f"{one_line(str(path))}: {reason}: {message}")


def _names(response: pb.IdentifyResponse) -> list[str]:
    return [face.identification.candidates[0].display_name for face in response.faces if face.identification.candidates]


def _draw(path: Path, data: bytes, response: pb.IdentifyResponse, target: Path) -> bool:
    """Write a copy with names, as a JPEG; reports a picture that cannot be decoded here, and returns False."""
    size = response.picture_size
    try:
        picture = decode(data, max_pixels=_MAX_PIXELS)
        if picture.shape != (size.height, size.width, 3):
            height, width = picture.shape[:2]
            raise InvalidPicture(f"it is {width}x{height}, and the answer is for {size.width}x{size.height}")
    except PictureError as error:
        console.err.print(f"{one_line(str(path))}: cannot draw the names: {error}")
        return False
    if target.suffix.lower() not in (".jpg", ".jpeg"):
        target = target.with_name(f"{target.name}.jpg")
    try:
        private_files.make_folder(target.parent)
        private_files.write(target, cv2.imencode(".jpg", draw_faces(picture, list(response.faces)))[1].tobytes())
    except OSError as error:
        console.fail(f"cannot write {target}: {error.strerror}")
    return True
