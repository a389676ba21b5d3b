"""The settings of the models, and of what is found, enrolled and identified."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from facet.runtime.inference.providers import CPU_PROVIDER
from facet.runtime.inference.sessions import RuntimeName
from facet.server.config.sections.section import Section
from gallery.records.enrollments import MIN_SIMILARITY
from recognizer.quality import NO_LIMITS, QualityLimits
from recognizer.settings import ModelSettings, PipelineSettings

NONE = "none"

_MODELS = ModelSettings()
_PIPELINE = PipelineSettings()
_FINDER = _PIPELINE.finder
_QUALITY = QualityLimits()


class ModelsConfig(Section):
    """Models and how to run them. A model is the name of a packaged model, a file in models.folder, or a path."""

    objects: str = _MODELS.objects or NONE
    """YOLO object detector, or "none". Detected persons guide the search for faces. A YOLO model that detects faces
    with five landmarks also replaces models.faces."""
    faces: str = _MODELS.faces
    """Face detector: SCRFD with landmarks, or a YOLO model that detects faces with five landmarks."""
    embedding: str = _MODELS.embedding
    """InsightFace recognition model. Another model means another embedding contract: galleries can then be searched
    only after a migration to it, see docs/migration.md."""
    embedding_next: str = ""
    """A second recognition model, loaded beside models.embedding, which galleries can be migrated to. It shares the
    cores with the others and takes time only for requests that ask for it. If it cannot be loaded, the server logs why
    and serves without it. Empty: none."""
    folder: Path | None = None
    """Folder with additional models, as written by facet models fetch."""
    runtime: RuntimeName = "auto"
    """Inference engine: openvino or onnxruntime. auto selects OpenVINO on x86 processors, where it is faster, and ONNX
    Runtime on others or if models.providers is set."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Precision that OpenVINO computes in. bf16 takes effect if the processor supports it; the first and last layers
    stay in fp32. auto is bf16 for packaged models and fp32 for others. facet bench drift measures the difference
    between them. Set fp32 if you need exact boxes."""
    providers: tuple[str, ...] = (CPU_PROVIDER,)
    """ONNX Runtime execution providers in order of preference, for example CUDAExecutionProvider or
    CoreMLExecutionProvider. Each requires a build of onnxruntime that includes it. If one is missing or cannot start,
    the server does not start, or warns and runs on the CPU if CPUExecutionProvider is in the list."""


class PicturesConfig(Section):
    """Limits on pictures."""

    max_pixels: int = Field(_PIPELINE.max_pixels, ge=1, le=1_000_000_000)
    """Maximum number of pixels in memory. The server reads the header and refuses larger pictures before it decodes
    them. A JPEG that is decoded at a reduced size may have four times as many."""
    scaled_decoding: bool = True
    """Decode large JPEGs at a half, a quarter or an eighth of their size to find faces and objects, and again with more
    pixels only if small faces need them."""


class DetectionConfig(Section):
    """Detection of objects and faces."""

    object_size: int = Field(_PIPELINE.object_size, ge=32, le=4096)
    """Longer side of the object detector's input, pixels. Pictures are scaled to it."""
    person_max_enlargement: float = Field(_PIPELINE.person_max_enlargement, ge=1)
    """Applies if a request does not ask for objects, so that detected persons only guide the search for faces. A
    picture that object_size would enlarge by more than this factor is then detected at 3/4 or 1/2 of object_size."""
    object_min_score: float = Field(_PIPELINE.object_min_score, gt=0, lt=1)
    """Minimum score of a returned object."""
    max_faces: int = Field(_PIPELINE.max_faces, ge=1, le=10_000)
    """Maximum number of faces returned per picture, those with the highest scores."""
    face_min_score: float = Field(_FINDER.min_score, gt=0, lt=1)
    """Minimum score of a returned face."""
    face_min_height: float = Field(_FINDER.min_height, ge=1)
    """Minimum height of a returned face, pixels."""
    face_fine_side: int = Field(_FINDER.fine_side, ge=64, le=4096)
    """Longer side of the face detector's input, pixels. A larger value finds smaller faces and costs more time."""
    thorough_height: float = Field(_PIPELINE.thorough_height, ge=24, le=1000)
    """Height of the smallest face that a request with SEARCH_THOROUGH finds reliably, pixels. It is larger in a picture
    that would need more than 128 tiles."""
    second_look: bool = True
    """Search again, at higher resolution, in the head region of each person without a face, and, except in streams, in
    the quarters of a picture that show faces below 24 pixels of the first search's input."""


