"""The baseline: InsightFace's FaceAnalysis on the same weights, followed by a NumPy search."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from facet.benchmarks.serving.pictures import decoded
from facet.benchmarks.serving.systems import Identify
from facet.runtime.models import find_model
from facet.server.config import ModelsConfig

_DETECTION_SIZE = (640, 640)
_MODULES = ["detection", "recognition"]


@dataclass(frozen=True, slots=True)
class FaceAnalysisBaseline:
    """FaceAnalysis as its documentation shows it, or tuned.

    Its defaults are kept except for the detection size: without arguments, ``prepare()`` detects at 128 and at 640
    pixels, which takes longer; nearly everybody sets 640. FaceAnalysis embeds faces one by one.

    Attributes:
        pack: folder of models from :func:`link_pack`.
        strangers: ``.npy`` file of templates, float32 ``(n, dimension)`` of unit length.
        portrait: encoded picture of a face that is added to these templates.
        tuned: use one thread per session and one for OpenCV, as an expert would to serve several requests at a time.
    """

    pack: Path
    strangers: Path
    portrait: bytes
    tuned: bool

    @contextmanager
    def open(self) -> Iterator[Identify]:
        """Load the models."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # InsightFace calls deprecated functions of its dependencies
            analysis = self._load()
            enrolled = _embeddings(analysis.get(decoded(self.portrait)))
            templates = np.concatenate([np.load(self.strangers, allow_pickle=False), enrolled])

            def identify(data: bytes) -> int:
                faces = analysis.get(decoded(data))
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
        analysis.prepare(ctx_id=-1, det_size=_DETECTION_SIZE)
        return analysis


def link_pack(folder: Path) -> Path:
    """Create a folder with links to Facet's default models, in the form that FaceAnalysis takes as a model pack."""
    folder.mkdir()
    models = ModelsConfig()
    for name in (models.faces, models.embedding):
        path = find_model(name).path
        (folder / path.name).symlink_to(path)
    return folder


def nearest(
    templates: NDArray[np.float32], probes: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Find the most similar template of each probe.

    Args:
        templates: shape ``(m, dimension)``, unit length.
        probes: shape ``(n, dimension)``, unit length.

    Returns:
        Row of the template and cosine, both of shape ``(n,)``.
    """
    similarity = probes @ templates.T
    best = similarity.argmax(axis=1)
    return best, similarity[np.arange(len(best)), best]


def _embeddings(faces: list[Any]) -> NDArray[np.float32]:
    vectors = np.stack([face.embedding for face in faces])
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
