"""Aligned faces in, unit-length embeddings out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facet.runtime.models import ModelFile, UnsupportedModel
from facet.runtime.onnx_nodes import node_names
from facet.runtime.session import Normalization, Session
from recognizer import alignment

PREPROCESSING = "insightface-arcface-bgr2rgb/1"
BATCHES = (8, 4, 2, 1)
"""How many faces are embedded at once: few numbers, as runtimes compile a graph for each. Eight at once take an eighth
less time than one by one; more gain nothing."""


class Embedder:
    """Embeds aligned faces with an InsightFace recogniser (ArcFace: Deng et al., 2019, arXiv:1801.07698).

    Args:
        session: input ``(n or 1, 3, 112, 112)``, one output ``(n, d)``.
        file: the model file behind the session; its graph shows whether the model normalises its input itself.

    Raises:
        UnsupportedModel: the session is no such model.
    """

    def __init__(self, session: Session, file: ModelFile) -> None:
        side = alignment.CROP_SIZE
        outputs = [output.shape for output in session.outputs]
        if session.input.shape[1:] != (3, side, side) or len(outputs) != 1 or len(outputs[0]) != 2:
            raise UnsupportedModel(
                f"{file.name}: expected a recogniser of one input (n, 3, {side}, {side}) and one output (n, d); "
                f"found the input {session.input.shape} and the outputs {outputs}"
            )
        self._batches = BATCHES if session.input.shape[0] is None else (1,)
        self._session = session.normalizing(input_normalization(file.path))
        self.dimension = int(self._embed([np.zeros((side, side, 3), np.uint8)]).shape[1])
        self.contract = embedding_contract(file.sha256, self.dimension)

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Embed aligned faces, BGR ``(112, 112, 3)`` each: float32 ``(n, d)``, L2-normalised."""
        if not crops:
            return np.empty((0, self.dimension), np.float32)
        return _normalized(self._embed(crops))

    def embed_mirrored(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Embed each face and its mirror image and take the mean of the two: float32 ``(n, d)``, L2-normalised.

        For templates and references: it costs twice the time, once, and makes every later search surer. To mirror
        the probe as well gains nothing more.
        """
        if not crops:
            return np.empty((0, self.dimension), np.float32)
        both = self._embed([*crops, *(np.ascontiguousarray(crop[:, ::-1]) for crop in crops)])
        return _normalized(both[: len(crops)] + both[len(crops) :])

    def _embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        pictures = np.stack(crops)
        embedded, start = [], 0
        while start < len(pictures):
            count = next(count for count in self._batches if start + count <= len(pictures))
            embedded.append(self._session.run(pictures[start : start + count])[0])
            start += count
        return np.concatenate(embedded)


def input_normalization(path: Path) -> Normalization:
    """What an InsightFace recogniser wants done to its input, by InsightFace's own rule (``ArcFaceONNX``).

    Models that come from MXNet subtract and multiply in their first nodes and want the samples as they are. All others
    want them in [-1, 1].
    """
    first = node_names(path)[:8]
    subtracts = any(name.startswith(("Sub", "_minus")) for name in first)
    multiplies = any(name.startswith(("Mul", "_mul")) for name in first)
    return Normalization(0.0, 1.0) if subtracts and multiplies else Normalization(127.5, 127.5)


def embedding_contract(recognizer_sha256: str, dimension: int) -> str:
    """Hexadecimal SHA-256 of all that must be the same for two embeddings to be compared."""
    parts = (recognizer_sha256, alignment.VERSION, PREPROCESSING, str(dimension))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _normalized(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)
