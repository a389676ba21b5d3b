"""A stream over the switch of its gallery to another model and back: nobody loses a name, and no frame fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from facet import Client
from facet.v1.server_service_pb2 import GetServerInfoRequest
from tests.integration.server.recognition.test_streams import RATE, Array, asking, clip, enroll, kinds, lossless, named

if TYPE_CHECKING:
    from tests.conftest import Pictures, Start


@pytest.fixture(scope="module")
def client(start: Start, second_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server with two models."""
    flags = ("--models.objects", "none", "--models.embedding-next", str(second_model))
    serving = start(tmp_path_factory.mktemp("both"), *flags)
    try:
        with Client(serving.address) as connected:
            yield connected
    finally:
        serving.stop()


@pytest.fixture(scope="module")
def players(pictures: Pictures) -> Array:
    return np.asarray(cv2.imdecode(np.frombuffer(pictures.players, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def migrate(client: Client, gallery: str) -> None:
    client.start_migration(gallery, client.server.GetServerInfo(GetServerInfoRequest()).embedding_models[1].name)
    client.update_migration(gallery, threshold=0.3)


def test_a_stream_is_switched_rolled_back_and_finished_without_an_event(
    client: Client, gallery: str, pictures: Pictures, players: Array
) -> None:
    migrate(client, gallery)
    enroll(client, gallery, pictures)  # with both models
    frames = iter(clip(players, 100))
    changes = (
        client.switch_migration,
        client.roll_back_migration,
        client.switch_migration,
        client.finish_migration,
    )
    with asking(client, lossless(gallery)) as ask:
        before = [ask(next(frames)) for _ in range(2 * RATE)]  # the man beside him is unknown by now
        assert kinds(before, "left") == ["IDENTIFIED"]
        for change in changes:
            change(gallery)
            answers = [ask(next(frames)) for _ in range(RATE)]
            assert not any(answer.status.code or answer.events for answer in answers)
            assert all("left" in named(answer) for answer in answers)


def test_tracks_are_decided_again_by_the_model_that_searches(
    client: Client, gallery: str, pictures: Pictures, players: Array
) -> None:
    enroll(client, gallery, pictures)  # with the old model only: the new one finds nobody
    migrate(client, gallery)
    frames = iter(clip(players, 100))
    with asking(client, lossless(gallery)) as ask:
        before = [ask(next(frames)) for _ in range(2 * RATE)]
        assert kinds(before, "left") == ["IDENTIFIED"]
        migration = client.get_gallery(gallery).migration
        contracts = migration.from_model.contract, migration.to_model.contract
        client.switch_migration(gallery, allow_missing=True)
        after = [ask(next(frames)) for _ in range(2 * RATE)]
        assert kinds(after, "left") == ["CHANGED"]
        client.roll_back_migration(gallery)
        again = [ask(next(frames))]
        assert kinds(again, "left") == ["IDENTIFIED"]
    for answers in (before, after, again):
        for event in (event for answer in answers for event in answer.events if event.answer_id):
            client.report_outcome(gallery, event.answer_id, True)
            told = list(client.iter_outcomes(gallery))[-1].contract
            assert told == contracts[answers is after], "an answer tells the model that decided it"
