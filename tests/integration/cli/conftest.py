"""Run the scripts as a person or a program does, and a folder of people to run them on."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from facet import Client, picture
from facet.runtime.pictures import decode
from facet.v1 import recognition_service_pb2 as recognition_pb

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving

ROOT = Path(__file__).resolve().parents[3]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(server: Serving, tmp_path: Path) -> Run:
    """Run a script against the server, in an empty folder and without a terminal."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}
    environment["FACET_ADDRESS"] = server.address

    def start(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "scripts" / script), *map(str, arguments)]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )

    return start


@pytest.fixture
def new_gallery() -> str:
    """The id of a gallery that does not exist yet."""
    return f"g{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def squad(client: Client, pictures: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sub-folder per person, holding the same pictures of five players again and again."""
    folder = tmp_path_factory.mktemp("squad")
    found = client.recognition.AnalyzeFaces(recognition_pb.AnalyzeFacesRequest(picture=picture(pictures.players))).faces
    whole = decode(pictures.players, max_pixels=1 << 24)
    for number, face in enumerate(found[:5]):
        box = face.face.box
        width, height = box.x2 - box.x1, box.y2 - box.y1
        top, left = max(0, round(box.y1 - height)), max(0, round(box.x1 - width))
        data = cv2.imencode(".png", whole[top : round(box.y2 + height), left : round(box.x2 + width)])[1].tobytes()
        for again in range(number, 55, 5):
            (folder / f"player-{again:02}").mkdir()
            for picture_of in range(2):
                (folder / f"player-{again:02}" / f"{picture_of}.png").write_bytes(data)
    return folder


@pytest.fixture
def people(tmp_path: Path, pictures: Pictures) -> Path:
    """A folder of people: one good picture, and one for each reason to reject a picture."""
    folder = tmp_path / "people"
    portrait = cv2.imdecode(np.frombuffer(pictures.yaoming, np.uint8), cv2.IMREAD_COLOR)
    assert portrait is not None
    files = {
        "Yao Ming/portrait.jpg": pictures.yaoming,
        "Yao Ming/small.png": _png(cv2.resize(portrait, None, fx=0.22, fy=0.22, interpolation=cv2.INTER_AREA)),
        "Yao Ming/blurred.png": _png(cv2.GaussianBlur(portrait, (0, 0), 7)),
        "Crowd/squad.jpg": pictures.players,
        "Nobody/wall.png": _png(np.full((240, 320, 3), 200, np.uint8)),
        "Broken/truncated.jpg": pictures.yaoming[: len(pictures.yaoming) // 2],
    }
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def _png(picture: Any) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()