class EnrollmentConfig(Section):
    """Minimum quality of a face to enrol, unless a request sets accept_low_quality, and limits on templates."""

    min_face_size: float = Field(_QUALITY.min_size, ge=0)
    """Minimum of the shorter side of the face box, pixels."""
    min_sharpness: float = Field(_QUALITY.min_sharpness, ge=0)
    """Minimum sharpness, [0, 1]: the share of its gradient that the face loses when it is blurred. Sharp faces have
    about 0.35, blurred ones 0.15."""
    max_turn: float = Field(_QUALITY.max_turn, ge=0, le=90)
    """Maximum yaw and pitch, degrees."""
    min_directional_sharpness: float = Field(_QUALITY.min_directional_sharpness, ge=0, le=1)
    """Minimum sharpness along the direction in which it is lowest, [0, 1], for faces of at least 70 pixels. Motion and
    camera shake blur one direction."""
    max_noise: float = Field(_QUALITY.max_noise, ge=0)
    """Maximum standard deviation of the noise, as a share of the contrast. Clean faces have about 0.004, faces at night
    and scanned prints 0.1."""
    min_brightness: float = Field(_QUALITY.min_brightness, ge=0, le=1)
    """Minimum mean luminance of a face, [0, 1]."""
    max_overexposure: float = Field(_QUALITY.max_overexposure, ge=0, le=1)
    """Maximum share of a face that is white, [0, 1]."""
    min_polarity: float = Field(_QUALITY.min_polarity, ge=-1, le=1)
    """Minimum difference of cheeks and nose to eyes and brows, as a share of the contrast, [-1, 1]. It is negative in
    photographic negatives. -1 turns the check off."""
    min_eye_detail: float = Field(_QUALITY.min_eye_detail, ge=0)
    """Minimum detail around each eye, as a share of that of the face. Uncovered eyes have about 1.4, eyes behind
    sunglasses 0.3, covered ones 0. 0 turns the check off."""
    min_mouth_detail: float = Field(_QUALITY.min_mouth_detail, ge=0)
    """Minimum detail around the mouth, as a share of that of the face. Uncovered mouths have about 1.4, mouths behind a
    mask 0.2. 0 turns the check off."""
    max_templates_per_subject: int = Field(100, ge=1, le=10_000)
    """Maximum number of templates per subject. Subjects of an imported gallery may have more."""
    min_subject_similarity: float = Field(MIN_SIMILARITY, ge=-1, le=1)
    """A face looks unlike a template of its subject below this similarity. It is refused (LOOKS_UNLIKE_SUBJECT) if the
    subject has at least two templates and it looks unlike all of them, unless a request sets accept_unlike. The default
    is for the packaged models.embedding; another one needs its own. -1 turns the check off."""
    keep_crops: bool = False
    """Store the aligned face with each template, as a PNG of 112 x 112 pixels (30 KB). With it, a gallery can move to
    another models.embedding without the original pictures. Off by default because it stores pictures of faces."""

    def limits(self) -> QualityLimits:
        """Return the limits as the recognizer takes them."""
        return QualityLimits(
            self.min_face_size,
            self.min_sharpness,
            self.max_turn,
            self.min_directional_sharpness,
            self.max_noise,
            self.min_brightness,
            self.max_overexposure,
            self.min_polarity,
            self.min_eye_detail,
            self.min_mouth_detail,
        )


class IdentificationConfig(Section):
    """Minimum quality of a face to identify; others are returned with DECISION_REFUSED. Defaults accept every face."""

    min_face_size: float = Field(0.0, ge=0)
    """Minimum of the shorter side of the face box, pixels. Raise it if distant faces cause false matches."""
    min_sharpness: float = Field(0.0, ge=0, le=1)
    """Minimum sharpness, [0, 1]; see enrollment.min_sharpness. Raise it if blurred faces cause false matches."""
    max_turn: float = Field(90.0, ge=0, le=90)
    """Maximum yaw and pitch, degrees. Lower it if cameras see the same people often enough to wait for a frontal
    view."""

    def limits(self) -> QualityLimits:
        """Return the limits as the recognizer takes them."""
        return replace(NO_LIMITS, min_size=self.min_face_size, min_sharpness=self.min_sharpness, max_turn=self.max_turn)


class VerificationConfig(Section):
    """Decision of the method Verify."""

    threshold: float = Field(0.28, ge=-1, le=1)
    """Minimum cosine similarity of two faces of the same person, for requests that set no threshold. docs/evaluation.md
    explains the default."""
