"""A pipeline with a second recognition model beside the first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from recognizer.analysis import AlignedFace
from recognizer.errors import ContractNotLoaded
from recognizer.models.loading import load_models
from recognizer.pipeline import EmbeddingModel, FacePipeline
from recognizer.settings import ModelSettings
from recognizer.sources import Encoded
from tests.second_model import DIMENSION
from tests.unit.recognizer.models.adding.foreign_models import (
    write_constant,
    write_of_two_inputs,
    write_with_weights_elsewhere,
)

if TYPE_CHECKING:
    from tests.conftest import Pictures


@pytest.fixture(scope="module")
def pipeline(second_model: Path) -> FacePipeline:
    return FacePipeline(load_models(ModelSettings(objects=None, embedding_next=str(second_model))))


@pytest.fixture(scope="module")
def faces(pipeline: FacePipeline, pictures: Pictures) -> list[AlignedFace]:
    return pipeline.align(pipeline.analyze(Encoded(pictures.six)))


def write_damaged(path: Path) -> Path:
    path.write_bytes(b"This is no model.\n" * 100)
    return path


def test_the_first_model_is_first_and_stays_the_one_that_is_used(pipeline: FacePipeline, second_model: Path) -> None:
    first, second = pipeline.embedding_models.values()
    assert first == EmbeddingModel(pipeline.contract, pipeline.dimension, "w600k_mbf", pipeline.embedding_model)
    assert (second.dimension, second.name) == (DIMENSION, "second")
    assert {model.role: model.file.path for model in pipeline.models}["embedding_next"] == second_model
    assert {model.role: model.file.sha256 for model in pipeline.models}["embedding_next"] == second.sha256
    assert pipeline.next_problem == ""


def test_faces_are_embedded_by_the_model_of_a_contract(
    pipeline: FacePipeline, faces: list[AlignedFace], second_model: Path
) -> None:
    alone = FacePipeline(load_models(ModelSettings(objects=None, embedding=str(second_model))))
    first, second = pipeline.embedding_models
    crops = [face.crop for face in faces]
    for as_template in (False, True):
        expected = alone.embed(faces, as_template=as_template)
        assert expected.shape == (6, DIMENSION)
        assert (pipeline.embed(faces, as_template=as_template, contract=second) == expected).all()
        assert (pipeline.embed_crops(crops, as_template=as_template, contract=second) == expected).all()
        unnamed = pipeline.embed(faces, as_template=as_template)
        assert unnamed.shape == (6, pipeline.dimension)
        assert (pipeline.embed(faces, as_template=as_template, contract=first) == unnamed).all()


def test_the_second_model_tells_people_apart_too(pipeline: FacePipeline, pictures: Pictures) -> None:
    yao = pipeline.align(pipeline.analyze(Encoded(pictures.yaoming)))
    squad = pipeline.align(pipeline.analyze(Encoded(pictures.players)))
    nearest = set()
    for contract in pipeline.embedding_models:
        similarities = pipeline.embed(squad, contract=contract) @ pipeline.embed(yao, contract=contract)[0]
        nearest.add(int(np.argmax(similarities)))
        assert np.sort(similarities)[-1] > 0.5 > np.sort(similarities)[-2]
    assert len(nearest) == 1


def test_a_contract_that_no_model_has_is_refused_before_any_work(
    pipeline: FacePipeline, faces: list[AlignedFace]
) -> None:
    with pytest.raises(ContractNotLoaded) as error:
        pipeline.embed_in_turns(faces, contract="f" * 64)
    assert error.value.contract == "f" * 64
    assert isinstance(error.value, LookupError)
    with pytest.raises(ContractNotLoaded):
        pipeline.embed_crops([], contract="")


@pytest.mark.parametrize(
    ("write", "problem"),
    [
        (lambda path: path, "not found"),
        (write_damaged, "cannot"),
        (lambda path: path.with_name("n" * 300), "File name too long"),
        (write_of_two_inputs, "expected one input"),
        (write_with_weights_elsewhere, "takes weights from another file"),
        (write_constant, "embeds all pictures alike"),
    ],
)
def test_a_second_model_that_cannot_be_used_is_left_out_with_a_reason(
    write: Callable[[Path], Path], problem: str, tmp_path: Path
) -> None:
    models = load_models(ModelSettings(objects=None, embedding_next=str(write(tmp_path / "next.onnx"))))
    assert models.next_embedder is None
    assert problem in models.next_problem
    assert len(models.next_problem.splitlines()) == 1
    assert [model.role for model in models.loaded] == ["faces", "embedding"]


@pytest.mark.parametrize("name", ["w600k_mbf", "copy"])
def test_the_first_model_is_no_second_one(name: str, tmp_path: Path) -> None:
    packaged = load_models(ModelSettings(objects=None)).embedder.file.path
    (tmp_path / "copy.onnx").write_bytes(packaged.read_bytes())
    models = load_models(ModelSettings(objects=None, embedding_next=name, folder=tmp_path))
    assert models.next_embedder is None
    assert "is the same model as models.embedding" in models.next_problem
