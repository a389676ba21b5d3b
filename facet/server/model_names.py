"""What embedding models are called: those that are loaded, those that could be, and galleries of neither."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import structlog

from facet.runtime.models import ModelError, packaged_origins, read_manifest
from facet.server.config import Config
from gallery.galleries import Galleries
from gallery.opened.mismatches import ModelNames
from gallery.records.migrations import ModelVersion
from recognizer.embedding import embedding_contract
from recognizer.pipeline import FacePipeline

_log = structlog.get_logger("facet.gallery")

_DIMENSIONS = (512, 256, 128)
"""Of face embeddings: a manifest has only the digest of a model, and a contract is of a digest and a dimension."""
_MOST_WARNINGS = 10


def model_names(config: Config, pipeline: FacePipeline) -> ModelNames:
    """Return what the loaded models, the packaged ones, and those in the manifest of the models folder are called."""
    loaded = [
        ModelVersion(model.contract, model.name, model.sha256, model.dimension)
        for model in pipeline.embedding_models.values()
    ]
    available = {
        embedding_contract(sha256, dimension): name
        for name, sha256 in _models_at_hand(config.models.folder)
        for dimension in _DIMENSIONS
    }
    return ModelNames(loaded, available, pipeline.next_problem)


def warn_of_unserved(galleries: Galleries) -> None:
    """Log which galleries cannot be searched, because their model is not loaded."""
    unserved = galleries.unserved()
    for error in unserved[:_MOST_WARNINGS]:
        _log.warning("gallery cannot be searched", gallery=error.gallery_id, problem=str(error))
    if len(unserved) > _MOST_WARNINGS:
        further = len(unserved) - _MOST_WARNINGS
        _log.warning("further galleries cannot be searched, their models are not loaded", galleries=further)


def _models_at_hand(folder: Path | None) -> Iterator[tuple[str, str]]:
    """Names and digests of models that the settings can name, without reading their files."""
    if folder is not None:
        with suppress(ModelError):
            for name, origin in read_manifest(folder).items():
                if (folder / name).is_file():
                    yield name.removesuffix(".onnx"), origin.sha256
    for name, origin in packaged_origins().items():
        yield name, origin.sha256
