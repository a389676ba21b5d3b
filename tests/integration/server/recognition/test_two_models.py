"""A server with a second embedding model beside the first, and servers that cannot load one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from facet import LARGEST, Client, InvalidArgument
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.server_service_pb2 import GetServerInfoRequest, GetServerInfoResponse
from tests.second_model import DIMENSION

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving, Start

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def both(start: Start, second_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with both models."""
    flags = ("--models.objects", "none", "--models.embedding-next", str(second_model))
    serving = start(tmp_path_factory.mktemp("both"), *flags)
    try:
        yield serving
    finally:
        serving.stop()


@pytest.fixture(scope="module")
def client(both: Serving) -> Iterator[Client]:
    with Client(both.address) as connected:
        yield connected


@pytest.fixture(scope="module")
def info(client: Client) -> GetServerInfoResponse:
    return client.server.GetServerInfo(GetServerInfoRequest())


def vectors(response: pb.AnalyzeFacesResponse) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array([face.embedding.values for face in response.faces], np.float32)


def test_the_server_tells_which_models_embed(info: GetServerInfoResponse) -> None:
    first, second = info.embedding_models
    assert (first.contract, first.dimension, first.name) == (info.contract, info.embedding_dimension, "w600k_mbf")
    assert (second.dimension, second.name) == (DIMENSION, "second")
    by_role = {model.role: model.sha256 for model in info.models}
    assert (by_role["embedding"], by_role["embedding_next"]) == (first.sha256, second.sha256)
    assert info.embedding_next_problem == ""


def test_a_caller_chooses_the_model_that_embeds(
    client: Client, info: GetServerInfoResponse, pictures: Pictures
) -> None:
    first, second = (model.contract for model in info.embedding_models)
    answers = [
        client.analyze_faces(pictures.six, include_embeddings=True, contract=contract)
        for contract in ("", first, second)
    ]
    assert [{face.embedding.contract for face in each.faces} for each in answers] == [{first}, {first}, {second}]
    unnamed, named, other = map(vectors, answers)
    assert (unnamed == named).all()
    assert other.shape == (6, DIMENSION)
    templates = client.analyze_faces(
        pictures.six, include_embeddings=True, embed_as_templates=True, contract=second, face=LARGEST
    )
    assert 0.9 < max(other @ vectors(templates)[0]) < 1


def test_each_model_finds_the_man_in_the_squad(client: Client, info: GetServerInfoResponse, pictures: Pictures) -> None:
    boxes = set()
    for model in info.embedding_models:
        man, squad = (
            client.analyze_faces(picture, include_embeddings=True, contract=model.contract)
            for picture in (pictures.yaoming, pictures.players)
        )
        similarities = vectors(squad) @ vectors(man)[0]
        assert similarities.max() > 0.5
        boxes.add(str(squad.faces[int(similarities.argmax())].face.box))
    assert len(boxes) == 1


@pytest.mark.parametrize("include_embeddings", [True, False])
def test_a_contract_that_no_model_has_is_refused_and_those_that_are_loaded_are_named(
    client: Client, info: GetServerInfoResponse, pictures: Pictures, *, include_embeddings: bool
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        client.analyze_faces(pictures.yaoming, include_embeddings=include_embeddings, contract="f" * 64)
    assert (caught.value.reason, list(caught.value.fields)) == ("INVALID_FIELD", ["contract"])
    for model in info.embedding_models:
        assert f"{model.contract} ({model.name})" in caught.value.fields["contract"]


def test_people_are_enrolled_and_found_by_the_first_model(
    client: Client, info: GetServerInfoResponse, pictures: Pictures
) -> None:
    gallery = client.create_gallery("first")
    assert gallery.contract == info.contract
    client.enroll("first", "yao", pictures.yaoming)
    found = [face.identification.candidates[0].similarity for face in client.identify("first", pictures.players).faces]
    assert max(found) > 0.5


def test_status_shows_both_models(run_script: Run, both: Serving, info: GetServerInfoResponse) -> None:
    shown = run_script("status.py", "--address", both.address).stdout
    for model in info.embedding_models:
        (line,) = [each for each in shown.splitlines() if model.contract[:12] in each]
        assert line.split()[:2] == [model.name, str(model.dimension)]
    assert "embedding_next" in shown
    status = json.loads(run_script("status.py", "--address", both.address, "--json").stdout)
    assert [model["contract"] for model in status["embedding_models"]] == [
        model.contract for model in info.embedding_models
    ]
    assert status["embedding_next_problem"] == ""


def test_a_server_that_cannot_load_the_next_model_says_so_and_serves_on(
    serve: Serve, run_script: Run, tmp_path: Path, pictures: Pictures
) -> None:
    folder = tmp_path / "secret project"
    folder.mkdir()
    damaged = folder / "damaged.onnx"
    damaged.write_bytes(b"This is no model.\n" * 100)
    serving = serve("--models.objects", "none", "--models.embedding-next", str(damaged))
    (line,) = [each for each in serving.log_lines() if each["level"] == "error"]
    assert line["event"] == "cannot load models.embedding_next, serving without it"
    assert line["model"] == str(damaged)
    with Client(serving.address) as client:
        info = client.server.GetServerInfo(GetServerInfoRequest())
        assert line["problem"] == info.embedding_next_problem
        assert "damaged.onnx" in info.embedding_next_problem
        assert "secret" not in str(info), "callers learn no folders"
        assert [model.contract for model in info.embedding_models] == [info.contract]
        client.create_gallery("team")
        client.enroll("team", "yao", pictures.yaoming)
        assert client.identify("team", pictures.yaoming).faces[0].identification.candidates[0].subject_id == "yao"
    shown = run_script("status.py", "--address", serving.address).stdout
    assert "models.embedding_next: " in shown
    assert serving.stop() == 0
