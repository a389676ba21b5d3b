"""The table of gaps says of which model an embedding is missing, if it is not the same for all."""

from __future__ import annotations

import pytest

from facet.cli.gallery.migrate.gaps.listing import print_gaps, summary
from facet.v1 import migrations_pb2 as pb

MIGRATION = pb.Migration(
    from_model=pb.MigrationModel(contract="a", name="old"), to_model=pb.MigrationModel(contract="b", name="new")
)
NO_CROP, DAMAGED = pb.MIGRATION_GAP_REASON_NO_CROP, pb.MIGRATION_GAP_REASON_CROP_DAMAGED
OF_NEW = pb.MigrationGap(subject_id="ann", picture_sha256="1" * 64, reason=NO_CROP, contract="b")
OF_OLD = pb.MigrationGap(subject_id="bob", picture_sha256="2" * 64, reason=DAMAGED, contract="a")


def test_the_model_is_named_where_both_miss_embeddings(capsys: pytest.CaptureFixture[str]) -> None:
    print_gaps([OF_NEW], MIGRATION)
    assert "model" not in capsys.readouterr().out
    print_gaps([OF_NEW, OF_OLD], MIGRATION)
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["ann", "new", "no", "crop", "was", "kept", "1" * 16] in said
    assert ["bob", "old", "its", "crop", "is", "damaged", "2" * 16] in said


def test_gaps_are_counted_by_their_reasons_with_the_model_if_it_is_the_same_for_all() -> None:
    counts = "2 templates of 2 people without an embedding (no crop was kept: 1, its crop is damaged: 1)"
    assert summary([OF_NEW, OF_OLD], MIGRATION) == counts
    assert summary([OF_OLD], MIGRATION) == "1 template of 1 person without an embedding of old (its crop is damaged: 1)"


def test_a_long_table_says_how_many_are_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    print_gaps([OF_NEW] * 60, MIGRATION)
    assert "... and 10 more; --json lists all" in capsys.readouterr().out
