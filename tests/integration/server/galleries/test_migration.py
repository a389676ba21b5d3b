"""A server migrates galleries to another embedding model in the background."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from facet import LARGEST, Client
from facet.cli.app import app
from facet.v1 import migrations_pb2 as pb
from facet.v1 import recognition_service_pb2 as recognition_pb
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving, Start


@pytest.fixture(scope="module")
def both(start: Start, second_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with both models."""
    flags = ("--models.objects", "none", "--models.embedding-next", str(second_model), "--enrollment.keep-crops")
    serving = start(tmp_path_factory.mktemp("both"), *flags)
    try:
        yield serving
    finally:
        serving.stop()


@pytest.fixture(scope="module")
def client(both: Serving) -> Iterator[Client]:
    with Client(both.address) as connected:
        yield connected


def in_state(client: Client, gallery: str, state: pb.MigrationState.ValueType) -> Callable[[], bool]:
    return lambda: client.get_gallery(gallery).migration.state == state


def test_a_gallery_is_embedded_in_the_background_and_the_old_embeddings_are_dropped(
    client: Client, pictures: Pictures
) -> None:
    client.create_gallery("a")
    for number in range(5):
        client.enroll("a", f"p{number}", pictures.yaoming + bytes(number), accept_lookalike=True)
    started = client.start_migration("a", "second")
    assert (started.templates_with_crop, started.templates_without_crop) == (5, 0)
    until(in_state(client, "a", pb.MIGRATION_STATE_READY))
    client.enroll("a", "p5", pictures.yaoming + bytes(5), accept_lookalike=True)
    shown = client.get_gallery("a").migration
    assert (shown.templates_done, shown.templates_waiting, shown.templates_missing, shown.problem) == (6, 0, 0, "")
    client.switch_migration("a", allow_default_threshold=True)
    contract = shown.to_model.contract
    template = client.analyze_faces(
        pictures.yaoming, include_embeddings=True, embed_as_templates=True, contract=contract, face=LARGEST
    )
    (face,) = template.faces
    found = client.search_embedding("a", face.embedding, top_k=6)
    # Each template is what an enrolment with the new model would have made.
    assert [round(each.similarity, 6) for each in found.identification.candidates] == [1.0] * 6
    client.finish_migration("a")
    until(lambda: not client.get_gallery("a").HasField("migration"))
    assert client.get_gallery("a").contract == contract
    assert client.get_gallery("a").template_count == 6


def test_what_is_said_about_answers_tells_their_model_and_figures_are_those_of_the_one_that_searches(
    client: Client, both: Serving, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.create_gallery("outcomes")
    client.enroll("outcomes", "yao", pictures.yaoming)
    client.start_migration("outcomes", "second")
    until(in_state(client, "outcomes", pb.MIGRATION_STATE_READY))

    def answered(is_right: bool) -> recognition_pb.Identification:
        (face,) = client.identify("outcomes", pictures.yaoming, threshold=0.0).faces
        client.report_outcome("outcomes", face.identification.answer_id, is_right)
        return face.identification

    answers = [answered(False) for _ in range(2)]
    client.switch_migration("outcomes", allow_default_threshold=True)
    answers.append(answered(True))
    (found,) = client.analyze_faces(pictures.yaoming, include_embeddings=True).faces
    searched = client.search_embedding("outcomes", found.embedding, threshold=0.0).identification  # by the old model
    client.report_outcome("outcomes", searched.answer_id, True)

    shown = client.get_gallery("outcomes").migration
    old, new = (shown.from_model.contract, "w600k_mbf"), (shown.to_model.contract, "second")
    said = list(client.iter_outcomes("outcomes"))
    assert [(each.contract, each.model) for each in said] == [old, old, new, old]
    assert [each.similarity for each in said] == [each.candidates[0].similarity for each in (*answers, searched)]

    monkeypatch.setenv("FACET_ADDRESS", both.address)
    evaluated = CliRunner().invoke(app, ["evaluate", "outcomes", "outcomes", "--json"], catch_exceptions=False)
    figures = json.loads(evaluated.stdout)
    counts = ("reported", "right_matches", "wrong_matches", "reported_of_other_models")
    assert [figures[name] for name in counts] == [1, 1, 0, 3]
    rows = [(row["model"], row["searches"], row["reported"]) for row in figures["tables"]["by_model"]]
    assert rows == [("second", True, 1), ("w600k_mbf", False, 3)]
    assert figures["mistakes"] == {}
    table = CliRunner().invoke(app, ["evaluate", "outcomes", "outcomes"], catch_exceptions=False).stdout
    assert "w600k_mbf" in table
    assert "reported_of_other_models" in table
