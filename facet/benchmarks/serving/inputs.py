"""What all systems of ``facet bench serving`` work on: the same pictures, weights and gallery."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from facet.benchmarks.galleries.synthetic_gallery import fill
from facet.benchmarks.serving.in_process import local_config, open_in_process
from facet.benchmarks.serving.insightface_baseline import FaceAnalysisBaseline, link_pack
from facet.benchmarks.serving.pictures import Samples
from facet.server.config import NONE
from gallery.stores.sqlite.sqlite_store import SqliteStore

STRANGERS = 1000
"""Templates of the gallery in addition to that of the portrait."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Pictures, and a folder with model links and the gallery.

    Attributes:
        pictures: to identify.
        folder: of :meth:`prepare`.
    """

    pictures: Samples
    folder: Path

    @classmethod
    def prepare(cls, pictures: Samples, folder: Path) -> Self:
        """Fill a gallery with random templates and the portrait's, and link the models for FaceAnalysis.

        Args:
            pictures: to identify; the first one is enrolled.
            folder: empty; everything is written here.
        """
        inputs = cls(pictures, folder)
        link_pack(inputs.pack)
        inputs.original.parent.mkdir()
        config = local_config(inputs.original, objects=NONE)
        with open_in_process(config) as local:
            contract, dimension = local.pipeline.contract, local.pipeline.dimension
        vectors = np.random.default_rng(0).standard_normal((STRANGERS, dimension)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        np.save(inputs.strangers, vectors)
        with closing(SqliteStore(inputs.original)) as store:
            fill(store, vectors, contract)
        with open_in_process(config) as local:
            local.enroll(pictures.one.data)
        return inputs

    @property
    def pack(self) -> Path:
        """Folder of models for FaceAnalysis."""
        return self.folder / "pack"

    @property
    def strangers(self) -> Path:
        """File of the random templates, ``.npy``."""
        return self.folder / "strangers.npy"

    @property
    def original(self) -> Path:
        """Database of the gallery, to be copied."""
        return self.folder / "gallery" / "facet.sqlite3"

    def baseline(self, *, tuned: bool) -> FaceAnalysisBaseline:
        """FaceAnalysis with the same weights and gallery."""
        return FaceAnalysisBaseline(self.pack, self.strangers, self.pictures.one.data, tuned)

    def database(self, name: str) -> Path:
        """Copy the gallery, so that one system has a database of its own."""
        copy = self.folder / name
        shutil.copytree(self.original.parent, copy)
        return copy / self.original.name
