"""The models, and a picture's way through them: decode, detect, find faces, align, embed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.yolo import Detections, YoloDetector
from facet.runtime.lanes import Lanes, usable_cores
from facet.runtime.memory import return_large_buffers
from facet.runtime.models import ModelFile, UnsupportedModel, find_model, is_packaged
from facet.runtime.pictures import decode
from facet.runtime.session import Precision, Session
from facet.runtime.sessions import open_session
from facet.server.config import NONE, Config, DetectionConfig, ModelsConfig
from facet.server.scheduling.workers import Work
from recognizer.alignment import CROP_SIZE
from recognizer.alignment import align as align_crop
from recognizer.embedding import BATCHES, Embedder
from recognizer.faces import Faces
from recognizer.finder import FaceFinder, FinderSettings
from recognizer.persons import faces_of_persons
from recognizer.quality import Quality, measure
from recognizer.scrfd import ScrfdDetector
from recognizer.yolo_faces import YoloFaceFinder, faces_of

PERSON_CLASS = "person"
PROPORTIONS = (0.6, 0.7, 0.75, 0.85, 1.0)
"""Shorter to longer side of the pictures that objects are looked for in: 16:9, 3:2, 4:3 and what lies between."""

_USUAL_SIZES = ((720, 1280), (480, 640))


class NoObjectDetector(Exception):
    """The server runs without an object detector."""


class Source(Protocol):
    """A picture as it came: encoded or raw."""

    def decode(self, max_pixels: int) -> NDArray[np.uint8]:
        """The upright BGR picture ``(h, w, 3)``; raises :class:`facet.runtime.pictures.PictureError`."""

    def sha256(self) -> str:
        """Hexadecimal digest of the bytes as they came."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture as the bytes of a file."""

    data: bytes

    def decode(self, max_pixels: int) -> NDArray[np.uint8]:
        """See :class:`Source`."""
        return decode(self.data, max_pixels=max_pixels)

    def sha256(self) -> str:
        """See :class:`Source`."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model, what it is there for, what kind of head it has, and what runs it."""

    role: str
    file: ModelFile
    head: str
    runtime: str


@dataclass(frozen=True, slots=True)
class Analysis:
    """What was found in a picture.

    Attributes:
        picture: upright BGR ``(h, w, 3)``.
        objects: by falling score.
        faces: by falling score.
        persons: for each face the index in ``objects`` of the person it belongs to, or -1.
    """

    picture: NDArray[np.uint8]
    objects: Detections
    faces: Faces
    persons: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class AlignedFace:
    """One face, ready to be recognised.

    Attributes:
        faces: the face, as a list of one.
        person: the index in the analysis's objects of the person it belongs to, or -1.
        quality: how fit it is.
        crop: aligned, BGR ``(112, 112, 3)``.
    """

    faces: Faces
    person: int
    quality: Quality
    crop: NDArray[np.uint8]

    def png(self) -> bytes:
        """The crop as PNG."""
        return cv2.imencode(".png", self.crop)[1].tobytes()


