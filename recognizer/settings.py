"""Settings of the pipeline, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from facet.runtime.inference.providers import CPU_PROVIDER
from facet.runtime.inference.sessions import RuntimeName
from facet.runtime.inference.slots import Preset
from recognizer.detection.finder import FinderSettings


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which models to load, and how to run them.

    A model is the name of a packaged one, a file in ``folder``, or a path; see :func:`facet.runtime.models.find_model`.

    Attributes:
        objects: YOLO object detector, or ``None`` for none. If it detects faces with five landmarks, it replaces
            ``faces``.
        faces: SCRFD with landmarks, or a YOLO model that detects faces with five landmarks.
        embedding: InsightFace recognition model.
        embedding_next: a second recognition model, or ``None`` for none.
        folder: folder of fetched models.
        runtime: see :func:`facet.runtime.inference.sessions.open_session`.
        precision: of OpenVINO. ``"auto"`` is bf16 for packaged models, whose drift is measured, and fp32 for others.
        providers: ONNX Runtime execution providers, in order of preference.
        preset: ``"latency"`` runs one inference at a time on all cores, ``"throughput"`` one on each core.
    """

    objects: str | None = "yolo11n"
    faces: str = "scrfd_500m_bnkps"
    embedding: str = "w600k_mbf"
    embedding_next: str | None = None
    folder: Path | None = None
    runtime: RuntimeName = "auto"
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    providers: tuple[str, ...] = (CPU_PROVIDER,)
    preset: Preset = "latency"


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """How the pipeline detects objects and faces.

    Attributes:
        max_pixels: most pixels in memory; pictures that would have more are refused before they are decoded.
        scaled_decoding: decode large JPEGs at a reduced size where that is enough.
        thorough_height: height of the smallest face that a thorough search finds reliably, pixels; larger in pictures
            that would need more than :data:`recognizer.detection.tiles.MAX_TILES` tiles.
        max_faces: most faces returned per picture; those with the highest scores are kept.
        object_size: longer side of the object detector's input, pixels.
        object_min_score: minimum score of an object, [0, 1].
        person_max_enlargement: if objects only guide the search for faces, pictures that ``object_size`` would enlarge
            by more than this factor are detected at a smaller size.
        finder: how faces are found.
    """

    max_pixels: int = 50_000_000
    scaled_decoding: bool = True
    thorough_height: float = 40.0
    max_faces: int = 200
    object_size: int = 640
    object_min_score: float = 0.25
    person_max_enlargement: float = 1.25
    finder: FinderSettings = field(default_factory=FinderSettings)
