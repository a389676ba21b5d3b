"""What a stream's tracker hears of a gallery: of people who were told apart, and of its migration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facet.server.streaming.perception import StreamGallery
from facet.tracking.records import ContractReplaced, GalleryUnavailable
from gallery.galleries import Galleries
from gallery.records.migrations import ModelVersion
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.unit.gallery.samples import CONTRACT, DIMENSION, axis, between, face, opened


def test_each_candidate_of_a_track_knows_its_twin(tmp_path: Path) -> None:
    galleries = opened(tmp_path / "facet.db")
    galleries.create_gallery("g", display_name="", threshold=0.5)
    for subject_id, embedding in (("ann", axis(0)), ("beth", between(axis(0), axis(1), 0.7)), ("cid", axis(2))):
        galleries.enroll("g", subject_id, face(embedding, accept_lookalike=True))
    stream = StreamGallery(galleries, "g", threshold=0.5)
    before = stream.revision()
    galleries.corrections.set_distinct("g", "ann", "beth", is_distinct=True)
    assert stream.revision() != before  # tracks are decided again
    (best,) = stream.search(np.stack([axis(0)]), CONTRACT)
    assert best is not None
    assert (best.subject_id, best.told_apart_from, round(best.told_apart_margin, 3)) == ("ann", "beth", 0.3)
    assert best.next is not None
    assert (best.next.told_apart_from, round(best.next.told_apart_margin, 3)) == ("ann", -0.3)
    (other,) = stream.search(np.stack([axis(2)]), CONTRACT)
    assert other is not None
    assert other.told_apart_from == ""
    galleries.close()


def test_a_twin_who_is_not_among_the_candidates_is_as_far_away_as_it_was_measured(tmp_path: Path) -> None:
    galleries = opened(tmp_path / "facet.db")
    galleries.create_gallery("g", display_name="", threshold=0.5)
    for number, (subject_id, cosine) in enumerate((("ann", 0.8), ("cid", 0.78), ("dan", 0.77), ("beth", 0.73)), 1):
        galleries.enroll("g", subject_id, face(between(axis(0), axis(number), cosine), accept_lookalike=True))
    galleries.corrections.set_distinct("g", "ann", "beth", is_distinct=True)
    (best,) = StreamGallery(galleries, "g", threshold=0.5).search(np.stack([axis(0)]), CONTRACT)
    assert best is not None
    # So far that a track that has ann's name keeps it.
    assert (best.subject_id, best.told_apart_from, round(best.told_apart_margin, 3)) == ("ann", "beth", 0.07)
    galleries.close()


def migrating(path: Path) -> Galleries:
    """Galleries of a server with two models, one of which is being migrated: to both, "ann" looks otherwise."""
    galleries = Galleries(
        SqliteStore(path), contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=5, further={"new": 4}
    )
    galleries.migrations.models = (
        ModelVersion(CONTRACT, "old", "a" * 64, DIMENSION),
        ModelVersion("new", "new", "b" * 64, 4),
    )
    galleries.create_gallery("g", display_name="", threshold=0.5)
    galleries.migrations.start("g", "new")
    galleries.migrations.update("g", threshold=0.25)
    galleries.enroll("g", "ann", replace(face(axis(0)), further={"new": np.eye(4, dtype=np.float32)[3]}))
    return galleries


def test_a_stream_searches_with_the_contract_of_its_gallery_and_the_threshold_of_that(tmp_path: Path) -> None:
    galleries = migrating(tmp_path / "facet.db")
    stream = StreamGallery(galleries, "g", threshold=None)
    probes = {CONTRACT: np.stack([axis(0)]), "new": np.eye(4, dtype=np.float32)[3:]}
    states = []
    for change in (galleries.get_gallery, galleries.migrations.switch, galleries.migrations.roll_back):
        change("g")
        states.append((contract := stream.contract(), stream.threshold(contract)))
        for contract, threshold in ((CONTRACT, 0.5), ("new", 0.25)):  # a frame is searched as it began
            (found,) = stream.search(probes[contract], contract)
            assert found is not None
            assert (found.subject_id, found.threshold) == ("ann", threshold)
            assert found.similarity == pytest.approx(1)
    assert states == [(CONTRACT, 0.5), ("new", 0.25), (CONTRACT, 0.5)]
    galleries.close()


def test_every_switch_is_another_revision(tmp_path: Path) -> None:
    galleries = migrating(tmp_path / "facet.db")
    stream = StreamGallery(galleries, "g", threshold=None)
    revisions = [stream.revision()]
    for change in (galleries.migrations.switch, galleries.migrations.roll_back, galleries.migrations.switch):
        change("g")
        revisions.append(stream.revision())
    assert len(set(revisions)) == 4
    galleries.close()


def test_embeddings_of_a_contract_that_was_dropped_are_outdated_and_no_error_of_the_gallery(tmp_path: Path) -> None:
    galleries = migrating(tmp_path / "facet.db")
    stream = StreamGallery(galleries, "g", threshold=None)
    galleries.migrations.switch("g")
    galleries.migrations.finish("g")
    with pytest.raises(ContractReplaced):
        stream.search(np.stack([axis(0)]), CONTRACT)
    galleries.delete_gallery("g", force=True)
    assert stream.contract() == CONTRACT  # faces are embedded with the last one, and nobody is named
    with pytest.raises(GalleryUnavailable):
        stream.search(np.stack([axis(0)]), CONTRACT)
    galleries.close()