class FacePipeline:
    """All models of a server. Safe to use from several threads.

    Attributes:
        models: what is loaded.
        face_model: hexadecimal SHA-256 of the model that finds faces.
        embedding_model: the same of the model that embeds them.
        contract: the embedding contract.
        dimension: values of an embedding.
        class_names: of the objects that are found.
        face_min_score: faces below are not answered unless asked for.
        object_min_score: nor are objects.

    Raises:
        ModelError: a model is missing, damaged, or not of a kind that is understood.
    """

    def __init__(self, config: Config) -> None:
        cv2.setNumThreads(1)
        return_large_buffers()
        self._max_pixels = config.pictures.max_pixels
        self._detection = config.detection
        models = _Models(config.models, Lanes.of(config.server.preset, usable_cores()))
        self._objects, objects = models.objects(config.detection)
        if self._objects is not None and self._objects.has_face_landmarks:
            self._finder, faces = None, None
        else:
            self._finder, faces = models.faces(config.detection)
        self._embedder, embedding = models.embedding()
        self.models = tuple(model for model in (objects, faces, embedding) if model is not None)
        by_role = {model.role: model.file.sha256 for model in self.models}
        self.face_model = by_role.get("faces", by_role.get("objects", ""))
        self.embedding_model = by_role["embedding"]
        self.contract = self._embedder.contract
        self.dimension = self._embedder.dimension
        self.class_names = self._objects.class_names if self._objects else ()
        self.object_min_score = config.detection.object_min_score
        self.face_min_score = config.detection.face_min_score
        if self._finder is None:
            self.face_min_score = max(self.face_min_score, self.object_min_score)
        self._person_id = self.class_names.index(PERSON_CLASS) if PERSON_CLASS in self.class_names else -1
        self._warm_up()

    def decode(self, source: Source, work: Work) -> NDArray[np.uint8]:
        """Decode a picture: upright BGR ``(h, w, 3)``; raises :class:`facet.runtime.pictures.PictureError`."""
        with work.stopwatch.stage("decode"):
            picture = source.decode(self._max_pixels)
        work.check()
        return picture

    def detect(
        self,
        picture: NDArray[np.uint8],
        work: Work,
        *,
        min_score: float | None = None,
        max_enlargement: float = math.inf,
    ) -> Detections:
        """Find objects, those above the server's own least score or another one; see :meth:`YoloDetector.detect`.

        Raises:
            NoObjectDetector: there is none.
        """
        if self._objects is None:
            raise NoObjectDetector("this server runs without an object detector (models.objects)")
        with work.stopwatch.stage("detect"):
            objects = self._objects.detect(picture, min_score=min_score, max_enlargement=max_enlargement)
        work.check()
        return objects

    def analyze(
        self, source: Source, work: Work, *, face_min_score: float | None = None, objects_wanted: bool = False
    ) -> Analysis:
        """Find the objects and the faces of a picture.

        Args:
            source: the picture.
            work: the request.
            face_min_score: faces below are not answered; the server's own where ``None``. A lower one adds faces and
                changes none.
            objects_wanted: whether the objects are asked for. Otherwise they only guide the search for faces, and small
                ones in small pictures may be missed (``detection.person_max_enlargement``).
        """
        picture = self.decode(source, work)
        return self.analyze_picture(picture, work, face_min_score=face_min_score, objects_wanted=objects_wanted)

    def analyze_picture(
        self,
        picture: NDArray[np.uint8],
        work: Work,
        *,
        face_min_score: float | None = None,
        objects_wanted: bool = False,
    ) -> Analysis:
        """Find the objects and the faces of a decoded picture; see :meth:`analyze`."""
        least = self.face_min_score if face_min_score is None else face_min_score
        found = _NO_OBJECTS
        if self._objects:
            if self._finder is None:
                found = self.detect(picture, work, min_score=min(least, self.object_min_score))
            elif objects_wanted:
                found = self.detect(picture, work)
            else:
                found = self.detect(picture, work, max_enlargement=self._detection.person_max_enlargement)
        objects = found.above(self.object_min_score)
        is_person = self.persons(objects)
        with work.stopwatch.stage("faces"):
            if self._finder is None:
                faces = faces_of(found, self.class_names, min_score=least, min_height=self._detection.face_min_height)
            else:
                faces = self._finder.find(picture, objects.boxes[is_person], work.check, face_min_score)
            faces = faces.take(range(min(len(faces), self._detection.max_faces)))
            owners = faces_of_persons(faces, objects.boxes[is_person])
        persons = np.where(owners >= 0, np.append(is_person, -1)[owners], -1)
        work.check()
        return Analysis(picture, objects, faces, persons)

    def persons(self, objects: Detections) -> NDArray[np.intp]:
        """Which of the objects are persons: their indices."""
        return np.flatnonzero(objects.class_ids == self._person_id)

    def _warm_up(self) -> None:
        """Look at pictures of the usual sizes, so that the first requests do not wait for graphs to be compiled."""
        for size in _USUAL_SIZES:
            picture = np.full((*size, 3), 128, np.uint8)
            if self._objects is not None:
                self._objects.detect(picture)
            if self._finder is not None:
                self._finder.find(picture, _NO_OBJECTS.boxes)
        self._embedder.embed([np.zeros((CROP_SIZE, CROP_SIZE, 3), np.uint8)] * sum(BATCHES))

    def align(self, analysis: Analysis, chosen: Callable[[Faces], int] | None, work: Work) -> list[AlignedFace]:
        """Align and measure the faces of a analysis, or the one that ``chosen`` points at."""
        indices = range(len(analysis.faces)) if chosen is None else [chosen(analysis.faces)]
        found = []
        with work.stopwatch.stage("align"):
            for index in indices:
                faces = analysis.faces.take([index])
                crop = align_crop(analysis.picture, faces.landmarks[0])
                quality = measure(faces.boxes[0], faces.landmarks[0], crop)
                found.append(AlignedFace(faces, int(analysis.persons[index]), quality, crop))
        return found

    def embed(self, aligned_faces: list[AlignedFace], work: Work, *, as_template: bool = False) -> NDArray[np.float32]:
        """Embed faces: float32 ``(n, dimension)``, L2-normalised.

        Args:
            aligned_faces: the faces.
            work: the request.
            as_template: embed for being compared with often, twice as slow and surer.
        """
        return self.embed_crops([aligned.crop for aligned in aligned_faces], work, as_template=as_template)

    def embed_crops(
        self, crops: Sequence[NDArray[np.uint8]], work: Work, *, as_template: bool = False
    ) -> NDArray[np.float32]:
        """Embed aligned faces, BGR ``(112, 112, 3)``; see :meth:`embed`."""
        work.check()
        with work.stopwatch.stage("embed", batch=len(crops)):
            return self._embedder.embed_mirrored(crops) if as_template else self._embedder.embed(crops)


