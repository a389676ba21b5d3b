"""Say who is in pictures: a table, JSON lines, or the pictures with names drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cv2
import typer

from facet import FacetError
from facet.requests import identify_request
from facet.v1 import recognition_service_pb2 as pb
from runtime.pictures import PictureError, decode
from scripts import choices, console
from scripts.drawing import draw_faces
from scripts.rendering import as_dict, faces_table

OF_A_PICTURE = frozenset({"INVALID_PICTURE", "PICTURE_TOO_LARGE", "FACE_NOT_FOUND"})
"""Reasons after which the next picture may be fine."""

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command()
def main(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.", show_default=False)],
    gallery: Annotated[str, typer.Option(help="The gallery to search.")] = "default",
    top_k: Annotated[int, typer.Option(min=1, max=100, help="How many subjects to name per face.")] = 5,
    threshold: Annotated[
        float | None, typer.Option(min=-1, max=1, help="Decide by this similarity instead of the gallery's.")
    ] = None,
    face: choices.Face = "",
    out: Annotated[Path | None, typer.Option(help="Folder for copies of the pictures with names drawn.")] = None,
    address: console.Address = console.DEFAULT_ADDRESS,
    token: console.Token = "",
    root_certificates: console.RootCertificates = None,
    as_json: console.AsJson = False,
) -> None:
    """Say who is in pictures.

    Prints a table for each picture, or with [b]--json[/b] a line of JSON, and goes on where one cannot be read.

    [b]Examples[/b]

      identify.py squad.jpg --gallery team
      identify.py photos/ --gallery team --out named/
      identify.py photos/ --gallery team --json > found.jsonl

    Exit code: 0 all were answered, 1 some were not, 2 bad usage.
    """
    found = console.find_pictures(pictures)
    if not found:
        console.fail("there are no pictures in " + ", ".join(map(str, pictures)), console.USAGE)
    choice = choices.parse(face)
    failures = 0
    with (
        console.connect(address, token, root_certificates) as client,
        console.progress("identifying", len(found)) as bar,
    ):
        for path in found:
            try:
                data = path.read_bytes()
                request = identify_request(gallery, data, top_k=top_k, threshold=threshold, face=choice)
                response = client.recognition.Identify(request)
            except (FacetError, OSError) as error:
                if isinstance(error, FacetError) and error.reason not in OF_A_PICTURE:
                    raise
                failures += 1
                _say_failed(path, error, address, as_json=as_json)
            else:
                if as_json:
                    console.print_json({"path": str(path), **as_dict(response)})
                else:
                    console.out.print(faces_table(str(path), response))
                if out is not None:
                    _draw(path, data, response, out)
            bar.advance(bar.task_ids[0])
    raise typer.Exit(console.FAILED if failures else console.DONE)


def _say_failed(path: Path, error: FacetError | OSError, address: str, *, as_json: bool) -> None:
    message = console.explained(error, address) if isinstance(error, FacetError) else str(error.strerror)
    if as_json:
        reason = error.reason or error.code.name if isinstance(error, FacetError) else "CANNOT_READ"
        console.print_json({"path": str(path), "error": {"reason": reason, "message": message}})
    console.err.print(f"{path}: {message}", markup=False, soft_wrap=True)


def _draw(path: Path, data: bytes, response: pb.IdentifyResponse, folder: Path) -> None:
    """Write a copy with names; the service has decoded the picture already, so this one can as well."""
    folder.mkdir(parents=True, exist_ok=True)
    size = response.picture_size
    try:
        picture = decode(data, max_pixels=size.width * size.height)
    except PictureError as error:
        console.fail(f"{path}: {error}")
    target = folder / f"{path.stem}.jpg"
    if not cv2.imwrite(str(target), draw_faces(picture, list(response.faces))):
        console.fail(f"cannot write {target}")


if __name__ == "__main__":
    app()
