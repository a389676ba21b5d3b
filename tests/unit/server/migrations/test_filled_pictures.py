"""Original pictures that fill gaps one after the other do not have all gaps counted after each of them."""

from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from facet import picture
from facet.server.config import Config, ModelsConfig
from facet.server.migrations.worker import MigrationWorker
from facet.server.model_names import model_names
from facet.server.models import load_pipeline
from facet.server.scheduling.work import Work
from facet.server.scheduling.workers import Workers
from facet.server.services.migrations.gaps import MigrationGaps
from facet.v1 import migrations_pb2 as pb
from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from gallery.stores.sqlite.sqlite_store import SqliteStore
from recognizer.sources import Encoded
from tests.unit.server.migrations.samples import Embedder, Seconds, axis

if TYPE_CHECKING:
    from tests.conftest import Pictures

PEOPLE = 3


async def test_gaps_are_counted_every_30_s_at_most_whatever_is_filled_meanwhile(
    tmp_path: Path, second_model: Path, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(models=ModelsConfig(objects="none", embedding_next=str(second_model)))
    pipeline = load_pipeline(config)
    galleries = Galleries(
        SqliteStore(tmp_path / "facet.db"),
        contract=pipeline.contract,
        dimension=pipeline.dimension,
        max_templates_per_subject=1,
        further={model.contract: model.dimension for model in pipeline.embedding_models.values()},
    )
    with closing(galleries), closing(Workers(threads=1, max_queue=1)) as workers:
        galleries.name_models(model_names(config, pipeline))
        galleries.create_gallery("g", display_name="")
        x1, y1, x2, y2 = pipeline.analyze(Encoded(pictures.yaoming)).faces.boxes[0].tolist()
        originals = [pictures.yaoming + bytes([number]) for number in range(PEOPLE)]
        for number, original in enumerate(originals):
            face = np.resize(axis(number), pipeline.dimension)
            digest = hashlib.sha256(original).hexdigest()
            galleries.enroll("g", f"p{number}", Enrollment(face, pipeline.contract, digest, (x1, y1, x2, y2), 1.0))
        galleries.migrations.start("g", second_model.stem)
        clock, count, counted = Seconds(), galleries.migrations.gaps.count, []

        def counting(gallery_id: str) -> tuple[int, int]:
            counted.append(clock.seconds)
            return count(gallery_id)

        monkeypatch.setattr(galleries.migrations.gaps, "count", counting)
        worker = MigrationWorker(galleries, clock=clock)
        gaps = MigrationGaps(pipeline, workers, galleries, worker)
        begun = clock.seconds
        assert worker.take_turns(Embedder()) == 30
        for original in originals[:-1]:
            answer = await gaps.fill(pb.FillMigrationGapRequest(gallery_id="g", picture=picture(original)), Work())
            assert len(answer.templates) == 1
            assert worker.take_turns(Embedder()) > 0
        assert counted == [begun]
        clock.seconds += 30
        worker.take_turns(Embedder())
        assert counted == [begun, begun + 30]
        standing = worker.standing(galleries.get_gallery("g"))
        assert (standing.done, standing.waiting, standing.missing) == (PEOPLE - 1, 0, 1)
