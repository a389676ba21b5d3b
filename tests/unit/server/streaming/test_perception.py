"""What a stream's tracker hears of a gallery in which people were told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facet.server.streaming.perception import StreamGallery
from tests.unit.gallery.samples import axis, between, face, opened


def test_each_candidate_of_a_track_knows_its_twin(tmp_path: Path) -> None:
    galleries = opened(tmp_path / "facet.db")
    galleries.create_gallery("g", display_name="", threshold=0.5)
    for subject_id, embedding in (("ann", axis(0)), ("beth", between(axis(0), axis(1), 0.7)), ("cid", axis(2))):
        galleries.enroll("g", subject_id, face(embedding, accept_lookalike=True))
    stream = StreamGallery(galleries, "g", threshold=0.5)
    before = stream.revision()
    galleries.corrections.set_distinct("g", "ann", "beth", is_distinct=True)
    assert stream.revision() != before  # tracks are decided again
    (best,) = stream.search(np.stack([axis(0)]))
    assert best is not None
    assert (best.subject_id, best.told_apart_from, round(best.told_apart_margin, 3)) == ("ann", "beth", 0.3)
    assert best.next is not None
    assert (best.next.told_apart_from, round(best.next.told_apart_margin, 3)) == ("ann", -0.3)
    (other,) = stream.search(np.stack([axis(2)]))
    assert other is not None
    assert other.told_apart_from == ""
    galleries.close()


def test_a_twin_who_is_not_among_the_candidates_is_as_far_away_as_it_was_measured(tmp_path: Path) -> None:
    galleries = opened(tmp_path / "facet.db")
    galleries.create_gallery("g", display_name="", threshold=0.5)
    for number, (subject_id, cosine) in enumerate((("ann", 0.8), ("cid", 0.78), ("dan", 0.77), ("beth", 0.73)), 1):
        galleries.enroll("g", subject_id, face(between(axis(0), axis(number), cosine), accept_lookalike=True))
    galleries.corrections.set_distinct("g", "ann", "beth", is_distinct=True)
    (best,) = StreamGallery(galleries, "g", threshold=0.5).search(np.stack([axis(0)]))
    assert best is not None
    # So far that a track that has ann's name keeps it.
    assert (best.subject_id, best.told_apart_from, round(best.told_apart_margin, 3)) == ("ann", "beth", 0.07)
    galleries.close()
