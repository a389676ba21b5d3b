"""The pipeline as a library: no server, no gRPC."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from recognizer import choice
from recognizer.errors import NoObjectDetector
from recognizer.models.loading import load_models
from recognizer.pipeline import FacePipeline
from recognizer.progress import Stage
from recognizer.settings import ModelSettings, PipelineSettings
from recognizer.sources import Encoded

if TYPE_CHECKING:
    from tests.conftest import Pictures

PROGRAM = """
import sys
from recognizer.models.loading import load_models
from recognizer.pipeline import FacePipeline
from recognizer.sources import Encoded
from recognizer.settings import ModelSettings

pipeline = FacePipeline(load_models(ModelSettings(objects=None)))
analysis = pipeline.analyze(Encoded(sys.stdin.buffer.read()))
print(pipeline.embed(pipeline.align(analysis)).shape)
print(sorted({"grpc", "google.protobuf", "pydantic", "facet.server", "facet.v1"} & set(sys.modules)))
"""


class Recorder:
    """Records stages; fails after some of them."""

    def __init__(self, stages: int = 100) -> None:
        self.stages: list[tuple[str, int]] = []
        self._allowed = stages

    @contextmanager
    def stage(self, name: Stage, *, batch: int = 0) -> Iterator[None]:
        self.stages.append((name, batch))
        yield

    def check(self) -> None:
        if len(self.stages) >= self._allowed:
            raise TimeoutError


@pytest.fixture(scope="module")
def pipeline() -> FacePipeline:
    return FacePipeline(load_models())


def test_a_program_uses_the_pipeline_without_grpc_or_the_server(pictures: Pictures) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], input=pictures.yaoming, capture_output=True, check=False)
    assert done.stdout.decode().splitlines() == ["(1, 512)", "[]"], done.stderr.decode()


EMBEDDED = [("embed", 6), ("embed", 0)]
"""Six faces are embedded in a batch of four and one of two, and counted once."""


def test_progress_sees_every_stage_in_order(pipeline: FacePipeline, pictures: Pictures) -> None:
    recorder = Recorder()
    faces = pipeline.align(pipeline.analyze(Encoded(pictures.six), recorder), progress=recorder)
    embeddings = pipeline.embed(faces, recorder)
    assert embeddings.shape == (6, pipeline.dimension)
    # Some of the six faces are in doubt, so that faces are looked at twice.
    assert recorder.stages == [("decode", 0), ("detect", 0), ("faces", 0), ("faces", 0), ("align", 0), *EMBEDDED]


def test_progress_stops_the_pipeline_between_stages(pipeline: FacePipeline, pictures: Pictures) -> None:
    recorder = Recorder(stages=2)
    with pytest.raises(TimeoutError):
        pipeline.analyze(Encoded(pictures.six), recorder)
    assert [name for name, _ in recorder.stages] == ["decode", "detect"]


def test_align_takes_only_the_face_that_is_chosen(pipeline: FacePipeline, pictures: Pictures) -> None:
    analysis = pipeline.analyze(Encoded(pictures.six))
    (face,) = pipeline.align(analysis, choice.largest)
    assert np.array_equal(face.faces.boxes[0], analysis.faces.boxes[choice.largest(analysis.faces)])


def test_a_pipeline_without_object_detector_finds_faces_and_refuses_to_detect_objects(pictures: Pictures) -> None:
    settings = PipelineSettings(max_faces=2)
    pipeline = FacePipeline(load_models(ModelSettings(objects=None), settings), settings)
    analysis = pipeline.analyze(Encoded(pictures.six))
    assert (len(analysis.faces), len(analysis.objects)) == (2, 0)
    assert [model.role for model in pipeline.models] == ["faces", "embedding"]
    assert pipeline.face_model == pipeline.models[0].file.sha256
    with pytest.raises(NoObjectDetector):
        pipeline.detect(analysis.picture.pixels)
