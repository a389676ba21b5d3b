"""Identify in this process, without a server, for benchmarks that compare the two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from facet.runtime.cores import usable_cores
from facet.server.config import Config, GalleryConfig, ModelsConfig, ServerConfig
from facet.server.models import load_pipeline
from facet.server.scheduling.work import Work
from facet.server.services.identification import identify
from facet.v1.recognition_service_pb2 import IdentifyResponse
from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from gallery.stores.sqlite.sqlite_store import SqliteStore
from recognizer.pipeline import FacePipeline
from recognizer.progress import finish
from recognizer.sources import Encoded

GALLERY, SUBJECT = "bench", "yao-ming"


@dataclass(frozen=True, slots=True)
class LocalIdentify:
    """Calls the function that the server calls on a worker thread.

    Attributes:
        pipeline: the models.
        galleries: with the gallery :data:`GALLERY`, once it is created.
    """

    pipeline: FacePipeline
    galleries: Galleries

    def __call__(self, data: bytes) -> IdentifyResponse:
        """Identify the faces of an encoded picture."""
        return finish(identify(self.pipeline, self.galleries, Encoded(data), Work(), gallery_id=GALLERY))

    def create_gallery(self) -> None:
        """Create the gallery :data:`GALLERY`."""
        self.galleries.create_gallery(GALLERY, display_name="")

    def enroll(self, data: bytes) -> None:
        """Enrol the only face of an encoded picture as :data:`SUBJECT`."""
        (face,) = self.pipeline.align(self.pipeline.analyze(Encoded(data)))
        x1, y1, x2, y2 = face.faces.boxes[0].tolist()
        enrollment = Enrollment(
            embedding=self.pipeline.embed([face], as_template=True)[0],
            contract=self.pipeline.contract,
            picture_sha256=Encoded(data).sha256(),
            box=(x1, y1, x2, y2),
            quality=face.quality.value,
            display_name="",
            request_id="",
            request_digest="",
            accept_lookalike=False,
        )
        self.galleries.enroll(GALLERY, SUBJECT, enrollment)


def local_config(database: Path, *, objects: str | None = None, preset: str | None = None) -> Config:
    """The server's default settings, whatever the environment says.

    Args:
        database: path of the SQLite database.
        objects: ``models.objects``; ``None`` for the default.
        preset: ``server.preset``; ``None`` for the default.
    """
    return Config.model_construct(
        gallery=GalleryConfig(database=database),
        models=ModelsConfig.model_validate({} if objects is None else {"objects": objects}),
        server=ServerConfig.model_validate({} if preset is None else {"preset": preset}),
    )


@contextmanager
def open_in_process(config: Config) -> Iterator[LocalIdentify]:
    """Load the models and open the database of a configuration."""
    pipeline = load_pipeline(config)
    with open_galleries(config, pipeline) as galleries:
        yield LocalIdentify(pipeline, galleries)


@contextmanager
def open_galleries(config: Config, pipeline: FacePipeline) -> Iterator[Galleries]:
    """Open the database of a configuration for the embeddings of a pipeline."""
    galleries = Galleries(
        SqliteStore(config.gallery.database),
        contract=pipeline.contract,
        dimension=pipeline.dimension,
        max_templates_per_subject=config.enrollment.max_templates_per_subject,
        search_threads=usable_cores(),
        default_threshold=config.gallery.default_threshold,
    )
    try:
        yield galleries
    finally:
        galleries.close()
