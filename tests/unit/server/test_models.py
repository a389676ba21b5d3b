"""What the server says about the models that it loads."""

from __future__ import annotations

import structlog

from facet.runtime.inference.providers import CPU_PROVIDER
from facet.server.config import Config, ModelsConfig
from facet.server.models import load_pipeline


def test_a_warning_says_that_models_do_not_run_on_the_preferred_provider() -> None:
    wanted = ("CUDAExecutionProvider", CPU_PROVIDER)
    with structlog.testing.capture_logs() as logged:
        pipeline = load_pipeline(Config(models=ModelsConfig(objects="none", providers=wanted)))
    (warning,) = [each for each in logged if each["log_level"] == "warning"]
    assert warning["preferred"] == wanted[0]
    assert "install onnxruntime-gpu" in warning["why"]
    assert {model.role: model.runtime for model in pipeline.models} == {
        role: warning[role] for role in ("faces", "embedding")
    }


def test_the_default_provider_brings_no_warning() -> None:
    with structlog.testing.capture_logs() as logged:
        load_pipeline(Config(models=ModelsConfig(objects="none")))
    assert logged == []


def test_a_next_model_that_cannot_be_loaded_is_one_line_in_the_log() -> None:
    with structlog.testing.capture_logs() as logged:
        pipeline = load_pipeline(Config(models=ModelsConfig(objects="none", embedding_next="missing")))
    (error,) = logged
    assert error["log_level"] == "error"
    assert error["model"] == "missing"
    assert error["problem"] == pipeline.next_problem
    assert "model 'missing' not found" in error["problem"]
    assert list(pipeline.embedding_models) == [pipeline.contract]
