"""Adds a model, or the models of an InsightFace pack, to a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detector.yolo import YoloDetector
from facet.runtime.cores import usable_cores
from facet.runtime.inference.session import InferenceFailed, OnnxSession
from facet.runtime.inference.slots import InferenceSlots
from facet.runtime.models import (
    INSIGHTFACE,
    UNKNOWN,
    ModelError,
    ModelNotFound,
    ModelOrigin,
    UnsupportedModel,
    find_model,
    packaged_names,
    packaged_origin,
    read_manifest,
    read_model,
    sha256_of,
    write_models,
)
from recognizer.detection.scrfd import ScrfdDetector
from recognizer.models.adding.choice import Choice
from recognizer.models.adding.detectors import read_detector
from recognizer.models.adding.preprocessing import (
    INSIGHTFACE_INPUT,
    RAW_INPUT,
    SCALES,
    Channels,
    InputForm,
    Preprocessing,
    Triple,
    vector_outputs,
)
from recognizer.models.adding.recognizers import ReadRecognizer, read_recognizer
from recognizer.models.packs import KNOWN, PACKS, check_digest


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a recogniser's preprocessing.

    Attributes:
        channels: their order; ``None`` if it is to be found out.
        scale: mean and std of red, green and blue, for samples of 0 to 255; ``None`` if they are to be found out.
        insightface: it follows InsightFace's rule.
        output: name of the output that holds the embedding; empty if it is to be found out.
    """

    channels: Channels | None = None
    scale: tuple[Triple, Triple] | None = None
    insightface: bool = False
    output: str = ""

    def candidates(self, *, published: bool) -> list[Preprocessing]:
        """What to try; of a file that InsightFace published, which needs no telling, only its own ways."""
        if self.insightface or (published and self.channels is None and self.scale is None):
            return [INSIGHTFACE_INPUT, RAW_INPUT]
        orders: tuple[Channels, ...] = ("rgb", "bgr") if self.channels is None else (self.channels,)
        scales = SCALES if self.scale is None else (self.scale,)
        return [Preprocessing(order, *each) for each in scales for order in orders]


@dataclass(frozen=True, slots=True)
class Added:
    """A model that was added.

    Attributes:
        name: by which the server finds it.
        role: the setting that takes it: "objects", "faces" or "embedding".
        path: the file.
        origin: its digest, licence and source.
        converted: whether the file differs from the original.
        choice: a recogniser's preprocessing, else ``None``.
        batch: a recogniser's fixed number of pictures; ``None`` if it takes any.
        output: name of the output of a recogniser that holds the embedding; empty if the original has no other.
    """

    name: str
    role: str
    path: Path
    origin: ModelOrigin
    converted: bool
    choice: Choice | None = None
    batch: int | None = None
    output: str = ""


@dataclass(frozen=True, slots=True)
class AddedPack:
    """What became of a pack.

    Attributes:
        models: those that were added.
        left_out: why the others were not, by file name.
    """

    models: tuple[Added, ...]
    left_out: dict[str, str]


def add_file(path: Path, out: Path, *, told: Told | None = None, name: str = "", weights_license: str = "") -> Added:
    """Add a model to a folder, converted if the server does not read it as it is, and record it.

    Args:
        path: an ONNX file.
        out: the folder, made if it is missing.
        told: what is known of a recogniser's preprocessing; the rest is found out.
        name: by which the server shall find it; that of the file by default.
        weights_license: of the weights; by default what is known of the file.

    Raises:
        ModelError: the model cannot be read, or another one has its name. The folder is unchanged.
        OSError: the file cannot be written.
    """
    prepared = _prepare(path, told or Told(), name or path.stem, weights_license)
    _write(out, [prepared])
    return _added(prepared, out)


def add_pack(folder: Path, out: Path, *, weights_license: str = "") -> AddedPack:
    """Add the face detectors and the recognisers of an InsightFace pack to a folder.

    Args:
        folder: with the files of the pack.
        out: the folder, made if it is missing.
        weights_license: of the weights; by default what is known of the files.

    Raises:
        ModelError: the pack has no model that can be used, or one with a wrong digest, or another model has the name of
            one. The folder is unchanged.
        OSError: a file cannot be written.
    """
    files = sorted(folder.rglob("*.onnx"))
    prepared: list[_Prepared] = []
    left_out: dict[str, str] = {}
    for file in files:
        check_digest(file)
        try:
            _refuse_other_forms(file)
            known = weights_license or (INSIGHTFACE if folder.resolve().name in PACKS else "")
            source = f"{file.name} of the pack {folder.resolve().name}"
            prepared.append(_prepare(file, Told(insightface=True), file.stem, known, source))
        except UnsupportedModel as error:
            left_out[file.name] = " ".join(str(error).split())
    if not prepared:
        reasons = "".join(f"; {reason}" for reason in left_out.values()) if files else ": it has no .onnx file"
        raise ModelError(f"{folder} has neither a face detector nor a recogniser that the server can use{reasons}")
    names = [each.name for each in prepared]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ModelError(f"{folder} has several models of one name: {', '.join(sorted(twice))}")
    _write(out, prepared)
    return AddedPack(tuple(_added(each, out) for each in prepared), left_out)