_NO_OBJECTS = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32), None, None)


class _Models:
    """Loads the models, all on the same cores."""

    def __init__(self, config: ModelsConfig, lanes: Lanes) -> None:
        self._config = config
        self._lanes = lanes

    def objects(self, detection: DetectionConfig) -> tuple[YoloDetector | None, LoadedModel | None]:
        if self._config.objects == NONE:
            return None, None
        file, session = self._open(self._config.objects)
        detector = YoloDetector(
            session,
            size=detection.object_size,
            min_score=detection.object_min_score,
            proportions=PROPORTIONS,
        )
        return detector, LoadedModel("objects", file, detector.head_kind, session.runtime)

    def faces(self, detection: DetectionConfig) -> tuple[FaceFinder | YoloFaceFinder, LoadedModel]:
        file, session = self._open(self._config.faces)
        settings = FinderSettings(
            fine_side=detection.face_fine_side,
            min_score=detection.face_min_score,
            min_height=detection.face_min_height,
            second_look_side=FinderSettings().second_look_side if detection.second_look else 0,
        )
        try:
            scrfd = ScrfdDetector(session, min_score=settings.candidate_score)
        except UnsupportedModel as no_scrfd:
            try:
                yolo = YoloDetector(
                    session,
                    size=detection.face_fine_side,
                    min_score=detection.face_min_score,
                    proportions=PROPORTIONS,
                )
                finder = YoloFaceFinder(yolo, min_height=detection.face_min_height)
            except UnsupportedModel as no_yolo:
                raise UnsupportedModel(f"{file.name} finds no faces. Either {no_scrfd}. Or {no_yolo}") from no_yolo
            return finder, LoadedModel("faces", file, yolo.head_kind, session.runtime)
        return FaceFinder(scrfd, settings), LoadedModel("faces", file, "scrfd", session.runtime)

    def embedding(self) -> tuple[Embedder, LoadedModel]:
        file, session = self._open(self._config.embedding)
        return Embedder(session, file), LoadedModel("embedding", file, "arcface", session.runtime)

    def _open(self, name: str) -> tuple[ModelFile, Session]:
        config = self._config
        file = find_model(name, config.folder)
        session = open_session(
            file.path,
            lanes=self._lanes,
            runtime=config.runtime,
            precision=_precision(config, file),
            providers=config.providers,
        )
        return file, session


def _precision(config: ModelsConfig, file: ModelFile) -> Precision:
    """What to compute a model in: bf16 only where its drift was measured, unless somebody says so."""
    if config.precision != "auto":
        return config.precision
    return "bf16" if is_packaged(file) else "fp32"
