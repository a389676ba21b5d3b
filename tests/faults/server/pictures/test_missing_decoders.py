"""A server without the libraries of some formats serves the others, and says what to install for these."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import Client, InvalidArgument, picture
from facet.v1 import recognition_service_pb2 as pb
from facet.v1 import server_service_pb2 as server_pb
from tests.unit.runtime.pictures.samples import encode

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve

HIDING = """
import sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        hidden = name.partition(".")[0] in ("pillow_heif", "imagecodecs")
        return None if hidden else super().find_spec(name, path, target)

sys.meta_path = [Hiding if finder is PathFinder else finder for finder in sys.meta_path]
"""
"""Python imports a module sitecustomize when it starts, in the server and in its decoders."""
JXL = b"\xff\x0a\x7a\x0a" + bytes(60)


def test_formats_whose_library_is_missing_are_refused_with_its_name(
    serve: Serve, pictures: Pictures, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDING, "utf-8")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    serving = serve("--models.objects", "none", environment={"PYTHONPATH": path})
    with Client(serving.address) as client:
        formats = client.server.GetServerInfo(server_pb.GetServerInfoRequest()).picture_formats
        assert not {"HEIF", "JXL"} & set(formats)
        assert {"JPEG", "AVIF"} <= set(formats)
        for data, said in ((encode("HEIF"), "no HEIF until pillow-heif"), (JXL, "no JXL until imagecodecs")):
            with pytest.raises(InvalidArgument, match=f"{said} is installed: send a JPEG") as caught:
                client.recognition.AnalyzeFaces(pb.AnalyzeFacesRequest(picture=picture(data)))
            assert caught.value.reason == "INVALID_PICTURE"
        assert (
            len(client.recognition.AnalyzeFaces(pb.AnalyzeFacesRequest(picture=picture(pictures.yaoming))).faces) == 1
        )
