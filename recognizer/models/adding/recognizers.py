"""A recogniser of any form becomes one that the server reads."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facet.runtime.cores import usable_cores
from facet.runtime.inference.session import InferenceFailed, OnnxSession, Session
from facet.runtime.inference.sessions import open_session
from facet.runtime.inference.slots import InferenceSlots
from facet.runtime.models import ModelFile, UnsupportedModel, sha256_of
from recognizer.embedding import BATCHES, Embedder, input_normalization
from recognizer.models.adding.choice import NEAR, Choice, choose
from recognizer.models.adding.graphs import taking_aligned_faces
from recognizer.models.adding.preprocessing import (
    INSIGHTFACE_INPUT,
    RAW_INPUT,
    InputForm,
    Preprocessing,
    vector_outputs,
)
from recognizer.models.adding.reference_faces import reference_faces

MIN_SIMILARITY = 0.999
"""Minimum similarity of the embeddings of a converted model and of its original."""


@dataclass(frozen=True, slots=True)
class ReadRecognizer:
    """A recogniser in the form that the server reads.

    Attributes:
        content: the ONNX file; that of the original if it has the form already.
        form: of the original.
        choice: its preprocessing.
        batch: the number of pictures that it takes at a time; ``None`` for any.
        output: name of the output that holds the embedding; empty if the original has no other.
    """

    content: bytes
    form: InputForm
    choice: Choice
    batch: int | None
    output: str = ""


def read_recognizer(
    content: bytes, session: OnnxSession, name: str, told: Sequence[Preprocessing], *, output: str = ""
) -> ReadRecognizer:
    """Find out how a recogniser takes its input, and convert it if the server would not read it so.

    Of several outputs the one that tells people apart best is the embedding. The first of those that do it equally well
    is taken, such as an embedding and the same at unit length.

    Args:
        content: the ONNX file.
        session: of the same file.
        name: of the model, for messages.
        told: the candidates for its preprocessing; the best one is taken.
        output: name of the output that holds the embedding; empty: found out.

    Raises:
        UnsupportedModel: it is no recogniser, has no such output, does not tell people apart, or cannot be converted.
        ModelError: the package onnx is needed and missing.
    """
    form, choice = _chosen(session, name, told, output)
    original = _Original(session, form, name)
    chosen = session.outputs[form.output].name if len(session.outputs) > 1 else ""
    expected = original.embed(_sample(), choice.preprocessing)
    if form.is_the_servers and _is_read_as_it_is(original, content, expected):
        return ReadRecognizer(content, form, choice, form.batch, chosen)
    differences = []
    for batch in (None, 1):
        if batch == 1 and form.batch != 1:
            break
        converted = taking_aligned_faces(content, name, form, choice.preprocessing, batch=batch)
        problem = _difference(converted, expected, name)
        if not problem:
            return ReadRecognizer(converted, form, choice, batch, chosen)
        differences.append(problem)
    fixed = f" takes {form.batch} pictures at a time, and cannot take any other number:" if form.batch else ":"
    raise UnsupportedModel(f"{name}{fixed} converted, {differences[-1]}")


def misread(content: bytes, session: OnnxSession, name: str, told: Sequence[Preprocessing]) -> Preprocessing | None:
    """The preprocessing of a recogniser of the server's form, if the server would use another one; otherwise ``None``.

    Raises:
        UnsupportedModel: it has another form, or does not tell people apart.
    """
    original = _Original(session, InputForm.of(session, name), name)
    preprocessing = choose(original.embed, told, name).preprocessing
    expected = original.embed(_sample(), preprocessing)
    return None if _is_read_as_it_is(original, content, expected) else preprocessing


def _chosen(session: OnnxSession, name: str, told: Sequence[Preprocessing], output: str) -> tuple[InputForm, Choice]:
    """The output of a recogniser that holds the embedding, and its preprocessing."""
    names = [each.name for each in session.outputs]
    if output and output not in names:
        raise UnsupportedModel(f"{name} has no output {output!r}, it has {', '.join(names)}")
    places = [names.index(output)] if output else vector_outputs(session) or [0]
    chosen: list[tuple[InputForm, Choice]] = []
    problems = []
    for place in places:
        form = InputForm.of(session, name, place)
        named = f"output {names[place]} of {name}" if len(names) > 1 else name
        try:
            choice = choose(_Original(session, form, name).embed, told, named)
        except UnsupportedModel as error:
            problems.append(str(error))
            continue
        if not chosen or choice.separation.sharpness * (1 - NEAR) > chosen[0][1].separation.sharpness:
            chosen = [(form, choice)]
    if not chosen:
        raise UnsupportedModel("; ".join(problems))
    return chosen[0]


class _Original:
    """A recogniser as it is."""

    def __init__(self, session: OnnxSession, form: InputForm, name: str) -> None:
        self._session, self._form, self._name = session, form, name

    def embed(self, crops: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.float32]:
        """The vectors ``(n, d)`` of aligned faces, BGR ``(n, 112, 112, 3)``, as the model gives them."""
        count = self._form.batch or BATCHES[0]
        padding = -len(crops) % count if self._form.batch else 0
        padded = np.concatenate([crops, np.repeat(crops[:1], padding, 0)])
        session = self._session.normalizing(lambda pictures: self._form.blob(pictures, preprocessing))
        try:
            batches = (padded[at : at + count] for at in range(0, len(padded), count))
            outputs = [session.run(batch)[self._form.output] for batch in batches]
        except InferenceFailed as error:
            raise UnsupportedModel(f"{self._name} does not run: {' '.join(str(error).split())}") from error
        if any(len(output) != len(padded[at * count : (at + 1) * count]) for at, output in enumerate(outputs)):
            raise UnsupportedModel(f"{self._name} does not give one vector for each picture")
        return np.concatenate(outputs).reshape(len(padded), -1)[: len(crops)]


def _is_read_as_it_is(original: _Original, content: bytes, expected: NDArray[np.float32]) -> bool:
    """Whether a model of the server's form gives these vectors of :func:`_sample` with the server's preprocessing."""
    by_rule = INSIGHTFACE_INPUT if input_normalization(content).mean else RAW_INPUT
    return _least_similarity(original.embed(_sample(), by_rule), expected) >= MIN_SIMILARITY


def _sample() -> NDArray[np.uint8]:
    """Faces in every size of batch, one of each."""
    count = sum(BATCHES)
    return np.resize(reference_faces(), (count, *reference_faces().shape[1:]))


def _difference(content: bytes, expected: NDArray[np.float32], name: str) -> str:
    """In which way a converted model differs from its original, with every runtime that may serve; empty if in none."""
    slots = InferenceSlots.of("latency", usable_cores())
    with tempfile.TemporaryDirectory(prefix="facet-add-") as folder:
        path = Path(folder) / f"{Path(name).stem}.onnx"
        path.write_bytes(content)
        file = ModelFile(path.stem, path, sha256_of(path), len(content), "", "")
        try:
            sessions: list[Session] = [
                OnnxSession(path, slots=slots),
                open_session(path, slots=slots, precision="fp32"),
            ]
            for session in sessions:
                similarity = _least_similarity(Embedder(session, file).embed(list(_sample())), expected)
                if not similarity >= MIN_SIMILARITY:
                    return f"it gives other embeddings (similarity {similarity:.3f} on {session.runtime})"
        except (UnsupportedModel, InferenceFailed) as error:
            return " ".join(str(error).split())
    return ""


def _least_similarity(vectors: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    if vectors.shape != others.shape:
        return 0.0
    norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(others, axis=1)
    return float(((vectors * others).sum(1) / np.maximum(norms, 1e-12)).min())
