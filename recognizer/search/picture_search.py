"""Finds the objects and faces of a picture: in the turn that is right, again where faces are small, and in tiles."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from detector.yolo import Detections
from facet.runtime.pictures import DecodedPicture
from recognizer.analysis import Analysis
from recognizer.detection.finder import FaceFinder
from recognizer.detection.persons import faces_of_persons
from recognizer.detection.tiles import LEAST_HEIGHT
from recognizer.detection.yolo_faces import YoloFaceFinder, faces_of
from recognizer.errors import NoObjectDetector
from recognizer.models.loading import PipelineModels
from recognizer.progress import NO_PROGRESS, Progress, Turns
from recognizer.resolution import faces_in_full, objects_in_full, reduced
from recognizer.search.orientation import CLEAR_SCORE, Orientation, faces_turned_back, objects_turned_back, turned
from recognizer.search.tile_search import TileSearch
from recognizer.search.turned_search import TurnedSearch
from recognizer.settings import PipelineSettings

PERSON_CLASS = "person"

_WARM_UP_SIZES = ((720, 1280), (480, 640))
_NO_OBJECTS = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32), None, None)


class PictureSearch:
    """Finds the objects and faces of decoded pictures. Safe to use from several threads.

    Args:
        models: the object detector and the face finder.
        settings: the settings that the models were loaded with.

    Attributes:
        class_names: classes of the object detector; empty without one.
        min_score: default minimum score of a face.
        object_min_score: minimum score of an object.
        side: pixels of the longer side of what is looked at, unless a search is thorough.
    """

    def __init__(self, models: PipelineModels, settings: PipelineSettings) -> None:
        self._settings = settings
        self._objects = models.objects
        self._finder = models.faces
        self._orientation = Orientation(models.faces.look) if isinstance(models.faces, FaceFinder) else None
        self.class_names = self._objects.class_names if self._objects else ()
        self.object_min_score = settings.object_min_score
        self.min_score = settings.finder.min_score
        self.side = max(settings.finder.fine_side, settings.object_size)
        if self._finder is None:
            self.min_score = max(self.min_score, self.object_min_score)
        tile_finder = self._finder
        if self._objects is not None and self._objects.has_face_landmarks:
            tile_finder = YoloFaceFinder(self._objects, min_height=settings.finder.min_height)
        self._any_way_up: TurnedSearch | None = None
        if self._orientation:
            self._any_way_up = TurnedSearch(self._orientation, self.min_score, settings.max_faces)
        self._tiles: TileSearch | None = None
        if tile_finder:
            self._tiles = TileSearch(tile_finder, self._orientation, settings.thorough_height, settings.max_faces)
        self._person_id = self.class_names.index(PERSON_CLASS) if PERSON_CLASS in self.class_names else -1

    def warm_up(self) -> None:
        """Run the models at the usual sizes."""
        for size in _WARM_UP_SIZES:
            picture = np.full((*size, 3), 128, np.uint8)
            if self._objects is not None:
                self._objects.detect(picture)
            if self._finder is not None:
                self._finder.find(picture, _NO_OBJECTS.boxes)

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
            NoObjectDetector: there is none.
        """
        if self._objects is None:
            raise NoObjectDetector("no object detector is loaded (models.objects)")
        with progress.stage("detect"):
            objects = self._objects.detect(picture, min_score=min_score, max_enlargement=max_enlargement)
        progress.check()
        return objects

    def persons(self, objects: Detections) -> NDArray[np.intp]:
        """Indices of the objects that are persons."""
        return np.flatnonzero(objects.class_ids == self._person_id)

    def clear_turn(self, picture: NDArray[np.uint8], progress: Progress = NO_PROGRESS) -> int | None:
        """The turn of a picture, BGR ``(h, w, 3)``, if a face shows it; 0 with a YOLO face model."""
        if self._orientation is None:
            return 0
        with progress.stage("faces"):
            return self._orientation.clear_turn(picture, progress.check)

    def find(
        self,
        picture: DecodedPicture,
        progress: Progress,
        min_score: float | None,
        *,
        objects_wanted: bool,
        turn: int | None,
        closer: bool,
        thorough: bool = False,
    ) -> Turns[Analysis]:
        """Find the objects and faces of a picture. A thorough search yields between turns, and between tiles.

        Args:
            picture: upright BGR, at its full size or reduced.
            progress: times the stages and may stop between them.
            min_score: minimum score of a face; :attr:`min_score` if ``None``.
            objects_wanted: see :meth:`recognizer.pipeline.FacePipeline.analyze`.
            turn: the turn of the picture; found out if ``None``.
            closer: look again where faces are small.
            thorough: also find faces that are too small in the whole picture and, if no turn is given, faces of another
                turn than the picture's, beside sure ones.
        """
        min_score = self.min_score if min_score is None else min_score
        look = reduced(picture, self.side)
        lowest = min(min_score, self.min_score)

        @cache
        def search(turn: int) -> Analysis:
            return self._in_turn(look, turn, progress, min_score=lowest, objects_wanted=objects_wanted, closer=closer)

        if turn is None and self._any_way_up is not None:
            analysis = self._any_way_up.any_way_up(look.pixels, search, progress)
            if thorough:
                analysis = yield from self._any_way_up.every_way_up(analysis, search)
        else:
            analysis = search(turn or 0)
        analysis = replace(
            analysis,
            picture=picture,
            objects=objects_in_full(analysis.objects, look.placement),
            faces=faces_in_full(analysis.faces, look.placement),
        )
        if thorough and self._tiles:
            analysis = yield from self._with_tiles(analysis, self._tiles, turn, min_score, progress)
        return analysis.at_least(min_score)

    def _in_turn(
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
        objects = objects_turned_back(objects, turn, look.pixels.shape)
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
        found = yield from search.find(analysis.picture, tiles, turn, min(min_score, self.min_score), progress)
        for each, faces in found:
            turns = np.full(len(faces), each, np.intp)
            analysis = analysis.with_faces(replace(analysis, faces=faces, turns=turns), self._settings.max_faces)
            if not each:
                persons = self.persons(analysis.objects)
                owners = faces_of_persons(analysis.faces, analysis.objects.boxes[persons])
                analysis = replace(analysis, persons=np.where(owners >= 0, np.append(persons, -1)[owners], -1))
        least = max(self._settings.finder.min_height, tiles.least_height * place.scale)
        return replace(analysis, least_height=least)

    def _look_scale(self, picture: DecodedPicture) -> float:
        """Pixels of the face detector's input per pixel of the full picture, when it looks at all of it."""
        side = self._tiles.finder.side if self._tiles else self._settings.object_size
        return min(side / max(picture.shape), self._settings.finder.max_enlargement)
