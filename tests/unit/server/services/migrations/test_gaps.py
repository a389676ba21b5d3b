"""A picture of several people whose templates miss an embedding: searched once, and each face as if it was alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facet.runtime.pictures import DecodedPicture
from facet.server.scheduling.work import Work
from facet.server.services.migrations.gaps import embed_gaps
from gallery.migration.gaps import Gap
from gallery.records.galleries import Gallery
from gallery.records.templates import StoredFace, Template
from recognizer.models.loading import load_models
from recognizer.pipeline import FacePipeline
from recognizer.progress import Turns, finish
from recognizer.settings import ModelSettings
from recognizer.sources import Encoded, decode_here
from tests.integration.gallery.stores.samples import NOW, new_gallery, new_subject

if TYPE_CHECKING:
    from tests.conftest import Pictures


class Decodings:
    """Decodes, and counts how often."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, data: bytes, *, max_pixels: int, longer_side: int | None = None) -> Turns[DecodedPicture]:
        self.count += 1
        return decode_here(data, max_pixels=max_pixels, longer_side=longer_side)


def gap(gallery: Gallery, contract: str, subject_id: str, box: tuple[float, float, float, float]) -> Gap:
    template = Template(f"t-{subject_id}", gallery.gallery_id, subject_id, "p", box, 1.0, NOW)
    return Gap(contract, StoredFace(new_subject(gallery, subject_id), template, None, None))


def as_bytes(embeddings: Sequence[NDArray[np.float32] | None]) -> list[bytes]:
    return [each.tobytes() for each in embeddings if each is not None]


def test_a_picture_is_searched_once_for_all_its_templates_and_thoroughly_once_for_those_without_a_face(
    pictures: Pictures,
) -> None:
    decodings, gallery, source = Decodings(), new_gallery(), Encoded(pictures.players)
    pipeline = FacePipeline(load_models(ModelSettings(objects=None)), decode=decodings)
    analysis, _ = finish(pipeline.analyze_and_align_in_turns(source))
    boxes = [(x1, y1, x2, y2) for x1, y1, x2, y2 in analysis.faces.boxes[[4, 0, 2, 0]].tolist()]
    gaps = [gap(gallery, pipeline.contract, f"s{number}", box) for number, box in enumerate(boxes)]
    alone = [finish(embed_gaps(pipeline, source, [each], Work()))[0] for each in gaps]

    decodings.count = 0
    together = finish(embed_gaps(pipeline, source, gaps, Work()))
    assert decodings.count == 1
    assert [each is None for each in (*alone, *together)] == [False] * 8
    assert as_bytes(together) == as_bytes(alone)
    assert as_bytes(together[1:2]) == as_bytes(together[3:])

    nobody = [gap(gallery, pipeline.contract, f"n{number}", (0.0, 0.0, 9.0, 9.0)) for number in range(2)]
    decodings.count = 0
    found = finish(embed_gaps(pipeline, source, [nobody[0], *gaps[:2], nobody[1]], Work()))
    assert decodings.count == 2
    assert [each is None for each in found] == [True, False, False, True]
    assert as_bytes(found[1:3]) == as_bytes(together[:2])
