"""Models that sleep: each runs once for an input, and then only waits and repeats its answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from detector.yolo import YoloDetector
from facet.runtime.cores import usable_cores
from facet.runtime.inference.session import Normalization, Session, TensorSpec
from facet.runtime.inference.sessions import open_session
from facet.runtime.inference.slots import InferenceSlots
from facet.runtime.models import ModelFile, find_model
from recognizer.detection.finder import FaceFinder
from recognizer.detection.scrfd import ScrfdDetector
from recognizer.embedding import Embedder
from recognizer.models.loading import PROPORTIONS, LoadedModel, PipelineModels
from recognizer.settings import ModelSettings, PipelineSettings

_SAMPLES = 97
"""Values of an input that tell it from other inputs of its shape."""

_Input: TypeAlias = tuple[tuple[int, ...], bytes]


class SleepingSession:
    """A session whose model computes each input once. After that it sleeps, and returns what the model had returned.

    As on an accelerator, other threads run meanwhile.

    Args:
        session: the model.
        seconds: how long to sleep.
    """

    def __init__(self, session: Session, seconds: float) -> None:
        self._session = session
        self._seconds = seconds
        self._known: dict[_Input, list[NDArray[np.float32]]] = {}

    @property
    def input(self) -> TensorSpec:
        """See :class:`Session`."""
        return self._session.input

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """See :class:`Session`."""
        return self._session.outputs

    @property
    def metadata(self) -> Mapping[str, str]:
        """See :class:`Session`."""
        return self._session.metadata

    @property
    def runtime(self) -> str:
        """See :class:`Session`."""
        return "asleep"

    def normalizing(self, normalization: Normalization) -> SleepingSession:
        """See :class:`Session`."""
        return SleepingSession(self._session.normalizing(normalization), self._seconds)

    def run(self, pictures: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """See :class:`Session`."""
        values = pictures.reshape(-1)
        given = pictures.shape, values[:: max(1, values.size // _SAMPLES)].tobytes()
        if given not in self._known:
            self._known[given] = self._session.run(pictures)
        time.sleep(self._seconds)
        return self._known[given]


def load_sleeping(seconds: float, settings: PipelineSettings) -> PipelineModels:
    """Load the packaged models, each in a :class:`SleepingSession`.

    Args:
        seconds: how long each run takes.
        settings: of the pipeline.

    Raises:
        ModelError: a model is missing or damaged.
    """
    names = ModelSettings()
    slots = InferenceSlots.of(names.preset, usable_cores())

    def opened(name: str) -> tuple[ModelFile, SleepingSession]:
        file = find_model(name)
        return file, SleepingSession(open_session(file.path, sha256=file.sha256, slots=slots), seconds)

    objects_file, objects = opened(names.objects or "")
    faces_file, faces = opened(names.faces)
    embedding_file, embedding = opened(names.embedding)
    detector = YoloDetector(
        objects, size=settings.object_size, min_score=settings.object_min_score, proportions=PROPORTIONS
    )
    return PipelineModels(
        detector,
        FaceFinder(ScrfdDetector(faces, min_score=settings.finder.candidate_score), settings.finder),
        Embedder(embedding, embedding_file),
        (
            LoadedModel("objects", objects_file, detector.head_kind, objects.runtime),
            LoadedModel("faces", faces_file, "scrfd", faces.runtime),
            LoadedModel("embedding", embedding_file, "arcface", embedding.runtime),
        ),
    )
