"""A server migrates galleries to another embedding model in the background."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import LARGEST, Client
from facet.v1 import migrations_pb2 as pb
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
