"""Embeds aligned faces as vectors of unit length."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facet.runtime.inference.session import InferenceFailed, Normalization, Session
from facet.runtime.models import ModelFile, UnsupportedModel, read_model
from facet.runtime.onnx_nodes import node_names
from recognizer import alignment

PREPROCESSING = "insightface-arcface-bgr2rgb/1"
BATCHES = (8, 4, 2, 1)
"""Batch sizes. They are few because runtimes compile a graph for each. A batch of eight takes an eighth less time than
eight single faces; larger ones gain nothing."""
_ALIKE = 0.9999
"""Similarity that embeddings of random pictures do not reach: those of the packaged model are from 0.76."""


class Embedder:
    """Embeds aligned faces with an InsightFace recognition model (ArcFace: Deng et al., 2019, arXiv:1801.07698).

    Args:
        session: input ``(n or 1, 3, 112, 112)``, one output ``(n, d)``.
        file: the model file of the session; its graph shows whether the model normalises its input itself.

    Raises:
        UnsupportedModel: the inputs or outputs are different.
        DigestMismatch: the file was replaced since it was found.

    Attributes:
        file: the model file.
        dimension: length of an embedding.
        contract: the contract of the embeddings.
    """

    def __init__(self, session: Session, file: ModelFile) -> None:
        side = alignment.CROP_SIZE
        outputs = [output.shape for output in session.outputs]
        takes_faces = session.input.shape[1:] == (3, side, side) and session.input.shape[0] in (None, 1)
        if not takes_faces or len(outputs) != 1 or len(outputs[0]) != 2:
            raise UnsupportedModel(
                f"{file.name}: expected a model with one input (n, 3, {side}, {side}), n open or 1, and one output "
                f"(n, d), found input {session.input.shape} and outputs {outputs}: facet models add "
                f"{shlex.quote(str(file.path))} makes a model of this form of other recognisers"
            )
        self.file = file
        self._batches = BATCHES if session.input.shape[0] is None else (1,)
        self._session = session.normalizing(input_normalization(read_model(file.path, file.sha256)))
        try:
            self.dimension = int(self.run(np.zeros((1, side, side, 3), np.uint8)).shape[1])
        except InferenceFailed as error:
            raise self._does_not_run(error) from error
        self.contract = embedding_contract(file.sha256, self.dimension)

    def embed(self, crops: Sequence[NDArray[np.uint8]], *, mirrored: bool = False) -> NDArray[np.float32]:
        """Embed aligned faces, BGR ``(112, 112, 3)`` each: float32 ``(n, d)``, L2-normalised.

        Args:
            crops: the faces.
            mirrored: embed each face as the mean of itself and its mirror image, for templates and references. It takes
                twice the time once and makes every later comparison more accurate. Mirroring the probe as well gains
                nothing.
        """
        return self.combine([self.run(batch) for batch in self.batches(crops, mirrored=mirrored)], mirrored=mirrored)

    def batches(self, crops: Sequence[NDArray[np.uint8]], *, mirrored: bool = False) -> list[NDArray[np.uint8]]:
        """Divide faces into batches for :meth:`run`, uint8 ``(m, 112, 112, 3)`` each; see :meth:`embed`."""
        if not crops:
            return []
        mirror_images = [np.ascontiguousarray(crop[:, ::-1]) for crop in crops] if mirrored else []
        pictures = np.stack([*crops, *mirror_images])
        batches: list[NDArray[np.uint8]] = []
        start = 0
        while start < len(pictures):
            count = next(count for count in self._batches if start + count <= len(pictures))
            batches.append(pictures[start : start + count])
            start += count
        return batches

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The model's output for one of the batches, float32 ``(m, d)``."""
        return self._session.run(batch)[0]

    def combine(self, outputs: Sequence[NDArray[np.float32]], *, mirrored: bool = False) -> NDArray[np.float32]:
        """The embeddings of the faces whose batches gave these outputs; see :meth:`embed`."""
        if not outputs:
            return np.empty((0, self.dimension), np.float32)
        vectors = np.concatenate(outputs)
        count = len(vectors) // 2
        return _normalized(vectors[:count] + vectors[count:] if mirrored else vectors)

    def check(self) -> None:
        """Embed random pictures in every batch size.

        Raises:
            UnsupportedModel: a batch does not run, or the embeddings are not numbers, or all alike.
        """
        side = alignment.CROP_SIZE
        pictures = np.random.default_rng(0).integers(0, 256, (sum(BATCHES), side, side, 3), np.uint8)
        try:
            embeddings = self.embed(list(pictures))
        except InferenceFailed as error:
            raise self._does_not_run(error) from error
        if not np.isfinite(embeddings).all():
            raise UnsupportedModel(f"{self.file.name} embeds pictures as values that are not finite numbers")
        if (embeddings @ embeddings[0]).min() > _ALIKE:
            raise UnsupportedModel(f"{self.file.name} embeds all pictures alike: it tells nobody apart")

    def _does_not_run(self, error: InferenceFailed) -> UnsupportedModel:
        return UnsupportedModel(f"{self.file.name} does not run: {' '.join(str(error).split())}")


def input_normalization(model: bytes) -> Normalization:
    """Return how to normalise the input of a model, by InsightFace's rule (``ArcFaceONNX``).

    Models exported from MXNet subtract and multiply in their first nodes and take samples as they are. All others take
    them in [-1, 1].

    Raises:
        ValueError: the bytes are not an ONNX model.
    """
    first = node_names(model)[:8]
    subtracts = any(name.startswith(("Sub", "_minus")) for name in first)
    multiplies = any(name.startswith(("Mul", "_mul")) for name in first)
    return Normalization(0.0, 1.0) if subtracts and multiplies else Normalization(127.5, 127.5)


def embedding_contract(recognizer_sha256: str, dimension: int) -> str:
    """Return the hexadecimal SHA-256 over everything that two comparable embeddings have in common."""
    parts = (recognizer_sha256, alignment.VERSION, PREPROCESSING, str(dimension))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _normalized(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)
