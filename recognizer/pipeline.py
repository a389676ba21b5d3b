"""Runs a picture through the models: decode, detect objects, find faces, align, embed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from detector.yolo import Detections
from facet.runtime.pictures import DecodedPicture
from recognizer.alignment import CROP_SIZE
from recognizer.alignment import align as align_crop
from recognizer.analysis import AlignedFace, Analysis
from recognizer.detection.finder import FaceFinder
from recognizer.detection.persons import faces_of_persons
from recognizer.detection.tiles import LEAST_HEIGHT
from recognizer.detection.yolo_faces import YoloFaceFinder, faces_of
from recognizer.embedding import BATCHES
from recognizer.errors import NoObjectDetector
from recognizer.faces import Faces
from recognizer.models.loading import PipelineModels
from recognizer.noisy_faces import SmoothAlignment
from recognizer.progress import NO_PROGRESS, Progress, Turns, finish, in_stage
from recognizer.quality import measure
from recognizer.resolution import (
    faces_in_decoded,
    faces_in_full,
    needed_share,
    objects_in_full,
    reduced,
)
from recognizer.search.orientation import CLEAR_SCORE, Orientation, boxes_turned_back, faces_turned_back, turned
from recognizer.search.tile_search import TileSearch
from recognizer.search.turned_search import TurnedSearch
from recognizer.settings import PipelineSettings
from recognizer.sources import Decode, Source, decode_here

PERSON_CLASS = "person"
MAX_SIDE = 2**16
"""Pixels; a JPEG has no longer side."""

_WARM_UP_SIZES = ((720, 1280), (480, 640))
_NO_OBJECTS = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32), None, None)


class FacePipeline:
    """Detects, aligns and embeds faces. Safe to use from several threads.

    Every method takes a :class:`Progress` that times the stages and may stop between them by raising.

    Args:
        models: the models; see :func:`recognizer.models.loading.load_models`.
        settings: the settings that the models were loaded with.
        decode: decodes pictures; by default in the calling thread, which cannot be stopped.

    Attributes:
        models: describes each loaded model.
        face_model: hexadecimal SHA-256 of the model that finds faces; empty if ``models`` does not describe it.
        embedding_model: hexadecimal SHA-256 of the recognition model; empty if ``models`` does not describe it.
        contract: the embedding contract.
        dimension: length of an embedding.
        class_names: classes of the object detector; empty without one.
        face_min_score: default minimum score of a face.
        object_min_score: minimum score of an object.
    """

    def __init__(
        self,
        models: PipelineModels,
        settings: PipelineSettings | None = None,
        decode: Decode = decode_here,
    ) -> None:
        self._settings = settings or PipelineSettings()
        self._decode = decode
        self._objects = models.objects
        self._finder = models.faces
        self._orientation = Orientation(models.faces.look) if isinstance(models.faces, FaceFinder) else None
        self._embedder = models.embedder
        self.models = models.loaded
        digests = {model.role: model.file.sha256 for model in self.models}
        self.face_model = digests.get("faces", digests.get("objects", ""))
        self.embedding_model = digests.get("embedding", "")
        self.contract = self._embedder.contract
        self.dimension = self._embedder.dimension
        self.class_names = self._objects.class_names if self._objects else ()
        self.object_min_score = self._settings.object_min_score
        self.face_min_score = self._settings.finder.min_score
        self._look_side = max(self._settings.finder.fine_side, self._settings.object_size)
        if self._finder is None:
            self.face_min_score = max(self.face_min_score, self.object_min_score)
        tile_finder = self._finder
        if self._objects is not None and self._objects.has_face_landmarks:
            tile_finder = YoloFaceFinder(self._objects, min_height=self._settings.finder.min_height)
        self._any_way_up: TurnedSearch | None = None
        if self._orientation:
            self._any_way_up = TurnedSearch(self._orientation, self.face_min_score, self._settings.max_faces)
        self._tiles: TileSearch | None = None
        if tile_finder:
            self._tiles = TileSearch(
                tile_finder, self._orientation, self._settings.thorough_height, self._settings.max_faces
            )
        self._person_id = self.class_names.index(PERSON_CLASS) if PERSON_CLASS in self.class_names else -1

    def warm_up(self) -> None:
        """Run every model at the usual sizes.

        Runtimes compile a graph when an input size first occurs; without this the first requests wait for that.
        """
        for size in _WARM_UP_SIZES:
            picture = np.full((*size, 3), 128, np.uint8)
            if self._objects is not None:
                self._objects.detect(picture)
            if self._finder is not None:
                self._finder.find(picture, _NO_OBJECTS.boxes)
        self._embedder.embed([np.zeros((CROP_SIZE, CROP_SIZE, 3), np.uint8)] * sum(BATCHES))

    def decode(self, source: Source, progress: Progress = NO_PROGRESS) -> NDArray[np.uint8]:
        """Decode a picture at its full size to upright BGR ``(h, w, 3)``.

        Raises:
            PictureError: the picture is damaged, unsupported or too large.
        """
        return finish(self.decode_in_turns(source, progress)).pixels

    def decode_in_turns(
        self, source: Source, progress: Progress = NO_PROGRESS, *, longer_side: int | None = None
    ) -> Turns[DecodedPicture]:
        """Decode a picture, and yield while a decoder works on a large one.

        Args:
            source: the picture.
            progress: times the stage and may stop between turns.
            longer_side: the longer side may be reduced to this many pixels, see
                :func:`facet.runtime.pictures.decode_reduced`; ``None``: it may not.

        Raises:
            PictureError: the picture is damaged, unsupported or too large.
        """
        side = longer_side if self._settings.scaled_decoding else None
        turns = source.decode(self._decode, self._settings.max_pixels, side)
        picture = yield from in_stage(turns, progress, "decode")
        progress.check()
        return picture

    def detect(
        self,
        picture: NDArray[np.uint8],
        progress: Progress = NO_PROGRESS,
        *,
        min_score: float | None = None,
        max_enlargement: float = math.inf,
    ) -> Detections:
        """Detect objects; see :meth:`detector.yolo.YoloDetector.detect` for the arguments.

        Raises:
            NoObjectDetector: the pipeline has none.
        """
        if self._objects is None:
            raise NoObjectDetector("no object detector is loaded (models.objects)")
        with progress.stage("detect"):
            objects = self._objects.detect(picture, min_score=min_score, max_enlargement=max_enlargement)
        progress.check()
        return objects

    def detect_in_turns(
        self, source: Source, progress: Progress = NO_PROGRESS, *, min_score: float | None = None
    ) -> Turns[tuple[Detections, DecodedPicture]]:
        """Decode a picture and detect its objects, see :meth:`detect`; yields while a large picture is decoded.

        Raises:
            NoObjectDetector: the pipeline has none.
            PictureError: the picture is damaged, unsupported or too large.
        """
        picture = yield from self.decode_in_turns(source, progress, longer_side=self._settings.object_size)
        turn = source.turn or 0
        objects = self.detect(turned(picture.pixels, turn), progress, min_score=min_score)
        objects = _objects_turned_back(objects, turn, picture.pixels.shape)
        return objects_in_full(objects, picture.placement), picture.without_pixels()

    def analyze(
        self,
        source: Source,
        progress: Progress = NO_PROGRESS,
        *,
        face_min_score: float | None = None,
        objects_wanted: bool = False,
    ) -> Analysis:
        """Decode a picture and find its objects and faces.

        Args:
            source: the picture. If its turn is ``None``, this is found out; with a YOLO face model ``None`` is 0.
            progress: times the stages and may stop between them.
            face_min_score: minimum score of a face, [0, 1]; :attr:`face_min_score` if ``None``. A lower score adds
                faces and changes none.
            objects_wanted: whether the caller uses the objects. If not, they only guide the search for faces, and small
                objects in small pictures may be missed (``PipelineSettings.person_max_enlargement``).

        Raises:
            PictureError: the picture is damaged, unsupported or too large.
        """
        turns = self.decode_in_turns(source, progress, longer_side=self._look_side)
        min_score = self._min_score(face_min_score)
        picture, turn = finish(turns), source.turn
        search = self._analyze(picture, progress, min_score, objects_wanted=objects_wanted, turn=turn, closer=True)
        return finish(search).at_least(min_score)

    def analyze_picture(
        self,
        picture: NDArray[np.uint8],
        progress: Progress = NO_PROGRESS,
        *,
        face_min_score: float | None = None,
        objects_wanted: bool = False,
        turn: int | None = None,
        closer: bool = False,
    ) -> Analysis:
        """Find the objects and faces of a decoded picture, upright BGR ``(h, w, 3)``; see :meth:`analyze`.

        Args:
            picture: the picture, such as a frame of a stream.
            progress: see :meth:`analyze`.
            face_min_score: see :meth:`analyze`.
            objects_wanted: see :meth:`analyze`.
            turn: the turn of the picture; found out if ``None``.
            closer: look again where faces are small, as :meth:`analyze` does. In a stream they come nearer.
        """
        min_score = self._min_score(face_min_score)
        whole = DecodedPicture.full(picture)
        search = self._analyze(whole, progress, min_score, objects_wanted=objects_wanted, turn=turn, closer=closer)
        return finish(search).at_least(min_score)

    def clear_turn(self, picture: NDArray[np.uint8], progress: Progress = NO_PROGRESS) -> int | None:
        """The turn of a picture, BGR ``(h, w, 3)``, if a face shows it; see :mod:`recognizer.search.orientation`.

        Costs about as much as to find the faces. With a YOLO face model it is always 0.
        """
        if self._orientation is None:
            return 0
        with progress.stage("faces"):
            return self._orientation.clear_turn(picture, progress.check)

    def analyze_and_align_in_turns(
        self,
        source: Source,
        choose: Callable[[Faces, tuple[int, ...]], int] | None = None,
        progress: Progress = NO_PROGRESS,
        *,
        face_min_score: float | None = None,
        objects_wanted: bool = False,
        thorough: bool = False,
    ) -> Turns[tuple[Analysis, list[AlignedFace]]]:
        """Find the faces of a picture and align them, from as many pixels as each needs.

        A large JPEG is looked at in a reduced size. If the crop of a face needs more pixels, it is decoded again. A
        thorough search decodes it at its full size, and searches a large picture in tiles.

        Yields while a large picture is decoded, between turns, and between tiles. The pixels of the first decoding are
        freed before the second one, so that nobody waits for them meanwhile.

        Args:
            source: the picture.
            choose: returns the index of the only face to align, from the faces and the height, width and channels of
                the full picture; ``None`` aligns all.
            progress: times the stages and may stop between them.
            face_min_score: see :meth:`analyze`.
            objects_wanted: see :meth:`analyze`.
            thorough: also find faces that are small in a large picture, down to
                :attr:`recognizer.settings.PipelineSettings.thorough_height`.

        Returns:
            the analysis, without pixels, and the faces.

        Raises:
            PictureError: the picture is damaged, unsupported or too large.
        """
        picture = yield from self.decode_in_turns(
            source, progress, longer_side=MAX_SIDE if thorough else self._look_side
        )
        min_score = self._min_score(face_min_score)
        analysis = yield from self._analyze(
            picture,
            progress,
            min_score,
            objects_wanted=objects_wanted,
            turn=source.turn,
            closer=True,
            every_turn=thorough,
        )
        if thorough and self._tiles:
            analysis = yield from self._with_tiles(analysis, self._tiles, source.turn, min_score, progress)
        analysis = analysis.at_least(min_score)
        indices = range(len(analysis.faces)) if choose is None else [choose(analysis.faces, picture.shape)]
        shares = needed_share(analysis.faces)
        enough = [index for index in indices if thorough or picture.placement.scale * min(1.0, shares[index]) <= 1]
        aligned = dict(zip(enough, self._align(analysis, picture, enough, progress), strict=True))
        analysis, longest = analysis.without_pixels(), max(picture.shape)
        del picture
        if rest := [index for index in indices if index not in aligned]:
            side = math.ceil(longest * min(1.0, shares[rest].max()))
            finer = yield from self.decode_in_turns(source, progress, longer_side=side)
            aligned |= zip(rest, self._align(analysis, finer, rest, progress), strict=True)
        return analysis, [aligned[index] for index in indices]

    def _analyze(
        self,
        picture: DecodedPicture,
        progress: Progress,
        min_score: float,
        *,
        objects_wanted: bool,
        turn: int | None,
        closer: bool,
        every_turn: bool = False,
    ) -> Turns[Analysis]:
        """Find the faces of at least ``min_score``, and those that tell which way up the picture is.

        If no turn is given, ``every_turn`` also finds faces of another turn than the picture's, beside sure ones, and
        yields between turns.
        """
        look = reduced(picture, self._look_side)
        lowest = min(min_score, self.face_min_score)

        @cache
        def search(turn: int) -> Analysis:
            return self._search(look, turn, progress, min_score=lowest, objects_wanted=objects_wanted, closer=closer)

        if turn is None and self._any_way_up is not None:
            analysis = self._any_way_up.any_way_up(look.pixels, search, progress)
            if every_turn:
                analysis = yield from self._any_way_up.every_way_up(analysis, search)
        else:
            analysis = search(turn or 0)
        return replace(
            analysis,
            picture=picture,
            objects=objects_in_full(analysis.objects, look.placement),
            faces=faces_in_full(analysis.faces, look.placement),
        )

    def _search(
        self,
        look: DecodedPicture,
        turn: int,
        progress: Progress,
        *,
        min_score: float,
        objects_wanted: bool,
        closer: bool,
    ) -> Analysis:
        """Find objects and faces in one turn of a picture, in the coordinates of its pixels as they are."""
        pixels, scale = turned(look.pixels, turn), look.placement.scale
        detections, trace = _NO_OBJECTS, 0.0
        if self._objects:
            if self._finder is None:
                detections = self.detect(pixels, progress, min_score=min(min_score, self.object_min_score))
            elif objects_wanted:
                detections = self.detect(pixels, progress)
            else:
                detections = self.detect(pixels, progress, max_enlargement=self._settings.person_max_enlargement)
        objects = detections.above(self.object_min_score)
        persons = self.persons(objects)
        with progress.stage("faces"):
            if self._finder is None:
                min_height = self._settings.finder.min_height / scale
                faces = faces_of(detections, self.class_names, min_score=min_score, min_height=min_height)
            elif isinstance(self._finder, FaceFinder):
                people = objects.boxes[persons]
                faces, trace = self._finder.find_with_trace(
                    pixels, people, progress.check, min_score, scale=scale, closer=closer
                )
            else:
                faces = self._finder.find(pixels, objects.boxes[persons], progress.check, min_score, scale=scale)
            faces = faces.take(range(min(len(faces), self._settings.max_faces)))
            owners = faces_of_persons(faces, objects.boxes[persons])
        progress.check()
        faces = faces_turned_back(faces, turn, look.pixels.shape)
        objects = _objects_turned_back(objects, turn, look.pixels.shape)
        owners = np.where(owners >= 0, np.append(persons, -1)[owners], -1)
        least = max(self._settings.finder.min_height, LEAST_HEIGHT / self._look_scale(look))
        return Analysis(look, objects, faces, owners, least, np.full(len(faces), turn, np.intp), trace)

    def _with_tiles(
        self, analysis: Analysis, search: TileSearch, turn: int | None, min_score: float, progress: Progress
    ) -> Turns[Analysis]:
        """Add the faces that are too small in the whole picture; yields after each tile."""
        place = analysis.picture.placement
        tiles = search.plan(analysis.picture, self._look_scale(analysis.picture) * place.scale)
        if turn is None and len(clear := analysis.at_least(CLEAR_SCORE).turns):
            turn = int(np.bincount(clear).argmax())
        found = yield from search.find(analysis.picture, tiles, turn, min(min_score, self.face_min_score), progress)
        for each, faces in found:
            turns = np.full(len(faces), each, np.intp)
            analysis = analysis.with_faces(replace(analysis, faces=faces, turns=turns), self._settings.max_faces)
            if not each:
                persons = self.persons(analysis.objects)
                owners = faces_of_persons(analysis.faces, analysis.objects.boxes[persons])
                analysis = replace(analysis, persons=np.where(owners >= 0, np.append(persons, -1)[owners], -1))
        least = max(self._settings.finder.min_height, tiles.least_height * place.scale)
        return replace(analysis, least_height=least)

    def _min_score(self, asked: float | None) -> float:
        return self.face_min_score if asked is None else asked

    def _look_scale(self, picture: DecodedPicture) -> float:
        """Pixels of the face detector's input per pixel of the full picture, when it looks at all of it."""
        side = self._tiles.finder.side if self._tiles else self._settings.object_size
        return min(side / max(picture.shape), self._settings.finder.max_enlargement)

    def persons(self, objects: Detections) -> NDArray[np.intp]:
        """Indices of the objects that are persons."""
        return np.flatnonzero(objects.class_ids == self._person_id)

    def align(
        self,
        analysis: Analysis,
        choose: Callable[[Faces], int] | None = None,
        progress: Progress = NO_PROGRESS,
    ) -> list[AlignedFace]:
        """Align the faces of a picture from what was looked at, and measure their quality.

        Args:
            analysis: the picture's faces.
            choose: returns the index of the only face to align; ``None`` aligns all.
            progress: times the stage.
        """
        indices = range(len(analysis.faces)) if choose is None else [choose(analysis.faces)]
        return self._align(analysis, analysis.picture, indices, progress)

    def _align(
        self, analysis: Analysis, picture: DecodedPicture, indices: Sequence[int], progress: Progress
    ) -> list[AlignedFace]:
        """Align some faces, from pixels of any resolution."""
        aligned_faces: list[AlignedFace] = []
        if not indices:
            return aligned_faces
        smoother = SmoothAlignment(self._finder.find_closely) if isinstance(self._finder, FaceFinder) else None
        with progress.stage("align"):
            for index in indices:
                face, turn = analysis.faces.take([index]), int(analysis.turns[index])
                decoded = faces_in_decoded(face, picture.placement)
                crop = align_crop(picture.pixels, decoded.landmarks[0])
                quality = measure(face.boxes[0], face.landmarks[0], crop)
                if smoother and smoother.helps(quality, decoded):
                    progress.check()
                    crop = smoother.align(picture.pixels, decoded, turn, crop)
                aligned_faces.append(AlignedFace(face, int(analysis.persons[index]), quality, crop, turn))
        return aligned_faces

    def embed(
        self, faces: Sequence[AlignedFace], progress: Progress = NO_PROGRESS, *, as_template: bool = False
    ) -> NDArray[np.float32]:
        """Embed faces: float32 ``(n, dimension)``, L2-normalised.

        Args:
            faces: the faces.
            progress: times the stage and may stop between batches.
            as_template: embed each face and its mirror image, for templates and references: twice as slow, and more
                accurate.
        """
        return finish(self.embed_in_turns(faces, progress, as_template=as_template))

    def embed_in_turns(
        self, faces: Sequence[AlignedFace], progress: Progress = NO_PROGRESS, *, as_template: bool = False
    ) -> Turns[NDArray[np.float32]]:
        """Embed faces like :meth:`embed`, and yield between batches: a crowd takes seconds."""
        return self._embed([face.crop for face in faces], progress, as_template=as_template)

    def embed_crops(self, crops: Sequence[NDArray[np.uint8]], progress: Progress = NO_PROGRESS) -> NDArray[np.float32]:
        """Embed aligned crops, BGR ``(112, 112, 3)`` each; see :meth:`embed`."""
        return finish(self._embed(crops, progress, as_template=False))

    def _embed(
        self, crops: Sequence[NDArray[np.uint8]], progress: Progress, *, as_template: bool
    ) -> Turns[NDArray[np.float32]]:
        outputs: list[NDArray[np.float32]] = []
        for batch in self._embedder.batches(crops, mirrored=as_template):
            if outputs:
                yield
            progress.check()
            with progress.stage("embed", batch=0 if outputs else len(crops)):  # the faces are counted once
                outputs.append(self._embedder.run(batch))
        return self._embedder.combine(outputs, mirrored=as_template)


def _objects_turned_back(objects: Detections, turn: int, shape: tuple[int, ...]) -> Detections:
    """Map objects from the turned picture to the picture of ``shape``; a turn drops their keypoints."""
    if not turn:
        return objects
    return replace(objects, boxes=boxes_turned_back(objects.boxes, turn, shape), keypoints=None, keypoint_scores=None)
