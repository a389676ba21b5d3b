"""The two models: loaded as the server loads them, embedding the same faces, and what each costs."""

from __future__ import annotations

import shlex
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.calls import UNREADABLE
from facet.evaluation.comparison.answers import Embeddings
from facet.evaluation.comparison.labelled_set import Role
from facet.runtime.cores import usable_cores
from facet.runtime.inference.session import OnnxSession
from facet.runtime.inference.slots import InferenceSlots
from facet.runtime.models import ModelFile, UnsupportedModel, is_packaged, read_manifest, read_model
from facet.runtime.pictures import PictureError
from recognizer import choice
from recognizer.embedding import BATCHES, Embedder
from recognizer.errors import FaceNotFound
from recognizer.models.adding.add import Told
from recognizer.models.adding.recognizers import misread
from recognizer.models.loading import LoadedModel, load_models
from recognizer.pipeline import FacePipeline
from recognizer.progress import finish
from recognizer.settings import ModelSettings
from recognizer.sources import Encoded

Vector: TypeAlias = NDArray[np.float32]

_TIMED = 12
"""Repetitions of each timed call."""


@dataclass(frozen=True, slots=True)
class Recognizer:
    """A model that is compared.

    Attributes:
        embedder: embeds faces.
        loaded: describes it.
    """

    embedder: Embedder
    loaded: LoadedModel

    @property
    def file(self) -> ModelFile:
        """The model file."""
        return self.loaded.file

    @property
    def name(self) -> str:
        """The name by which it was asked for."""
        return self.file.name


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces of a set, as both models embed them.

    Attributes:
        a: the embeddings of the first model.
        b: those of the second one.
        failures: why a picture has none, by file.
        sample: some of the aligned faces, BGR ``(112, 112, 3)`` each, to time the models with.
    """

    a: Embeddings
    b: Embeddings
    failures: Mapping[Path, str]
    sample: Sequence[NDArray[np.uint8]]


def load(a: str, b: str, *, folder: Path, detector: str) -> tuple[FacePipeline, Recognizer, Recognizer]:
    """Load both models, and those that find the faces for them.

    Raises:
        ModelError: a model is missing, damaged or unsupported, embeds all faces alike, or both are the same.
    """
    first = load_models(ModelSettings(embedding=a, faces=detector, folder=folder))
    second = load_models(ModelSettings(objects=None, embedding=b, folder=folder))
    of_a, of_b = (Recognizer(models.embedder, models.loaded[-1]) for models in (first, second))
    if of_a.file.sha256 == of_b.file.sha256:
        raise UnsupportedModel(f"{a} and {b} are the same model: both have the SHA-256 {of_a.file.sha256}")
    for each in (of_a, of_b):
        each.embedder.check()
    return FacePipeline(first), of_a, of_b


def notes(recognizer: Recognizer) -> Iterator[str]:
    """What a reader of the figures must know about a model: that the server does not read it as it was trained."""
    file = recognizer.file
    if is_packaged(file) or file.path.name in read_manifest(file.path.parent):
        return
    content = read_model(file.path, file.sha256)
    session = OnnxSession(file.path, sha256=file.sha256, slots=InferenceSlots.of("latency", usable_cores()))
    try:
        trained = misread(content, session, file.path.name, Told().candidates(published=False))
    except UnsupportedModel as error:
        yield " ".join(str(error).split())
        return
    if trained:
        yield (
            f"{file.path.name} seems to be trained with {trained}, and the server reads it otherwise, which these "
            f"figures show: facet models add {shlex.quote(str(file.path))} makes a model that it reads so"
        )


def embed(
    pipeline: FacePipeline,
    a: Embedder,
    b: Embedder,
    roles: Mapping[Path, Sequence[Role]],
    *,
    advance: Callable[[], None],
) -> Faces:
    """Find and align the central face of each picture once, as the server does, and embed it with both models.

    Args:
        pipeline: finds and aligns.
        a: the first model.
        b: the second one.
        roles: what each picture is embedded for.
        advance: called once for each picture.
    """

    def work(path: Path) -> str | tuple[NDArray[np.uint8], list[tuple[Role, Vector, Vector]]]:
        try:
            turns = pipeline.analyze_and_align_in_turns(Encoded(path.read_bytes()), choice.central)
            _, (face,) = finish(turns)
        except (FaceNotFound, PictureError) as error:
            return error.reason
        except OSError:
            return UNREADABLE
        embedded = [
            (role, *(model.embed([face.crop], mirrored=role.as_template)[0] for model in (a, b)))
            for role in roles[path]
        ]
        return face.crop, embedded

    of_a: dict[Role, Vector] = {}
    of_b: dict[Role, Vector] = {}
    failures: dict[Path, str] = {}
    sample: list[NDArray[np.uint8]] = []
    pool = ThreadPoolExecutor(usable_cores())
    try:
        for path, answer in zip(roles, pool.map(work, roles), strict=True):
            if isinstance(answer, str):
                failures[path] = answer
            else:
                crop, embedded = answer
                if len(sample) < BATCHES[0]:
                    sample.append(crop)
                of_a |= {role: vector for role, vector, _ in embedded}
                of_b |= {role: vector for role, _, vector in embedded}
            advance()
    finally:
        pool.shutdown(cancel_futures=True)
    return Faces(of_a, of_b, failures, sample)


def costs(recognizers: Sequence[Recognizer], faces: Sequence[NDArray[np.uint8]]) -> list[dict[str, Any]]:
    """What each model costs; the times are medians of calls in turn, so that the machine's speed affects all alike.

    Args:
        recognizers: the models.
        faces: aligned faces, at least one.
    """
    batch = [faces[place % len(faces)] for place in range(BATCHES[0])]
    single: list[list[float]] = [[] for _ in recognizers]
    batched: list[list[float]] = [[] for _ in recognizers]
    for repetition in range(_TIMED):
        for model, recognizer in enumerate(recognizers):
            single[model].append(_milliseconds(recognizer.embedder, [batch[repetition % len(batch)]]))
            batched[model].append(_milliseconds(recognizer.embedder, batch) / len(batch))
    return [
        {
            "name": each.file.name.removesuffix(".onnx"),
            "file": str(each.file.path),
            "sha256": each.file.sha256,
            "license": each.file.license,
            "source": each.file.source,
            "bytes": each.file.size,
            "dimension": each.embedder.dimension,
            "runtime": each.loaded.runtime,
            "ms_per_face": round(statistics.median(one), 3),
            "ms_per_face_of_eight": round(statistics.median(eight), 3),
        }
        for each, one, eight in zip(recognizers, single, batched, strict=True)
    ]


def _milliseconds(embedder: Embedder, faces: Sequence[NDArray[np.uint8]]) -> float:
    started = time.perf_counter()
    embedder.embed(faces)
    return (time.perf_counter() - started) * 1e3