@dataclass(frozen=True, slots=True)
class _Prepared:
    name: str
    role: str
    content: bytes
    origin: ModelOrigin
    original_sha256: str
    recognizer: ReadRecognizer | None


def _prepare(path: Path, told: Told, name: str, weights_license: str, source: str = "") -> _Prepared:
    if not path.exists():
        raise ModelNotFound(f"{path} does not exist")
    content = read_model(path)
    digest = hashlib.sha256(content).hexdigest()
    found = find_model(str(path.resolve()))
    try:
        session = OnnxSession(path, sha256=digest, slots=InferenceSlots.of("latency", usable_cores()))
    except UnsupportedModel as error:
        raise UnsupportedModel(" ".join(str(error).split())) from error
    published = packaged_origin(digest) is not None or digest in KNOWN.values()
    role, usable, recognizer = _read(content, session, path.name, told, published=published)
    converted = usable != content
    if not weights_license:
        packaged = packaged_origin(digest)
        known = packaged.license if packaged else INSIGHTFACE if published else UNKNOWN
        weights_license = known if found.license == UNKNOWN else found.license
    if not source:
        source = path.name if found.source == str(path.resolve()) else found.source
    if converted:
        source = f"converted from {source}" + (f" ({recognizer.choice.preprocessing})" if recognizer else "")
    recorded = ModelOrigin(hashlib.sha256(usable).hexdigest(), weights_license, source, digest if converted else "")
    return _Prepared(name, role, usable, recorded, digest, recognizer)


def _read(
    content: bytes, session: OnnxSession, name: str, told: Told, *, published: bool
) -> tuple[str, bytes, ReadRecognizer | None]:
    """The role of a model, the file that the server reads, and what was found out about a recogniser."""
    if not told.output and (len(session.outputs) > 1 or not vector_outputs(session)):
        try:
            ScrfdDetector(session)
        except UnsupportedModel as not_scrfd:
            try:
                yolo = YoloDetector(session)
            except (UnsupportedModel, InferenceFailed) as not_yolo:
                if not vector_outputs(session):
                    raise UnsupportedModel(
                        f"{name} is none of the models that the server reads. A recogniser has an output (n, d). "
                        f"Face detector: {not_scrfd}. YOLO: {' '.join(str(not_yolo).split())}"
                    ) from not_yolo
            else:
                return ("faces" if yolo.has_face_landmarks else "objects"), content, None
        else:
            return "faces", read_detector(content, session, name), None
    candidates = told.candidates(published=published)
    recognizer = read_recognizer(content, session, name, candidates, output=told.output)
    return "embedding", recognizer.content, recognizer


def _refuse_other_forms(file: Path) -> None:
    """Refuse models for landmarks, age and gender by their shapes, without running them on faces."""
    session = OnnxSession(file)
    if len(session.outputs) == 1 and not InputForm.of(session, file.name).is_the_servers:
        raise UnsupportedModel(
            f"{file.name} is neither a face detector nor a recogniser of InsightFace: input {session.input.shape}, "
            f"output {session.outputs[0].shape}"
        )


def _write(out: Path, prepared: Sequence[_Prepared]) -> None:
    """Write models into a folder, where they may replace what was made of the same originals."""
    manifest = read_manifest(out)
    for each in prepared:
        path = out / f"{each.name}.onnx"
        if each.name in packaged_names() and find_model(each.name).sha256 != each.origin.sha256:
            raise ModelError(f"{each.name} is the name of a packaged model: add this file with another --name")
        if path.is_file():
            there = manifest.get(path.name)
            same = {sha256_of(path), there.converted_from if there else ""}
            if not same & {each.origin.sha256, each.original_sha256}:
                raise ModelError(f"{path} is another model: add this file with another --name")
    write_models(out, {f"{each.name}.onnx": (each.content, each.origin) for each in prepared})


def _added(prepared: _Prepared, out: Path) -> Added:
    path = out / f"{prepared.name}.onnx"
    converted = bool(prepared.origin.converted_from)
    read = prepared.recognizer
    found = (read.choice, read.batch, read.output) if read else ()
    return Added(prepared.name, prepared.role, path, prepared.origin, converted, *found)
