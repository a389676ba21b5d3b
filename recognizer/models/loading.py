"""Loads the models of the pipeline."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from detector.yolo import YoloDetector
from facet.runtime.cores import usable_cores
from facet.runtime.inference.session import Precision, Session
from facet.runtime.inference.sessions import open_session
from facet.runtime.inference.slots import InferenceSlots
from facet.runtime.models import ModelError, ModelFile, UnsupportedModel, find_model, is_packaged
from recognizer.detection.finder import FaceFinder
from recognizer.detection.scrfd import ScrfdDetector
from recognizer.detection.yolo_faces import YoloFaceFinder
from recognizer.embedding import Embedder
from recognizer.settings import ModelSettings, PipelineSettings

_FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^\s/'\"]+/)*(?=[^\s/'\"])")
"""The folders of an absolute path in a text."""

PROPORTIONS = (0.6, 0.7, 0.75, 0.85, 1.0)
"""Shorter to longer side of the object detector's inputs: 16:9, 3:2, 4:3 and those between."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """Describes a loaded model.

    Attributes:
        role: "objects", "faces", "embedding" or "embedding_next".
        file: the model file.
        head: kind of output, such as "yolo-v8", "scrfd" or "arcface".
        runtime: inference engine and precision, such as "openvino bf16".
    """

    role: str
    file: ModelFile
    head: str
    runtime: str


@dataclass(frozen=True, slots=True)
class PipelineModels:
    """The models of a pipeline.

    Attributes:
        objects: the object detector, if there is one.
        faces: the face finder; ``None`` if ``objects`` also detects faces with landmarks.
        embedder: the recognition model.
        loaded: describes each of them.
        next_embedder: the second recognition model, if there is one.
        next_problem: why the second one that was asked for could not be loaded, in one line without folders; empty
            without a problem.
    """

    objects: YoloDetector | None
    faces: FaceFinder | YoloFaceFinder | None
    embedder: Embedder
    loaded: tuple[LoadedModel, ...] = ()
    next_embedder: Embedder | None = None
    next_problem: str = ""


def load_models(models: ModelSettings | None = None, settings: PipelineSettings | None = None) -> PipelineModels:
    """Load the models; they share all cores this process may use.

    A second recognition model that cannot be used is left out, and :attr:`PipelineModels.next_problem` says why.

    Args:
        models: which models; the packaged ones by default.
        settings: sizes and minimum scores that the detectors need; give the pipeline the same.

    Raises:
        ModelError: a model other than the second recognition model is missing, damaged or unsupported.
    """
    models, settings = models or ModelSettings(), settings or PipelineSettings()
    slots = InferenceSlots.of(models.preset, usable_cores())
    loaded = []
    objects = None
    if models.objects is not None:
        objects, description = _load_objects(models.objects, models, settings, slots)
        loaded.append(description)
    faces = None
    if objects is None or not objects.has_face_landmarks:
        faces, description = _load_faces(models, settings, slots)
        loaded.append(description)
    embedder, description = _load_embedder(models.embedding, "embedding", models, slots)
    loaded.append(description)
    next_embedder, next_problem = None, ""
    if models.embedding_next is not None:
        try:
            next_embedder, description = _load_next(models.embedding_next, embedder, models, slots)
            loaded.append(description)
        except (ModelError, OSError) as error:  # a folder on the way may be closed to the server
            next_problem = _without_folders(" ".join(str(error).split()), models)
    return PipelineModels(objects, faces, embedder, tuple(loaded), next_embedder, next_problem)


def _without_folders(problem: str, models: ModelSettings) -> str:
    """What is wrong with the second recognition model, with files by their names: clients read it too."""
    for folder in (models.folder, Path(models.embedding_next or "").parent):
        if folder is not None and folder.name:
            problem = problem.replace(f"{folder}/", "").replace(str(folder), folder.name)
    return _FOLDERS.sub("", problem)


def _load_embedder(name: str, role: str, models: ModelSettings, slots: InferenceSlots) -> tuple[Embedder, LoadedModel]:
    file, session = _open(name, models, slots)
    return Embedder(session, file), LoadedModel(role, file, "arcface", session.runtime)


def _load_next(
    name: str, first: Embedder, models: ModelSettings, slots: InferenceSlots
) -> tuple[Embedder, LoadedModel]:
    """Load the second recognition model.

    Raises:
        ModelError: it is missing, damaged or unsupported, is the first model, or tells no faces apart.
    """
    embedder, description = _load_embedder(name, "embedding_next", models, slots)
    if embedder.contract == first.contract:
        raise UnsupportedModel(f"{name} is the same model as models.embedding: expected another one")
    embedder.check()
    return embedder, description


def _load_objects(
    name: str, models: ModelSettings, settings: PipelineSettings, slots: InferenceSlots
) -> tuple[YoloDetector, LoadedModel]:
    file, session = _open(name, models, slots)
    detector = YoloDetector(
        session, size=settings.object_size, min_score=settings.object_min_score, proportions=PROPORTIONS
    )
    return detector, LoadedModel("objects", file, detector.head_kind, session.runtime)


def _load_faces(
    models: ModelSettings, settings: PipelineSettings, slots: InferenceSlots
) -> tuple[FaceFinder | YoloFaceFinder, LoadedModel]:
    file, session = _open(models.faces, models, slots)
    finder = settings.finder
    try:
        scrfd = ScrfdDetector(session, min_score=finder.candidate_score)
    except UnsupportedModel as not_scrfd:
        try:
            yolo = YoloDetector(session, size=finder.fine_side, min_score=finder.min_score, proportions=PROPORTIONS)
            yolo_finder = YoloFaceFinder(yolo, min_height=finder.min_height)
        except UnsupportedModel as not_yolo:
            raise UnsupportedModel(f"{file.name} finds no faces. Either {not_scrfd}. Or {not_yolo}") from not_yolo
        return yolo_finder, LoadedModel("faces", file, yolo.head_kind, session.runtime)
    if scrfd.fixed_size is not None:
        raise UnsupportedModel(
            f"{file.name} finds faces only in pictures of the fixed size {scrfd.fixed_size}, expected open height and "
            f"width: facet models add {shlex.quote(str(file.path))} makes a model that has them"
        )
    return FaceFinder(scrfd, finder), LoadedModel("faces", file, "scrfd", session.runtime)


def _open(name: str, models: ModelSettings, slots: InferenceSlots) -> tuple[ModelFile, Session]:
    file = find_model(name, models.folder)
    session = open_session(
        file.path,
        sha256=file.sha256,
        slots=slots,
        runtime=models.runtime,
        precision=_precision(models, file),
        providers=models.providers,
    )
    return file, session


def _precision(models: ModelSettings, file: ModelFile) -> Precision:
    if models.precision != "auto":
        return models.precision
    return "bf16" if is_packaged(file) else "fp32"
