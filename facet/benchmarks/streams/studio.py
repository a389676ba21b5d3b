"""Streams in this process: the server's recogniser, galleries and tracker, which look at every frame only once."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facet import stream_frame
from facet.benchmarks.serving.in_process import local_config, open_galleries
from facet.server.models import model_settings, pipeline_settings
from facet.server.scheduling.work import Work
from facet.server.streaming.frame_processor import FrameProcessor
from facet.server.streaming.latest_frame import Frame
from facet.server.streaming.perception import StreamGallery
from facet.tracking.records import SettledTrack, TrackerSettings
from facet.v1 import recognition_service_pb2 as pb
from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from recognizer.alignment import align
from recognizer.analysis import Analysis
from recognizer.choice import only
from recognizer.errors import RecognizerError
from recognizer.fitness import need_fit
from recognizer.models.loading import load_models
from recognizer.pipeline import FacePipeline
from recognizer.progress import NO_PROGRESS, Progress, finish
from recognizer.quality import QualityLimits
from recognizer.sources import Encoded

Picture = NDArray[np.uint8]


class RememberingPipeline(FacePipeline):
    """Remembers what it has found, until it is told to forget. Not safe to use from several threads."""

    _known: dict[tuple[str, bytes], Any]

    def forget(self) -> None:
        """Forget all pictures."""
        self._known = {}

    def analyze_picture(
        self,
        picture: Picture,
        progress: Progress = NO_PROGRESS,
        *,
        face_min_score: float | None = None,
        objects_wanted: bool = False,
        turn: int | None = None,
        closer: bool = False,
    ) -> Analysis:
        """See :class:`recognizer.pipeline.FacePipeline`; the analysis has no pixels."""
        key = f"analysis {face_min_score} {objects_wanted} {turn} {closer}", _digest(picture)
        if key not in self._known:
            found = super().analyze_picture(
                picture,
                progress,
                face_min_score=face_min_score,
                objects_wanted=objects_wanted,
                turn=turn,
                closer=closer,
            )
            self._known[key] = found.without_pixels()
        analysis: Analysis = self._known[key]
        return analysis

    def clear_turn(self, picture: Picture, progress: Progress = NO_PROGRESS) -> int | None:
        """See :class:`recognizer.pipeline.FacePipeline`."""
        key = "turn", _digest(picture)
        if key not in self._known:
            self._known[key] = super().clear_turn(picture, progress)
        turn: int | None = self._known[key]
        return turn

    def embed_crops(
        self,
        crops: Sequence[Picture],
        progress: Progress = NO_PROGRESS,
        *,
        as_template: bool = False,
        contract: str | None = None,
    ) -> NDArray[np.float32]:
        """See :class:`recognizer.pipeline.FacePipeline`."""
        keys = [(f"embedding {as_template} {contract}", _digest(crop)) for crop in crops]
        new = [place for place, key in enumerate(keys) if key not in self._known]
        if new:
            embedded = super().embed_crops(
                [crops[place] for place in new], progress, as_template=as_template, contract=contract
            )
            self._known |= {keys[place]: embedding for place, embedding in zip(new, embedded, strict=True)}
        return np.stack([self._known[key] for key in keys])


@dataclass(frozen=True, slots=True)
class Studio:
    """Enrols people and streams frames, as the server does.

    Frames that differ in their times or in the gallery only are looked at once, which takes most of the time.

    Attributes:
        pipeline: the models.
        galleries: all galleries.
        limits: minimum quality of a face to enrol.
    """

    pipeline: RememberingPipeline
    galleries: Galleries
    limits: QualityLimits
    _enrollments: dict[str, Enrollment | str] = field(default_factory=dict)

    def enroll(self, gallery_id: str, pictures: Mapping[str, bytes]) -> dict[str, str]:
        """Enrol one encoded picture of each person, also if they look alike; the reasons of those that were refused.

        The gallery is created if it is not there.
        """
        self.galleries.create_gallery(gallery_id, display_name="")
        refused = {}
        for name, data in pictures.items():
            enrollment = self._enrollment(data)
            if isinstance(enrollment, str):
                refused[name] = enrollment
            else:
                self.galleries.enroll(gallery_id, name, enrollment)
        return refused

    def template(self, data: bytes) -> NDArray[np.float32] | None:
        """The embedding ``(d,)`` that would be enrolled; ``None`` if the picture is refused."""
        enrollment = self._enrollment(data)
        return None if isinstance(enrollment, str) else enrollment.embedding

    def answers(
        self, gallery_id: str, frames: Iterable[Picture], fps: float, *, detection_interval: int = 1
    ) -> list[pb.IdentifyStreamResponse]:
        """The answers of a stream to each of its frames, at this rate of capture.

        Raises:
            Exception: a frame failed.
        """
        gallery = StreamGallery(self.galleries, gallery_id, threshold=None)
        settings = TrackerSettings(detection_interval=detection_interval)
        processor = FrameProcessor(self.pipeline, gallery, settings, _count_nothing, include_objects=False)
        received = []
        for number, picture in enumerate(frames):
            time = 1 + number / fps
            done = finish(processor.process(Frame(stream_frame(number, picture, time), time, 0.0), Work()))
            if done.error is not None:
                raise done.error
            received.append(done.response)
        return received

    def supported(self, gallery_id: str, picture: Picture) -> set[str]:
        """The names that a stream would give to the faces of a picture if it had seen nothing else."""
        analysis = self.pipeline.analyze_picture(picture, turn=0)
        if not len(analysis.faces):
            return set()
        crops = [align(picture, landmarks) for landmarks in analysis.faces.landmarks]
        gallery, contract = StreamGallery(self.galleries, gallery_id, threshold=None), self.pipeline.contract
        found = gallery.search(self.pipeline.embed_crops(crops), contract)
        return {each.subject_id for each in found if each is not None and each.similarity >= each.threshold}

    def _enrollment(self, data: bytes) -> Enrollment | str:
        """An encoded picture as it is enrolled; the reason if it is refused."""
        source = Encoded(data)
        key = source.sha256()
        if key not in self._enrollments:
            try:
                self._enrollments[key] = self._new_enrollment(source)
            except RecognizerError as error:
                self._enrollments[key] = error.reason
        return self._enrollments[key]

    def _new_enrollment(self, source: Encoded) -> Enrollment:
        _, (aligned,) = finish(self.pipeline.analyze_and_align_in_turns(source, lambda faces, _: only(faces)))
        need_fit(aligned.quality, self.limits)
        x1, y1, x2, y2 = aligned.faces.boxes[0].tolist()
        return Enrollment(
            embedding=self.pipeline.embed([aligned], as_template=True)[0],
            contract=self.pipeline.contract,
            picture_sha256=source.sha256(),
            box=(x1, y1, x2, y2),
            quality=aligned.quality.value,
            accept_lookalike=True,
        )


@contextmanager
def open_studio() -> Iterator[Studio]:
    """Load the models, with a database that is deleted at the end.

    Raises:
        ModelError: a model is missing or damaged.
    """
    with tempfile.TemporaryDirectory(prefix="facet-") as folder:
        config = local_config(Path(folder) / "gallery.sqlite3", preset="throughput")
        settings = pipeline_settings(config)
        pipeline = RememberingPipeline(load_models(model_settings(config), settings), settings)
        pipeline.forget()
        with open_galleries(config, pipeline) as galleries:
            yield Studio(pipeline, galleries, config.enrollment.limits())


def _digest(picture: Picture) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(picture).data, digest_size=16).digest()


def _count_nothing(tracks: Sequence[SettledTrack], seen: int, templates_compared: int) -> None:
    """Do not count the people whose tracks are decided."""
