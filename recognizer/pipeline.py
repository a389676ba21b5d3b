"""Runs a picture through the models: decode, detect objects, find faces, align, embed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.yolo import Detections
from facet.runtime.pictures import DecodedPicture
from recognizer.alignment import align as align_crop
from recognizer.analysis import AlignedFace, Analysis
from recognizer.detection.finder import FaceFinder
from recognizer.embedders import Embedders
from recognizer.faces import Faces
from recognizer.models.loading import PipelineModels
from recognizer.noisy_faces import SmoothAlignment
from recognizer.progress import NO_PROGRESS, Progress, Turns, finish, in_stage
from recognizer.quality import measure
from recognizer.resolution import faces_in_decoded, needed_share, objects_in_full
from recognizer.search.orientation import objects_turned_back, turned
from recognizer.search.picture_search import PictureSearch
from recognizer.settings import PipelineSettings
from recognizer.sources import Decode, Source, decode_here

MAX_SIDE = 2**16
"""Pixels; a JPEG has no longer side."""


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """Describes a recognition model of a pipeline.

    Attributes:
        contract: the contract of its embeddings.
        dimension: length of an embedding.
        name: the name of its file without ``.onnx``.
        sha256: hexadecimal SHA-256 of its file.
    """

    contract: str
    dimension: int
    name: str
    sha256: str


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
        embedding_model: hexadecimal SHA-256 of the first recognition model; empty if ``models`` does not describe it.
        embedding_models: every recognition model by its contract, the first model first.
        next_problem: why the next recognition model could not be loaded; empty without a problem.
        contract: the embedding contract of the first recognition model.
        dimension: length of its embeddings.
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
        self._search = PictureSearch(models, self._settings)
        self._find_closely = models.faces.find_closely if isinstance(models.faces, FaceFinder) else None
        self._embedders = Embedders(models.embedder, *([models.next_embedder] if models.next_embedder else []))
        self.models = models.loaded
        digests = {model.role: model.file.sha256 for model in self.models}
        self.face_model = digests.get("faces", digests.get("objects", ""))
        self.embedding_model = digests.get("embedding", "")
        self.embedding_models: Mapping[str, EmbeddingModel] = {
            contract: EmbeddingModel(
                contract, each.dimension, each.file.path.name.removesuffix(".onnx"), each.file.sha256
            )
            for contract, each in self._embedders.by_contract.items()
        }
        self.next_problem = models.next_problem
        self.contract = self._embedders.first.contract
        self.dimension = self._embedders.first.dimension
        self.class_names = self._search.class_names
        self.face_min_score = self._search.min_score
        self.object_min_score = self._search.object_min_score

    def warm_up(self) -> None:
        """Run every model at the usual sizes.

        Runtimes compile a graph when an input size first occurs; without this the first requests wait for that.
        """
        self._search.warm_up()
        self._embedders.warm_up()

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
        return self._search.detect(picture, progress, min_score=min_score, max_enlargement=max_enlargement)

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
        objects = objects_turned_back(objects, turn, picture.pixels.shape)
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
        turns = self.decode_in_turns(source, progress, longer_side=self._search.side)
        picture, turn, wanted = finish(turns), source.turn, objects_wanted
        return finish(
            self._search.find(picture, progress, face_min_score, objects_wanted=wanted, turn=turn, closer=True)
        )

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
        whole, wanted = DecodedPicture.full(picture), objects_wanted
        return finish(
            self._search.find(whole, progress, face_min_score, objects_wanted=wanted, turn=turn, closer=closer)
        )

    def clear_turn(self, picture: NDArray[np.uint8], progress: Progress = NO_PROGRESS) -> int | None:
        """The turn of a picture, BGR ``(h, w, 3)``, if a face shows it; see :mod:`recognizer.search.orientation`.

        Costs about as much as to find the faces. With a YOLO face model it is always 0.
        """
        return self._search.clear_turn(picture, progress)

    def analyze_and_align_in_turns(
        self,
        source: Source,
        choose: Callable[[Faces, tuple[int, ...]], int | Sequence[int]] | None = None,
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
                the full picture, or the indices of several, each of which is aligned as if it was the only one;
                ``None`` aligns all.
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
            source, progress, longer_side=MAX_SIDE if thorough else self._search.side
        )
        analysis = yield from self._search.find(
            picture,
            progress,
            face_min_score,
            objects_wanted=objects_wanted,
            turn=source.turn,
            closer=True,
            thorough=thorough,
        )
        together = [range(len(analysis.faces))]
        if choose is not None:
            chosen = choose(analysis.faces, picture.shape)
            together = [range(index, index + 1) for index in ([chosen] if isinstance(chosen, int) else chosen)]
        shares = needed_share(analysis.faces)
        aligned: dict[int, AlignedFace] = {}
        for indices in together:
            enough = [index for index in indices if thorough or picture.placement.scale * min(1.0, shares[index]) <= 1]
            aligned |= zip(enough, self._align(analysis, picture, enough, progress), strict=True)
        analysis, longest = analysis.without_pixels(), max(picture.shape)
        del picture
        for indices in together:
            if rest := [index for index in indices if index not in aligned]:
                side = math.ceil(longest * min(1.0, shares[rest].max()))
                finer = yield from self.decode_in_turns(source, progress, longer_side=side)
                aligned |= zip(rest, self._align(analysis, finer, rest, progress), strict=True)
        return analysis, [aligned[index] for indices in together for index in indices]

    def persons(self, objects: Detections) -> NDArray[np.intp]:
        """Indices of the objects that are persons."""
        return self._search.persons(objects)

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
        smoother = SmoothAlignment(self._find_closely) if self._find_closely else None
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
        self,
        faces: Sequence[AlignedFace],
        progress: Progress = NO_PROGRESS,
        *,
        as_template: bool = False,
        contract: str | None = None,
    ) -> NDArray[np.float32]:
        """Embed faces: float32 ``(n, dimension)``, L2-normalised.

        Args:
            faces: the faces.
            progress: times the stage and may stop between batches.
            as_template: embed each face and its mirror image, for templates and references: twice as slow, and more
                accurate.
            contract: one of :attr:`embedding_models`; ``None``: that of the first model.

        Raises:
            ContractNotLoaded: no model has the contract.
        """
        return finish(self.embed_in_turns(faces, progress, as_template=as_template, contract=contract))

    def embed_in_turns(
        self,
        faces: Sequence[AlignedFace],
        progress: Progress = NO_PROGRESS,
        *,
        as_template: bool = False,
        contract: str | None = None,
    ) -> Turns[NDArray[np.float32]]:
        """Embed faces like :meth:`embed`, and yield between batches: a crowd takes seconds.

        Raises:
            ContractNotLoaded: no model has the contract; raised at once, not in the first turn.
        """
        crops = [face.crop for face in faces]
        return self._embedders.embed_in_turns(crops, progress, as_template=as_template, contract=contract)

    def embed_crops(
        self,
        crops: Sequence[NDArray[np.uint8]],
        progress: Progress = NO_PROGRESS,
        *,
        as_template: bool = False,
        contract: str | None = None,
    ) -> NDArray[np.float32]:
        """Embed aligned crops, BGR ``(112, 112, 3)`` each; see :meth:`embed`."""
        return finish(self._embedders.embed_in_turns(crops, progress, as_template=as_template, contract=contract))
