"""Builds the pipeline that the configuration asks for."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from facet.runtime.inference.providers import CPU_PROVIDER, short, why_idle
from facet.server.config import NONE, Config
from recognizer.detection.finder import FinderSettings
from recognizer.models.loading import LoadedModel, load_models
from recognizer.pipeline import FacePipeline
from recognizer.settings import ModelSettings, PipelineSettings
from recognizer.sources import Decode, decode_here

_log = structlog.get_logger("facet.server")


def load_pipeline(config: Config, decode: Decode = decode_here) -> FacePipeline:
    """Load the models and warm them up; log why the next embedding model is left out, if it is.

    Args:
        config: the configuration.
        decode: decodes pictures; by default in the calling thread.

    Raises:
        ModelError: a model other than the next embedding model is missing, damaged or unsupported.
    """
    settings = pipeline_settings(config)
    pipeline = FacePipeline(load_models(model_settings(config), settings), settings, decode)
    pipeline.warm_up()
    _warn_of_idle_providers(config.models.providers, pipeline.models)
    if pipeline.next_problem:
        _log.error(
            "cannot load models.embedding_next, serving without it",
            model=config.models.embedding_next,
            problem=pipeline.next_problem,
        )
    return pipeline


def _warn_of_idle_providers(wanted: tuple[str, ...], models: Sequence[LoadedModel]) -> None:
    """Log which models do not run on the execution provider that is preferred."""
    preferred = short(next(iter(wanted), CPU_PROVIDER))
    idle = {
        model.role: model.runtime for model in models if preferred not in (short(CPU_PROVIDER), *model.runtime.split())
    }
    if not idle:
        return
    _log.warning("not on the preferred execution provider", preferred=wanted[0], **idle, why=why_idle(wanted))


def model_settings(config: Config) -> ModelSettings:
    """Which models to load, and how to run them."""
    models = config.models
    return ModelSettings(
        objects=None if models.objects == NONE else models.objects,
        faces=models.faces,
        embedding=models.embedding,
        embedding_next=models.embedding_next or None,
        folder=models.folder,
        runtime=models.runtime,
        precision=models.precision,
        providers=models.providers,
        preset=config.server.preset,
    )


def pipeline_settings(config: Config) -> PipelineSettings:
    """How to detect objects and faces."""
    detection = config.detection
    return PipelineSettings(
        max_pixels=config.pictures.max_pixels,
        scaled_decoding=config.pictures.scaled_decoding,
        thorough_height=detection.thorough_height,
        max_faces=detection.max_faces,
        object_size=detection.object_size,
        object_min_score=detection.object_min_score,
        person_max_enlargement=detection.person_max_enlargement,
        finder=FinderSettings(
            fine_side=detection.face_fine_side,
            min_score=detection.face_min_score,
            min_height=detection.face_min_height,
            second_look_side=FinderSettings().second_look_side if detection.second_look else 0,
            closer_look=FinderSettings().closer_look if detection.second_look else 1,
        ),
    )
