"""The status of a migration counts the templates that miss an embedding, of whichever model it is."""

from __future__ import annotations

import pytest

from facet.cli.gallery.migrate.standing.report import print_state
from facet.cli.gallery.migrate.standing.steps import Steps
from facet.client.channel import DEFAULT_ADDRESS
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import migrations_pb2 as pb

OLD = pb.MigrationModel(contract="a" * 64, name="w600k_mbf", dimension=512, is_loaded=True)
NEW = pb.MigrationModel(contract="b" * 64, name="mobilefacenet-128", dimension=128, is_loaded=True)


@pytest.mark.parametrize("state", [pb.MIGRATION_STATE_READY, pb.MIGRATION_STATE_SWITCHED])
def test_templates_are_counted_without_saying_whose_embedding_is_missing(
    state: pb.MigrationState.ValueType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    migration = pb.Migration(from_model=OLD, to_model=NEW, state=state, templates_done=591, templates_missing=1)
    print_state(gallery_pb.Gallery(gallery_id="team", migration=migration), Steps("team", DEFAULT_ADDRESS))
    said = capsys.readouterr().out
    assert "591 with embeddings of both models, 0 waiting, 1 missing one" in said
    assert "embeddings of w600k_mbf  " not in said
    assert "next: facet gallery migrate fill team FOLDER" in said
