"""Commands that decode pictures themselves have no limit of Pillow's. The clients are stand-ins: no server runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from facet.cli.evaluate.app import app as evaluate
from facet.cli.identify import app as identify
from facet.terminal.connection import Connection
from facet.v1 import recognition_service_pb2 as pb
from facet.v1 import server_service_pb2, types_pb2

WIDTH, HEIGHT = 640, 480


class Server:
    """Answers that a picture shows nobody.

    Args:
        width: of every picture, in pixels.
    """

    def __init__(self, width: int) -> None:
        self._width = width

    def get_server_info(self) -> server_service_pb2.GetServerInfoResponse:
        return server_service_pb2.GetServerInfoResponse(limits=server_service_pb2.Limits(max_message_bytes=2**20))

    def identify(self, *_: object, **__: object) -> pb.IdentifyResponse:
        return pb.IdentifyResponse(picture_size=types_pb2.PictureSize(width=self._width, height=HEIGHT))


@pytest.fixture(autouse=True)
def pillow_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set Pillow's limit far below every picture here; it refuses pictures of twice the limit."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)


def identified(folder: Path, monkeypatch: pytest.MonkeyPatch, *, width: int) -> tuple[int, str]:
    """Run ``identify --out`` with two pictures and a server that calls them this wide."""

    @contextmanager
    def connect(*_: object) -> Iterator[Server]:
        yield Server(width)

    monkeypatch.setattr(Connection, "open", connect)
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    done = CliRunner().invoke(identify, [str(folder), "--out", str(folder / "out"), "--json"])
    return done.exit_code, done.stderr


def test_identify_draws_a_picture_over_the_limit_of_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert identified(tmp_path, monkeypatch, width=WIDTH) == (0, "")
    drawn = cv2.imread(str(tmp_path / "out" / "a.png.jpg"))
    assert drawn is not None
    assert drawn.shape == (HEIGHT, WIDTH, 3)


def test_identify_reports_pictures_that_it_cannot_draw_on_in_a_line_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = identified(tmp_path, monkeypatch, width=WIDTH // 2)
    assert code == 1
    assert said.count("cannot draw the names: it is 640x480, and the answer is for 320x480") == 2
    assert "Traceback" not in said


def test_evaluations_decode_pictures_over_the_limit_of_pillow(tmp_path: Path) -> None:
    done: Any = CliRunner().invoke(evaluate, ["pan", str(tmp_path / "it's here"), "--fps", "1", "--json"])
    assert done.exit_code == 0, done.output
    assert Image.MAX_IMAGE_PIXELS is None
