"""What GetServerInfo tells of the models."""

from __future__ import annotations

from pathlib import Path

from facet.runtime.models import ModelFile
from facet.server.services.server_info import source_of


def test_callers_learn_the_source_of_a_model_and_no_path() -> None:
    path = Path("/srv/secret-project/own.onnx")
    unknown = ModelFile("own", path, sha256="0", size=1, license="?", source=str(path))
    assert source_of(unknown) == "own.onnx"
    packaged = ModelFile("own", path, sha256="0", size=1, license="?", source="https://example.org/own")
    assert source_of(packaged) == "https://example.org/own"
