"""The measured neighbour: InsightFace's own FaceAnalysis on the same weights, with a NumPy search behind it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from facet.runtime.models import find_model
from facet.server.config import ModelsConfig

_FRAME = (640, 640)
_MODULES = ["detection", "recognition"]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """FaceAnalysis as its documentation shows it, or tuned.

    Its defaults are taken for everything but the detector's frame: alone, ``prepare()`` looks at 128 and at 640 pixels,
    which costs more; 640 is what nearly everybody sets. It finds faces and embeds them one by one.

    Attributes:
        pack: a folder as :func:`link_pack` makes it, which is read again whenever a frame's size is new.
        strangers: a ``.npy`` file of templates, float32 ``(n, dimension)`` of unit length.
        portrait: an encoded picture with the face that is searched among them as well.
        tuned: as an expert would for several requests at a time: one thread a session and for OpenCV.
    """

    pack: Path
    strangers: Path
    portrait: bytes
    tuned: bool

    @contextmanager
    def open(self) -> Iterator[Callable[[bytes], int]]:
        """Load the models; what is given takes an encoded picture, names its faces and says how many there are."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # InsightFace's, of what it calls
            analysis = self._load()
            known = _embeddings(analysis.get(_decoded(self.portrait)))
            templates = np.concatenate([np.load(self.strangers), known])

            def identify(data: bytes) -> int:
                faces = analysis.get(_decoded(data))
                return len(nearest(templates, _embeddings(faces))[0]) if faces else 0

            yield identify

    def _load(self) -> Any:
        from insightface.app import FaceAnalysis

        options: dict[str, Any] = {}
        if self.tuned:
            cv2.setNumThreads(1)
            options["sess_options"] = ort.SessionOptions()
            options["sess_options"].intra_op_num_threads = 1
            options["sess_options"].inter_op_num_threads = 1
        analysis = FaceAnalysis(
            name=str(self.pack), allowed_modules=_MODULES, providers=["CPUExecutionProvider"], **options
        )
        analysis.prepare(ctx_id=-1, det_size=_FRAME)
        return analysis


def link_pack(folder: Path) -> Path:
    """Make a folder of links to the models that Facet uses by default, as InsightFace wants a pack of models."""
    folder.mkdir()
    models = ModelsConfig()
    for name in (models.faces, models.embedding):
        path = find_model(name).path
        (folder / path.name).symlink_to(path)
    return folder


def nearest(
    templates: NDArray[np.float32], probes: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The most similar template of each probe and the cosine, both of shape ``(n,)``; all vectors of unit length."""
    similarity = probes @ templates.T
    best = similarity.argmax(axis=1)
    return best, similarity[np.arange(len(best)), best]


def _embeddings(faces: list[Any]) -> NDArray[np.float32]:
    vectors = np.stack([face.embedding for face in faces])
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _decoded(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)
